"""Figures look the same on every machine, and never cost a result."""

import json
import logging

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.figures import training_curves
from jaxnoise.figures.drawing import apart, legend_below, own_style, plain, save
from jaxnoise.runs import folders

# What a user's matplotlibrc may say; LaTeX and the font are not there.
UNUSUAL = {
    "text.usetex": True, "font.family": "No Such Font", "lines.linewidth": 9.0,
    "axes.prop_cycle": matplotlib.cycler(color=["red"]), "savefig.bbox": "tight",
}  # fmt: skip


def drawn(path):
    with own_style():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.plot([1, 2], [3, 4], label="a")
        axes.legend()
        save(figure, path)
    return path.with_suffix(".png").read_bytes()


def test_a_users_settings_do_not_change_a_figure_and_stay(tmp_path):
    expected = drawn(tmp_path / "usual")
    with matplotlib.rc_context(UNUSUAL):
        assert drawn(tmp_path / "unusual") == expected
        assert matplotlib.rcParams["lines.linewidth"] == 9.0


@pytest.mark.parametrize(
    "name", ["costs $5", "a_b^c", "50 %", "标签噪声", "🐈 cats", r"\frac", "$x"]
)
def test_any_name_can_stand_in_a_legend(name, tmp_path):
    with own_style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 2], [1, 2])
        axes.legend([plain(name)])
        save(figure, tmp_path / "named")


def test_a_figure_that_fails_is_a_warning(caplog):
    with caplog.at_level(logging.WARNING, "jaxnoise"), apart("the figures in X"):
        raise RuntimeError("no\nfont")
    assert caplog.messages == ["Warning: the figures in X could not be drawn: no font"]
    with pytest.raises(KeyboardInterrupt), apart("the figures"):
        raise KeyboardInterrupt


@pytest.mark.usefixtures("standard_dtype_promotion")
def test_a_run_whose_figures_fail_has_its_scores(tmp_path, drawing, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("latex was not found")

    monkeypatch.setattr(training_curves, "draw", fail)
    config = Config(
        dataset="digits", train_size=200, test_size=40, epochs_num=1, total_repeats=1,
        jacob_samples=1, results_dir=str(tmp_path),
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "jaxnoise"), drawing():
        scores = experiment.run(config)
    folder = folders.run_folder(config)
    assert np.isfinite(scores["mean"]["test_accuracy"])
    assert json.loads((folder / "scores.json").read_text()) == scores
    assert f"the figures in {folder / 'figures'} could not be drawn: latex was" in caplog.text


@pytest.mark.parametrize(
    "labels",
    [
        ["a"],
        ["train"] * 5,
        ["a longer label"] * 7,
        ["a label of some length, with several words"] * 3,
    ],
)
@pytest.mark.parametrize("inches", [5, 6.4, 9.6])
def test_legends_stay_inside_figures_of_any_width(labels, inches):
    figure = Figure(figsize=(inches, 4), layout="constrained")
    axes = figure.subplots()
    for i, label in enumerate(labels):
        axes.plot([0, i], label=f"{label}{i}")
    legend_below(figure, axes)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
