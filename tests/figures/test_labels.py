"""Figures of labels: confusion matrices, and the contact sheet."""

import numpy as np
import pytest
from PIL import Image

from jaxnoise.figures import confusion, contact_sheet
from jaxnoise.figures.colours import WRONG


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures = []
    for module in (confusion, contact_sheet):
        monkeypatch.setattr(module, "save", lambda figure, stem: figures.append(figure))
    return figures


def test_shares_are_of_rows():
    rows, columns = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    found = confusion.shares(rows, columns, 3)
    np.testing.assert_allclose(found[0], [200 / 3, 0, 100 / 3])
    np.testing.assert_array_equal(found[1], [0, 100, 0])
    assert np.isnan(found[2]).all()  # no sample of this class


def test_matrices_are_of_true_given_and_predicted_labels(drawn, tmp_path):
    true = np.array([0, 0, 1, 1])
    given = np.array([[0, 1, 1, 1], [0, 0, 1, 0]])
    predicted = np.array([[0, 0, 1, 1], [-1, -1, -1, -1]])  # the second diverged
    confusion.draw(tmp_path / "x", true, given, predicted, ("a$", "b"), title="a run")
    left, right = drawn[0].get_axes()
    np.testing.assert_array_equal(left.images[0].get_array(), [[75, 25], [25, 75]])
    np.testing.assert_allclose(right.images[0].get_array(), [[100, 0], [100 / 3, 200 / 3]])
    assert (left.get_ylabel(), left.get_xlabel()) == ("true label", "label given")
    assert right.get_xlabel() == "label predicted at the best epoch"
    names = ("a$", "b")
    confusion.draw(tmp_path / "x", true, given, predicted, names, title="a run", epoch="last")
    assert drawn[1].get_axes()[1].get_xlabel() == "label predicted at the last epoch"
    assert [text.get_text() for text in right.texts] == ["100", "33", "67"]
    assert [text.get_text() for text in left.get_xticklabels()] == [r"a\$", "b"]


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_matrices_of_many_classes_are_drawn(tmp_path, classes):
    labels = np.random.default_rng(0).integers(classes, size=(2, 500))
    names = tuple(f"class number {i}" for i in range(classes))
    confusion.draw(tmp_path / "confusion", labels[0], labels, labels[::-1], names, title="a run")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.width > 600
    assert (tmp_path / "confusion.pdf").read_bytes().startswith(b"%PDF-")


def frames(figure):
    """Whether each picture has a frame, in the colour of wrong labels."""
    (axes,) = figure.get_axes()
    there = {
        (patch.get_x(), patch.get_y())
        for patch in axes.patches
        if patch.get_edgecolor()[:3] == pytest.approx(_rgb(WRONG))
    }
    return [(image.get_extent()[0], image.get_extent()[3]) in there for image in axes.images]


def _rgb(colour):
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


@pytest.mark.parametrize("channels", [1, 3])
def test_contact_sheet_frames_the_labels_that_are_wrong(drawn, tmp_path, channels):
    images = np.zeros((3, 28, 28, channels), np.uint8)
    labels = {"given": ["a", "b", "a"], "predicted": ["b", "", "a"], "true": ["b", "b", "c"]}
    contact_sheet.draw(tmp_path / "x", images, labels, title="a run")
    assert frames(drawn[0]) == [True, False, True]
    told = [text.get_text() for text in drawn[0].get_axes()[0].texts]
    assert told[:2] == ["given: a\npredicted: b\ntrue: b", "given: b\npredicted: –\ntrue: b"]
    contact_sheet.draw(tmp_path / "x", images, {"given": ["a"] * 3}, title="a run")
    assert frames(drawn[1]) == [False] * 3 and "framed" not in drawn[1].get_suptitle()
