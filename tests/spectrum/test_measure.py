"""The command on finished runs: files, table, verdict, errors; and spectra while training."""

import contextlib
import dataclasses
import io
import json
import logging
import shutil

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxnoise import nets
from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.figures.colours import methods
from jaxnoise.layers import conv
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.runs import folders
from jaxnoise.spectrum import __main__ as spectrum
from jaxnoise.spectrum import dynamics, figures, verdict
from jaxnoise.spectrum.fourier_lines import DIRECTIONS, POINTS
from jaxnoise.terminal import console

SETTINGS = dict(dataset="digits", train_size=200, test_size=60, noise_rate=0.4, epochs_num=3,
                total_repeats=2, jacob_samples=2)  # fmt: skip
FIGURES = {f"{kind}.{suffix}" for kind in ("lines", "summary", "jacobian", "layers")
           for suffix in ("png", "pdf")}  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Of a run that measured itself after the epochs 2 and 3."""
    where = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics, "PICTURES", 2)
        made = Config(**SETTINGS, results_dir=str(where), spectrum_every=2)
        experiment.run(made)
    return made


@pytest.fixture(scope="module")
def folder(config):
    return folders.run_folder(config)


@pytest.fixture(scope="module")
def command(folder):
    """What it prints, and what it measured."""
    measured, printed, real = [], io.StringIO(), spectrum.measure
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        for name, value in (("handlers", []), ("level", logging.INFO), ("propagate", False)):
            patch.setattr(console.log, name, value)
        patch.setattr(
            spectrum, "measure", lambda *a, **k: measured.append(real(*a, **k)) or measured[0]
        )
        assert spectrum.main([str(folder), "--pictures=3"]) == 0
    return printed.getvalue(), measured[0]


def test_the_flag_changes_no_folder(config):
    assert folders.run_folder(Config(**SETTINGS, results_dir=config.results_dir)) == (
        folders.run_folder(config)
    )


def test_dynamics_are_of_the_epochs_asked_for_and_the_last(folder):
    with np.load(folder / "spectrum_dynamics.npz") as archive:
        found = dict(archive)
    assert found["epochs"].tolist() == [2, 3]
    assert found["directions"].tolist() == list(DIRECTIONS)
    for name in ("clean", "changed", "test"):
        assert found[f"{name}_spectrum"].shape == (2, 2, 3, POINTS // 2 + 1)
        np.testing.assert_allclose(found[f"{name}_spectrum"].sum(axis=-1), 1, rtol=1e-5)
        assert (found[f"{name}_centroid"] > 0).all()
    for direction in DIRECTIONS:
        assert (folder / f"figures/spectrum_dynamics_{direction}.pdf").is_file()
    assert not (folder / "spectrum_epochs").exists()


def test_an_interrupted_run_keeps_what_it_measured(folder, tmp_path):
    (tmp_path / "spectrum_epochs").mkdir()
    (tmp_path / "figures").mkdir()
    folders.clear(tmp_path, going_on=True)
    assert [path.name for path in tmp_path.iterdir()] == ["spectrum_epochs"]
    folders.clear(tmp_path, going_on=False)
    assert not list(tmp_path.iterdir())


def test_command_leaves_its_files_and_prints_its_table(folder, command):
    printed, _ = command
    assert "no_reg" in printed and "Spearman" not in printed
    lines = printed.splitlines()
    steps = [line.split()[0] for line in lines[: lines.index("")]]
    steps = [step for step in steps if step != "Compiling"]
    assert steps == ["Reading", *["Measuring"] * 4, "Writing"]
    assert "Measuring on pictures: 3 clean, 3 changed, 3 test; repeats: 2" in lines
    document = json.loads((folder / "spectrum.json").read_text())
    assert document["pictures"] == {"clean": 3, "changed": 3, "test": 3}
    assert document["checkpoint"] == "last" and document["line_length"] == 7
    scores = json.loads((folder / "scores.json").read_text())["repeats"]
    assert document["test_accuracy"] == [row["last_test_accuracy"] for row in scores]
    low, high = (document["lipschitz"][f"{end}_bound"] for end in ("lower", "upper"))
    assert all(0 < a < b for a, b in zip(low, high, strict=True))
    for direction in DIRECTIONS:
        for found in document["lines"]["changed"][direction]["share_above_cutoff"]:
            assert 0 <= found["mean"] <= 1 and found["low"] < found["mean"] < found["high"]
    with np.load(folder / "spectrum.npz") as archive:
        assert archive["test_power"].shape == (2, 3, 3, POINTS // 2 + 1)
        assert archive["changed_singular_values"].shape == (2, 3, 10)
        assert archive["norm_operator"].shape == (2, 5)
    drawn = {path.name for path in (folder / "figures").glob("spectrum_*")}
    assert {f"spectrum_{name}" for name in FIGURES} <= drawn
    with Image.open(folder / "figures/spectrum_lines.png") as picture:
        assert len(picture.convert("RGB").getcolors(2**24)) > 50


class Gated(nn.Module):
    """A net of one's own, which the norms of its layers do not bound."""

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        x = conv.from_images(images.astype(self.dtype))
        for name in ("conv1", "conv2"):
            block = nets.ConvBlock(4, self.spectral, 3, nets.SAME, pool=False, name=name)
            x = x[:1] * block(x, train=train)
        x = x.reshape(-1, x.shape[-1])
        return nets.DenseBlock(self.num_classes, self.spectral, last=True)(x, train=train).T


def test_a_net_without_a_bound_has_everything_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(nets.NETS, "lenet", Gated)
    config = Config(**SETTINGS | dict(epochs_num=1, results_dir=str(tmp_path)))
    experiment.run(config)
    folder = folders.run_folder(config)
    (folder / "figures").mkdir()
    (folder / "figures" / "spectrum_layers.png").touch()  # as if of an earlier version
    assert spectrum.main([str(folder), "--pictures=3"]) == 0
    printed = capsys.readouterr().out
    assert (
        "Run 1 has no layer norms and no bound: the input of conv2 cannot be bounded beyond the "
        "operation mul.\n"
    ) in printed
    document = json.loads((folder / "spectrum.json").read_text())
    assert document["layers"] == {} and document["lipschitz"]["upper_bound"] == [None, None]
    assert document["lipschitz"]["unbounded_because"].startswith("the input of conv2")
    assert all(value > 0 for value in document["lipschitz"]["lower_bound"])
    with np.load(folder / "spectrum.npz") as archive:
        assert "test_power" in archive and not [x for x in archive if x.startswith("norm_")]
    drawn = {path.name for path in (folder / "figures").glob("spectrum_*")}
    assert drawn == {f"spectrum_{name}" for name in FIGURES if not name.startswith("layers")}


def test_two_runs_are_compared(command):
    """The same one twice: no difference at all."""
    _, measured = command
    text = verdict.text([measured, measured])
    assert "does not clearly change the high-frequency share on changed samples" in text
    assert "+0.00 [+0.00, +0.00]" in text and "Spearman's ρ" in text
    assert "These runs differ in" not in text
    other = dataclasses.replace(measured.run.config, net="allcnn", noise_rate=0.2)
    text = verdict.text([measured, measured._replace(run=measured.run._replace(config=other))])
    assert "Run 2 (no_reg allcnn uniform_noise 0.2)" in text
    assert "These runs differ in net and noise, which moves accuracies and shares too" in text


def test_verdict_is_drawn_with_a_point_for_each_repeat():
    shares = [np.full((4, len(DIRECTIONS)), 2.0), np.full((3, len(DIRECTIONS)), 1.0)]
    figure = figures.verdict(
        methods(["a", "b"], ["no_reg", "sn"]), shares, [np.arange(4.0), np.arange(3.0)], title="t"
    )
    panels = figure.axes
    assert len(panels) == len(DIRECTIONS)
    for axes in panels:
        assert [line.get_xydata().tolist() for line in axes.lines] == [
            [[2.0, i] for i in range(4)], [[1.0, i] for i in range(3)],
        ]  # fmt: skip


@pytest.mark.parametrize("argument", ["--pictures=1", "--cutoff=0", "--cutoff=33"])
def test_what_is_not_allowed_is_told(folder, argument, capsys):
    with pytest.raises(SystemExit) as stopped:
        spectrum.main([str(folder), argument])
    assert stopped.value.code == 2
    assert "allowed is" in capsys.readouterr().err


def test_a_folder_without_a_run_is_told(tmp_path, capsys):
    assert spectrum.main([str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_all_folders_are_looked_at_before_the_first_is_measured(folder, capsys, monkeypatch):
    monkeypatch.delattr(spectrum, "measure")
    assert spectrum.main([str(folder), str(folder / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert spectrum.main([str(folder), str(folder / "figures" / "..")]) == 2
    assert "one of them is given twice" in capsys.readouterr().err


def test_differences_are_from_the_run_without_regularizer(command, folder, tmp_path):
    """Wherever it stands among them."""
    _, measured = command
    smooth = shutil.copytree(folder, tmp_path / "smooth")
    document = json.loads((smooth / "config.json").read_text())
    document["flags"]["entropy_coef"] = 1.0
    (smooth / "config.json").write_text(json.dumps(document))
    config = dataclasses.replace(measured.run.config, entropy_coef=1.0)
    other = measured._replace(run=measured.run._replace(folder=smooth, config=config))
    for runs in ([other, measured], [measured, other]):
        text = verdict.text(runs)
        assert f"Run 1: {folder}\nRun 2: {smooth}\n" in text
        assert "Run 1 is the baseline: it alone has no regularizer, loss or method." in text
        assert "Run 2 (entropy_1) does not clearly change" in text
