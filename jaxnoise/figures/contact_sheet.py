"""A contact sheet: the pictures whose labels look most wrong, each with its labels."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxnoise.figures.colours import GREY_LEVELS, WRONG
from jaxnoise.figures.drawing import plain, save

PICTURES, _COLUMNS = 40, 8


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
    rows = -(-len(images) // _COLUMNS)
    figure = Figure(figsize=(1.15 * _COLUMNS, 1.62 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for i, (axes, image) in enumerate(zip(panels.flat, images, strict=False)):
        axes.imshow(image.squeeze(), cmap=GREY_LEVELS, vmin=0, vmax=255)
        words = [f"{what}: {_short(names[i])}" for what, names in labels.items()]
        axes.set_title("\n".join(words), fontsize=6.5, loc="left", pad=2)
        if "true" in labels and labels["true"][i] != labels["given"][i]:
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set(color=WRONG, linewidth=1.6)
    framed = "; framed: the given label is wrong" if "true" in labels else ""
    figure.suptitle(
        f"{title}\nthe {len(images)} most suspicious labels, row by row{framed}", fontsize=10
    )
    save(figure, stem)


def _short(name: str) -> str:
    """Names of about 14 letters fit above a picture."""
    return plain(name if len(name) <= 14 else f"{name[:13]}…") or "–"
