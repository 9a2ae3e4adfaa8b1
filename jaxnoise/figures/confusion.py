"""Confusion matrices: what the noise makes of true labels, and what the nets make of given ones."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxnoise.figures.colours import BLACK, PAPER, SEQUENTIAL
from jaxnoise.figures.drawing import plain, save

# Classes; of more, cells have no room for numbers, and axes none for names.
_LEGIBLE = 20


def draw(
    stem: Path,
    true: np.ndarray,
    given: np.ndarray,
    predicted: np.ndarray,
    class_names: tuple[str, ...],
    *,
    title: str,
    epoch: str = "best",
) -> None:
    """Writes stem.png and stem.pdf, two matrices over the training samples of all repeats.

    Args:
      true: int (training samples,), in [0, K).
      given: int (repeats, training samples), the labels trained on.
      predicted: int (repeats, training samples), by the nets of the epoch; −1 for none.
      class_names: of the K classes.
      epoch: best or last.
    """
    classes, side = len(class_names), _inches(class_names)
    figure = Figure(figsize=(2 * side, side + 0.9), layout="compressed")
    left, right = figure.subplots(1, 2)
    known = predicted >= 0
    noise = shares(np.broadcast_to(true, given.shape), given, classes)
    _matrix(left, noise, class_names, "true label", "label given")
    _matrix(
        right, shares(given[known], predicted[known], classes), class_names, "label given",
        f"label predicted at the {epoch} epoch",
    )  # fmt: skip
    figure.suptitle(f"{title}\ntraining samples, % of each row", fontsize=10)
    save(figure, stem)


def draw_noise(
    stem: Path, true: np.ndarray, given: np.ndarray, class_names: tuple[str, ...], *, title: str
) -> None:
    """Writes stem.png and stem.pdf, what the noise makes of the true labels.

    Args:
      true, given: int (samples,), in [0, K).
      class_names: of the K classes.
    """
    side = _inches(class_names)
    figure = Figure(figsize=(side, side + 0.7), layout="compressed")
    noise = shares(true, given, len(class_names))
    _matrix(figure.subplots(), noise, class_names, "true label", "label given")
    figure.suptitle(f"{title}\n{len(true):,} samples, % of each row", fontsize=10)
    save(figure, stem)


def _inches(class_names: tuple[str, ...]) -> float:
    """The side of a matrix, with the names of its classes below and beside."""
    names = 0.08 * max(map(len, class_names)) * (len(class_names) <= _LEGIBLE)
    return 0.42 * min(len(class_names), _LEGIBLE) + 1.6 + names


def shares(rows: np.ndarray, columns: np.ndarray, classes: int) -> np.ndarray:
    """How often each column occurs in each row, percent of the row: float (K, K).

    A row without any sample is NaN.
    """
    pairs = np.bincount((rows * classes + columns).ravel(), minlength=classes**2)
    counts = pairs.reshape(classes, classes)
    with np.errstate(invalid="ignore"):
        return 100 * counts / counts.sum(axis=1, keepdims=True)


def _matrix(
    axes: Axes, percent: np.ndarray, class_names: tuple[str, ...], rows: str, columns: str
) -> None:
    axes.imshow(percent, cmap=SEQUENTIAL, vmin=0, vmax=100)
    axes.set_ylabel(rows)
    axes.set_xlabel(columns)
    if len(class_names) > _LEGIBLE:
        return
    names = [plain(name) for name in class_names]
    longest = max(map(len, names))
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=90 if longest > 2 else 0)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), x in np.ndenumerate(percent):
        if x >= 0.5:
            colour = PAPER if x > 50 else BLACK
            axes.text(j, i, f"{x:.0f}", ha="center", va="center", fontsize=7, color=colour)
