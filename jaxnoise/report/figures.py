"""The figures of a report: test accuracy against noise rate, and against what a run costs."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from jaxnoise.config import counted
from jaxnoise.figures import colours
from jaxnoise.figures.colours import Look
from jaxnoise.figures.drawing import (
    columns_that_fit,
    decorate,
    letters_that_fit,
    plain,
    whole_numbers,
)
from jaxnoise.report.collection import Entry, one_of_each
from jaxnoise.report.tables import having
from jaxnoise.scores.selection import SELECTIONS


def able(entries: Sequence[Entry], selection: str = "last") -> list[Entry]:
    """The runs that have such an accuracy to draw, one for each method and noise."""
    return having(one_of_each(entries), selection)


def looks(entries: Sequence[Entry]) -> dict[str, Look]:
    """How each method is drawn; it depends on the others, so all figures need those of one call."""
    methods = {entry.method: entry.folder.name for entry in entries}
    found = colours.methods(list(methods), list(methods.values()))
    return dict(zip(methods, found, strict=True))


def by_rate(entries: Sequence[Entry], selection: str, shown: Mapping[str, Look]) -> Figure | None:
    """Test accuracy against noise rate: a panel for each data set and noise model.

    Lines lead through means; at each rate a thin bar reaches from the lowest to the highest repeat.
    None if no method has two rates.

    Args:
      shown: how each method is drawn, in every figure of a report, see `looks`.
    """
    drawn = [entry for entry in able(entries, selection) if entry.column.rate is not None]
    places: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    for entry in drawn:
        lines = places.setdefault((entry.dataset, entry.column.model), {})
        lines.setdefault(entry.method, []).append(entry)
    places = {
        place: lines
        for place, lines in sorted(places.items())
        if any(len({entry.column.rate for entry in line}) > 1 for line in lines.values())
    }
    if not places:
        return None
    figure, panels = _panels(len(places))
    what = _what(drawn, selection, figure)
    for axes, (place, lines) in zip(panels, places.items(), strict=False):
        rates = [100 * entry.column.rate for line in lines.values() for entry in line]
        # Side by side, so that no bar hides another.
        apart = (max(rates) - min(rates)) * min(0.012, 0.1 / len(lines))
        for i, (method, line) in enumerate(lines.items()):
            line.sort(key=lambda entry: entry.column.rate)
            shift = apart * (i - (len(lines) - 1) / 2)
            x = [100 * entry.column.rate + shift for entry in line]
            _points(axes, x, line, selection, shown[method], lines=True)
        decorate(axes)
        whole_numbers(axes)
        axes.set_title("\n".join([" · ".join(place)] + [what] * (len(places) == 1)), fontsize=10)
        axes.set_xlabel("noise rate, requested (%)")
    panels[0].set_ylabel("test accuracy (%)")
    if len(places) > 1:
        figure.suptitle(what, fontsize=10)
    return figure


def by_cost(entries: Sequence[Entry], selection: str, shown: Mapping[str, Look]) -> Figure | None:
    """Test accuracy against the time of training, at the highest noise rate of each noise model.

    None if no run that has such an accuracy has recorded it.
    """
    drawn = [entry for entry in able(entries, selection) if _seconds(entry)]
    highest: dict[tuple[str, str], float] = {}
    for entry in drawn:
        place = entry.dataset, entry.column.model
        highest[place] = max(highest.get(place, 0.0), entry.column.rate or 0.0)
    places: dict[tuple[str, str], list[Entry]] = {}
    for entry in drawn:
        if (entry.column.rate or 0.0) == highest[entry.dataset, entry.column.model]:
            places.setdefault((entry.dataset, entry.noise), []).append(entry)
    if not places:
        return None
    figure, panels = _panels(len(places))
    what = _what(drawn, selection, figure)
    for axes, (place, there) in zip(panels, sorted(places.items()), strict=False):
        for entry in there:
            _points(axes, [_seconds(entry)], [entry], selection, shown[entry.method], lines=False)
        axes.set_xscale("log")
        low, high = (f(_seconds(entry) for entry in there) for f in (min, max))
        narrow = high < 3 * low
        axes.xaxis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1, 2, 3, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        decorate(axes)
        axes.set_title("\n".join([" · ".join(place)] + [what] * (len(places) == 1)), fontsize=10)
        axes.set_xlabel("seconds of training per repeat (log scale)")
    panels[0].set_ylabel("test accuracy (%)")
    if len(places) > 1:
        figure.suptitle(what, fontsize=10)
    return figure


def add_legend(figure: Figure) -> None:
    """A legend of the methods drawn below the panels, for which the figure gets room."""
    drawn = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    width, height = figure.get_size_inches()
    beside = min(3, columns_that_fit(list(drawn), width))
    labels = [textwrap.fill(label, letters_that_fit(width)) for label in drawn]
    lines = max(label.count("\n") + 1 for label in labels)
    figure.set_size_inches(width, height + 0.24 * lines * -(-len(drawn) // beside))
    figure.set_layout_engine("constrained")
    figure.legend(
        drawn.values(), labels, loc="outside lower center", fontsize=8, frameon=False, ncols=beside
    )


def _panels(number: int) -> tuple[Figure, Sequence[Axes]]:
    columns = min(3, number)
    rows = -(-number // columns)
    size = (max(4.7, 3.6 * columns), 3.0 * rows + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in panels[number:]:
        axes.set_axis_off()
    return figure, panels


def _points(
    axes: Axes, x: Sequence[float], entries: Sequence[Entry], selection: str, look: Look,
    *, lines: bool,
) -> None:  # fmt: skip
    """The mean of each run, and a bar from its lowest to its highest repeat."""
    values = [entry.run.accuracy[selection][entry.run.survived] for entry in entries]
    low, high = [v.min() for v in values], [v.max() for v in values]
    axes.vlines(x, low, high, color=look.colour, linewidth=0.8, alpha=0.7)
    axes.plot(
        x, [v.mean() for v in values], marker=look.marker, color=look.colour, markersize=4,
        linestyle=look.style if lines else "none", linewidth=1.4, label=plain(look.label),
    )  # fmt: skip


def _what(entries: Sequence[Entry], selection: str, figure: Figure) -> str:
    """What the points are, in lines that fit above a single panel."""
    numbers = sorted({entry.run.n for entry in entries})
    n = f"{numbers[0]}–" * (len(numbers) > 1) + counted(numbers[-1], "repeat")
    what = f"{SELECTIONS[selection].words}, mean and range of {n}"
    return textwrap.fill(what, letters_that_fit(figure.get_figwidth()))


def _seconds(entry: Entry) -> float | None:
    """Seconds that training a repeat of the run took, if it has recorded them."""
    seconds = entry.run.facts.get("training_seconds_per_repeat")
    able = isinstance(seconds, int | float) and np.isfinite(seconds) and seconds > 0
    return seconds if able else None
