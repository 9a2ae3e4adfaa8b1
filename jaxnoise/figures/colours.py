"""Every colour, line style and marker of every figure, in one place.

Okabe and Ito's palette, distinguishable with any colour vision ("Color Universal Design", 2008,
https://jfly.uni-koeln.de/color/); line styles and markers distinguish curves in grey.
"""

from typing import NamedTuple

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
# Lines and words that are not data: a cut-off, the best epoch.
GUIDE, NOTE = "0.6", "0.4"
# The edge or the inside of a marker.
PAPER = "white"
# Quantities that rise or fall from a start.
DIVERGING = "PuOr_r"


class Look(NamedTuple):
    """How a curve or a set of points is drawn."""

    label: str
    colour: str
    style: str = "-"
    marker: str = "o"


# Loss and accuracy, epoch by epoch.
CURVES = {
    "train_noisy": Look("train, noisy labels", VERMILION, "-"),
    "train": Look("train, true labels", ORANGE, "--"),
    "valid": Look("validation", BLUE, "-."),
    "test": Look("test", BLACK, "-"),
}
# Predictions for training samples whose label the noise has changed, and for the others.
MEMORIZATION = {
    "unchanged_right": Look("unchanged label, predicted right", BLACK, "-"),
    "changed_as_true": Look("changed label, predicted as the true one", ORANGE, "--"),
    "changed_as_noisy": Look("changed label, predicted as the noisy one", VERMILION, "-"),
    "changed_as_neither": Look("changed label, predicted as neither", BLUE, "-."),
}
# The sets of pictures of the spectral panel.
SETS = {
    "clean": Look("train, unchanged label", BLUE, "--", "s"),
    "changed": Look("train, changed label", VERMILION, "-", "o"),
    "test": Look("test", BLACK, ":", "^"),
}
# Norms of a layer.
NORMS = {
    "reshaped": Look("σ of the reshaped kernel", ORANGE, marker="D"),
    "operator": Look("operator norm, real padding", BLUE, marker="s"),
    "batch_norm": Look("batch norm, largest |γ|/√(var + ε)", GREEN, marker="^"),
    "layer": Look("layer with its batch norm", BLACK, marker="o"),
}
# Regularizers of the net on a circle.
CIRCLE = {
    "none": Look("no regularizer", BLACK),
    "jacobian": Look("Jacobian", VERMILION, marker="s"),
    "autodiff": Look("Jacobian by autodiff", ORANGE, marker="D"),
    "wd": Look("weight decay", BLUE, marker="^"),
}
_SERIES = (
    (BLACK, "o"), (BLUE, "s"), (GREEN, "^"), (VERMILION, "D"), (PURPLE, "v"), (ORANGE, "P"),
    (SKY, "X"),
)  # fmt: skip
_STYLES = ("-", "--", "-.", ":")


def series(number: int, label: str) -> Look:
    """The look of one of several runs or methods side by side, counted from 0.

    Each cycle through the colours has a line style of its own.
    """
    colour, marker = _SERIES[number % len(_SERIES)]
    return Look(label, colour, _STYLES[number // len(_SERIES) % len(_STYLES)], marker)
