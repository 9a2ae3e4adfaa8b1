"""Every colour, line style and marker of every figure, in one place.

Okabe and Ito's palette, distinguishable with any colour vision ("Color Universal Design", 2008,
https://jfly.uni-koeln.de/color/); line styles and markers distinguish curves in grey.
"""

import itertools
import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from jaxnoise.config import LOSSES, METHODS

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
# Lines and words that are not data: a cut-off, the best epoch.
GUIDE, NOTE = "0.6", "0.4"
# The edge or the inside of a marker.
PAPER = "white"
# Quantities that rise or fall from a start.
DIVERGING = "PuOr_r"
# Shares from none to all, and the grey levels of a picture.
SEQUENTIAL, GREY_LEVELS = "Blues", "gray"
# The frame of a picture whose label is wrong.
WRONG = VERMILION


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
    "valid": Look("validation, true labels", BLUE, "-."),
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
# Methods, by `kind_of`: colours for kinds of ideas, then line styles. Black is the baseline.
_METHODS = {
    "": (BLACK, "-", "o"),
    "wd": (BLUE, "-", "s"),
    "sn": (GREEN, "-", "^"),
    "jacob": (VERMILION, "-", "D"),
    "entropy": (PURPLE, "-", "v"),
    "wd sn": (SKY, "-", "P"),
    "gce": (ORANGE, "-", "X"),
    "mae": (ORANGE, "--", "o"),
    "sce": (ORANGE, "-.", "s"),
    "nce_rce": (ORANGE, ":", "^"),
    "gce truncation": (VERMILION, "-.", "X"),
    "bi_tempered": (PURPLE, "--", "D"),
    "label_smoothing": (PURPLE, "-.", "P"),
    "forward": (BLUE, "--", "X"),
    "forward estimated": (BLUE, "-.", "v"),
    "mixup": (GREEN, "--", "s"),
    "elr": (SKY, "--", "^"),
    "sam": (VERMILION, "--", "o"),
    "early_stopping": (SKY, "-.", "D"),
}
_COLOURS, _STYLES = (BLUE, GREEN, VERMILION, PURPLE, SKY, ORANGE), ("-", "--", "-.", ":")
_MARKERS = ("s", "^", "D", "v", "P", "X", "o")
_IDEAS = (*(name for name in LOSSES if name != "ce"), *METHODS, "estimated", "wd", "jacob",
          "entropy", "sn")  # fmt: skip


def methods(labels: Sequence[str], regularizations: Sequence[str]) -> list[Look]:
    """The looks of methods side by side: the same method looks the same in every figure.

    Methods that differ in numbers alone share a colour; line styles and markers tell them apart. So
    they do of a method that is not in the table, whose colour follows from its name.

    Args:
      labels: of the methods, for the legend.
      regularizations: `Config.regularization` of each, or the name of its run's folder.
    """
    taken: set[tuple[str, str, str]] = set()
    looks = []
    for label, regularization in zip(labels, regularizations, strict=True):
        kind = kind_of(regularization)
        number = zlib.crc32(kind.encode())
        other = _COLOURS[number % len(_COLOURS)], _STYLES[1], _MARKERS[number % len(_MARKERS)]
        colour, style, marker = _METHODS.get(kind, other)
        # Both change at once, since a single point has no line.
        both = zip(itertools.cycle(_from(_STYLES, style)), itertools.cycle(_from(_MARKERS, marker)))
        able = itertools.islice(both, len(_STYLES) * len(_MARKERS))
        free = ((colour, *each) for each in able)
        drawn = next((x for x in free if x not in taken), (colour, style, marker))
        taken.add(drawn)
        looks.append(Look(label, *drawn))
    return looks


def _from(values: tuple[str, ...], first: str) -> tuple[str, ...]:
    """The values in their order, from that one on and around."""
    start = values.index(first)
    return values[start:] + values[:start]


def kind_of(regularization: str) -> str:
    """The ideas in a name such as `allcnn_gce_q_0.5_wd_0.0001_sn-a9258f21`: `gce wd sn`."""
    found = " ".join(
        idea for idea in _IDEAS if re.search(rf"(?:^|_){idea}(?=[_-]|$)", regularization)
    )
    # What is of --user_code is its own kind, not the baseline.
    return found or ("" if "no_reg" in regularization else regularization.rpartition("-")[0])
