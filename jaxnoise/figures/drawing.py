"""What all figures have in common: grid and frame, a legend below, and how they are saved."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

log = logging.getLogger("jaxnoise")


def decorate(axes: Axes) -> None:
    """Draws a light grid, and no frame at the top and the right."""
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def epochs(axes: Axes, number: int) -> None:
    """The x axis as epochs from 1 to a number."""
    whole_numbers(axes)
    margin = min(0.8, 0.3 + 0.02 * number)  # 0 is no epoch
    axes.set_xlim(1 - margin, number + margin)
    axes.set_xlabel("epoch")


def whole_numbers(axes: Axes) -> None:
    """Few ticks on the x axis, at whole numbers: of epochs, say."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for the whole figure, with the curves of some of its axes."""
    handles, labels = axes.get_legend_handles_labels()
    columns = columns_that_fit(labels, figure.get_figwidth())
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


_LETTERS = 15.7  # that fit into an inch, at size 9


def columns_that_fit(labels: Sequence[str], inches: float) -> int:
    """The largest number of columns in which a legend fits into that width."""
    # A mark takes as much as six letters, a gap as four.
    room, longest = _LETTERS * inches + 4, max(map(len, labels), default=0)
    if sum(map(len, labels)) + 10 * len(labels) <= room:
        return max(1, len(labels))
    return max(1, min(len(labels) - 1, int(room / (longest + 10))))


def letters_that_fit(inches: float) -> int:
    """The length of a label of wide letters that fits beside its mark into a legend."""
    return int(0.85 * _LETTERS * inches) - 6


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Inside, figures are drawn in one style, whatever the user's matplotlibrc says."""
    with matplotlib.style.context("default", after_reset=True), warnings.catch_warnings():
        # Characters that no font has are drawn as boxes.
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        yield


@contextlib.contextmanager
def apart(what: str) -> Iterator[None]:
    """The same; and a figure that cannot be drawn or written is a warning, not the end of a run.

    Args:
      what: the figures, in words, for the warning.
    """
    try:
        with own_style():
            yield
    except Exception as error:  # of Matplotlib, of a font, of the disk
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("Warning: %s could not be drawn: %s", what, reason)


def plain(text: str) -> str:
    """Text of a user's, in which $ is a dollar and not the start of a formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, stem: Path) -> None:
    """Writes stem.png and stem.pdf; the same figure gives the same bytes."""
    _write(figure, stem.with_suffix(".png"), dpi=150)
    _write(figure, stem.with_suffix(".pdf"), metadata={"CreationDate": None})


def svg(figure: Figure) -> str:
    """The SVG element alone, text kept as text; the same figure gives the same bytes."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "jaxnoise"}):
        _write(figure, text, format="svg", metadata={"Date": None}, transparent=True)
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def _write(figure: Figure, file: Path | io.StringIO, **how: Any) -> None:
    """Writes a figure; the first file lays it out, since each layout draws it once more."""
    figure.savefig(file, **how)
    figure.set_layout_engine("none")
