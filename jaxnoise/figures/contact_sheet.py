"""A contact sheet: the pictures whose labels look most wrong, each with its labels."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxnoise.figures.colours import GREY_LEVELS, WRONG
from jaxnoise.figures.drawing import plain, save

PICTURES, _COLUMNS = 100, 10
_LINE = 0.13  # inches that a line of words takes
_SIDE, _GAP, _ABOVE = 0.86, 0.2, 0.6  # of a picture, between two, and of the title


def draw(
    stem: Path,
    images: np.ndarray,
    labels: dict[str, list[str]],
    *,
    title: str,
) -> None:
    """Writes stem.png and stem.pdf.

    Args:
      images: uint8 (pictures, height, width, channels), at most PICTURES.
      labels: names of each picture's classes, by what they are: given, predicted and, if any label
        is known to be wrong, true. A picture whose given label is not the true one has a frame.
    """
    rows, words = -(-len(images) // _COLUMNS), _LINE * len(labels)
    step = np.array([_SIDE + _GAP, _SIDE + _GAP + words])  # from one picture to the next
    wide, high = step * (_COLUMNS, rows) + (_GAP, _ABOVE)
    figure = Figure(figsize=(wide, high))
    # One for all pictures, in inches from the top left: an axes for each would take seconds.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(high, 0))
    axes.set_axis_off()
    for i, image in enumerate(images):
        left, top = step * (i % _COLUMNS, i // _COLUMNS) + (_GAP, _ABOVE + words)
        place = left, left + _SIDE, top + _SIDE, top
        axes.imshow(image.squeeze(), cmap=GREY_LEVELS, vmin=0, vmax=255, extent=place)
        said = "\n".join(f"{what}: {_short(names[i])}" for what, names in labels.items())
        axes.text(left, top - 0.04, said, fontsize=6, linespacing=1.15, va="bottom")
        if "true" in labels and labels["true"][i] != labels["given"][i]:
            frame = Rectangle((left, top), _SIDE, _SIDE, fill=False, color=WRONG, linewidth=1.6)
            axes.add_patch(frame)
    axes.set(xlim=(0, wide), ylim=(high, 0), aspect="auto")
    framed = "; framed: the given label is wrong" if "true" in labels else ""
    told = f"{title}\nthe {len(images)} most suspicious labels, row by row{framed}"
    figure.suptitle(told, fontsize=10, y=1 - 0.12 / high, va="top")
    save(figure, stem)


def _short(name: str) -> str:
    """Names of about 12 letters fit above a picture."""
    return plain(name if len(name) <= 12 else f"{name[:11]}…") or "–"
