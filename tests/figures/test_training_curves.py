"""Figures: the files, and that their lines are the data's."""

import numpy as np
import pytest
from PIL import Image

from jaxnoise.figures import training_curves
from jaxnoise.scores import divergence

STEMS = {"loss", "loss_repeats", "accuracy", "accuracy_repeats", "memorization"}


def random_history(epochs, repeats):
    rng = np.random.default_rng(0)
    return {
        f"{name}_{quantity}": rng.uniform(1, 90, (epochs, repeats)).astype(np.float32)
        for name in training_curves.CURVES
        for quantity in ("loss", "accuracy")
    } | {
        name: rng.uniform(1, 90, (epochs, repeats)).astype(np.float32)
        for name in training_curves.MEMORIZATION
    }


def curves_of(history, quantity):
    return {name: history[f"{name}_{quantity}"] for name in training_curves.CURVES}


def mean_figure(history, quantity):
    diverged = divergence.epochs(history)
    return training_curves._mean_figure(
        curves_of(history, quantity), training_curves.CURVES, diverged, quantity, "a run"
    )


def repeats_figure(history, best_epoch):
    diverged = divergence.epochs(history)
    curves = curves_of(history, "accuracy")
    best = "best clean validation"
    return training_curves._repeats_figure(curves, "accuracy", best_epoch, diverged, "a run", best)


def diverge(history, repeat, epoch):
    """As `loop.advance` leaves it, the epoch counted from 1."""
    for values in history.values():
        values[epoch - 1 :, repeat] = np.nan


def lines_of(axes):
    """Label → y values."""
    return {
        line.get_label(): np.asarray(line.get_ydata())
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def assert_valid_files(folder):
    assert {path.name for path in folder.iterdir()} == {
        f"{stem}.{kind}" for stem in STEMS for kind in ("png", "pdf")
    }
    for stem in STEMS:
        with Image.open(folder / f"{stem}.png") as picture:
            assert picture.width > 600 and picture.height > 400
            # Something is drawn: neither white nor all one colour.
            assert len(picture.convert("RGB").getcolors(2**24)) > 50
        document = (folder / f"{stem}.pdf").read_bytes()
        assert document.startswith(b"%PDF-") and document.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize(("epochs", "repeats"), [(30, 5), (1, 1), (3, 12)])
def test_every_size_of_run_is_drawn(tmp_path, epochs, repeats):
    best_epoch = np.arange(repeats) % epochs + 1
    training_curves.draw(
        tmp_path / "figures", random_history(epochs, repeats), best_epoch, title="a run"
    )
    assert_valid_files(tmp_path / "figures")


@pytest.mark.parametrize("epochs", [[0, 3, 2], [2, 3, 3], [1, 1, 1]])
def test_runs_that_diverged_are_drawn(tmp_path, epochs):
    history = random_history(4, 3)
    for repeat, epoch in enumerate(epochs):
        if epoch:
            diverge(history, repeat, epoch)
    training_curves.draw(tmp_path / "figures", history, np.array([4, 1, 0]), title="diverged")
    assert_valid_files(tmp_path / "figures")


def test_means_are_of_the_repeats_that_did_not_diverge():
    history = random_history(6, 4)
    expected = {name: values[:, [0, 2]].mean(axis=1) for name, values in history.items()}
    diverge(history, 1, 4)
    diverge(history, 3, 1)
    (axes,) = mean_figure(history, "accuracy").get_axes()
    for name, (label, *_) in training_curves.CURVES.items():
        np.testing.assert_allclose(lines_of(axes)[label], expected[f"{name}_accuracy"], rtol=1e-6)
    assert axes.get_title() == (
        "a run\nmean over 2 of 4 repeats; the others diverged; thin: each of them"
    )


def test_where_all_diverged_means_end_with_the_first():
    history = random_history(6, 2)
    expected = history["test_loss"][:2].mean(axis=1)
    diverge(history, 0, 5)
    diverge(history, 1, 3)
    (axes,) = mean_figure(history, "loss").get_axes()
    np.testing.assert_allclose(lines_of(axes)["test"][:2], expected, rtol=1e-6)
    assert np.isnan(lines_of(axes)["test"][2:]).all()
    assert "over 2 repeats until the first diverged" in axes.get_title()


def test_curves_of_a_repeat_that_diverged_end_with_a_mark():
    history = random_history(6, 3)
    diverge(history, 1, 4)
    diverge(history, 2, 1)
    panels = repeats_figure(history, np.array([5, 2, 0])).get_axes()
    assert [axes.get_title() for axes in panels] == [
        "repeat 1", "repeat 2: diverged at epoch 4", "repeat 3: diverged at epoch 1",
    ]  # fmt: skip
    marks = [
        [line.get_xydata().tolist() for line in axes.get_lines() if line.get_marker() == "X"]
        for axes in panels
    ]
    ends = [[[3, history[f"{name}_accuracy"][2, 1]]] for name in training_curves.CURVES]
    assert marks == [[], ends, []]
    best = ["best clean validation" in lines_of(axes) for axes in panels]
    assert best == [True, True, False]


def test_a_repeat_on_its_way_to_infinity_leaves_the_others_legible():
    history = random_history(6, 3)
    diverge(history, 1, 4)
    history["train_accuracy"][2, 1] = 1e30
    panels = repeats_figure(history, np.array([5, 2, 3])).get_axes()
    low, high = panels[0].get_ylim()
    assert -10 < low < 1 and 90 < high < 100
    (mark,) = (
        line.get_ydata()[0]
        for line in panels[1].get_lines()
        if line.get_marker() == "X" and line.get_color() == training_curves.CURVES["train"][1]
    )
    assert low < mark < high


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_mean_figure_shows_the_mean_and_every_repeat(quantity):
    history = random_history(6, 3)
    (axes,) = mean_figure(history, quantity).get_axes()
    means, lines = lines_of(axes), axes.get_lines()
    assert len(means) == 4 and len(lines) == 4 * (3 + 1) and not axes.collections
    for name, (label, colour, *_) in training_curves.CURVES.items():
        values = history[f"{name}_{quantity}"].astype(np.float64)
        # float32 statistics of six values.
        np.testing.assert_allclose(means[label], values.mean(axis=1), rtol=1e-5)
        thin = [line.get_ydata() for line in lines
                if line.get_color() == colour and line.get_label() != label]  # fmt: skip
        np.testing.assert_array_equal(np.transpose(thin), values)
    assert all(list(line.get_xdata()) == [1, 2, 3, 4, 5, 6] for line in lines)
    assert axes.get_title() == "a run\nmean over 3 repeats; thin: each of them"
    low, high = axes.get_xlim()
    assert 0 < low < 1 and 6 < high < 7  # there is no epoch 0, and no epoch 7


def test_every_repeat_has_a_panel_with_its_own_lines():
    history, best_epoch = random_history(6, 7), np.array([1, 2, 3, 4, 5, 6, 1])
    figure = repeats_figure(history, best_epoch)
    panels = [axes for axes in figure.get_axes() if axes.axison]
    assert [axes.get_title() for axes in panels] == [f"repeat {i + 1}" for i in range(7)]
    for i, axes in enumerate(panels):
        lines = lines_of(axes)
        for name, (label, *_) in training_curves.CURVES.items():
            np.testing.assert_array_equal(lines[label], history[f"{name}_accuracy"][:, i])
        (marked,) = [x for x in axes.get_lines() if x.get_label() == "best clean validation"]
        assert set(marked.get_xdata()) == {best_epoch[i]}
    # Five in the first line, two in the second: the lowest of each column has the numbers.
    assert [axes.get_xlabel() for axes in panels] == ["", "", *["epoch"] * 5]


def test_a_single_epoch_is_a_visible_point():
    for epochs, marker in ((1, "o"), (2, "None")):
        (axes,) = mean_figure(random_history(epochs, 1), "loss").get_axes()
        assert {line.get_marker() for line in axes.get_lines()} == {marker}


def test_legend_names_the_four_curves():
    (legend,) = mean_figure(random_history(2, 2), "loss").legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "train, noisy labels", "train, true labels", "validation, true labels", "test",
    ]  # fmt: skip


def test_memorization_without_noise_leaves_out_what_there_is_not(tmp_path, monkeypatch):
    drawn, real = [], training_curves._mean_figure
    monkeypatch.setattr(
        training_curves,
        "_mean_figure",
        lambda *arguments: drawn.append(real(*arguments)) or drawn[-1],
    )
    history = random_history(5, 2)
    best_epoch = np.array([1, 2])
    training_curves.draw(tmp_path, history, best_epoch, title="noise")
    for name in training_curves.MEMORIZATION:
        if name.startswith("changed"):
            history[name][:] = np.nan
    training_curves.draw(tmp_path, history, best_epoch, title="no noise")
    noisy, clean = (figure for figure in drawn if "share" in figure.axes[0].get_ylabel())
    labels = [label for label, *_ in training_curves.MEMORIZATION.values()]
    assert list(lines_of(noisy.axes[0])) == labels
    assert list(lines_of(clean.axes[0])) == ["unchanged label, predicted right"]
    assert [text.get_text() for text in clean.legends[0].get_texts()] == labels[:1]


def test_legends_stay_inside_their_figures():
    history = random_history(3, 2)
    shares = {name: history[name] for name in training_curves.MEMORIZATION}
    for figure in (
        mean_figure(history, "loss"),
        training_curves._mean_figure(
            shares, training_curves.MEMORIZATION, np.zeros(2, int), "share (%)", "a run"
        ),
    ):
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_without_validation_there_is_no_curve_of_it_and_no_mark(tmp_path, monkeypatch):
    history = random_history(epochs=6, repeats=2)
    for quantity in ("loss", "accuracy"):
        del history[f"valid_{quantity}"]
    drawn = {}
    monkeypatch.setattr(training_curves, "save", lambda figure, stem: drawn.update({stem: figure}))
    training_curves.draw(tmp_path, history, np.zeros(2, int), title="a run")
    labels = {training_curves.CURVES[name].label for name in ("train_noisy", "train", "test")}
    for quantity in ("loss", "accuracy"):
        assert lines_of(drawn[tmp_path / quantity].axes[0]).keys() == labels
        for axes in drawn[tmp_path / f"{quantity}_repeats"].axes:
            assert lines_of(axes).keys() == labels
