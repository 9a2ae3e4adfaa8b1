"""The figure of a report for papers: test accuracy against noise rate."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxnoise.config import counted
from jaxnoise.figures import colours
from jaxnoise.figures.drawing import columns_that_fit, decorate, plain, whole_numbers
from jaxnoise.report.collection import Entry, one_of_each
from jaxnoise.scores.selection import SELECTIONS


def by_rate(entries: Sequence[Entry], selection: str) -> Figure | None:
    """Test accuracy against noise rate, mean ± std: a panel for each data set and noise model.

    None if no method has two rates.
    """
    able = [x for x in one_of_each(entries) if x.run and x.run.n and x.column.rate is not None]
    places: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    for entry in able:
        lines = places.setdefault((entry.dataset, entry.column.model), {})
        lines.setdefault(entry.method, []).append(entry)
    places = {
        place: lines
        for place, lines in sorted(places.items())
        if any(len({entry.column.rate for entry in line}) > 1 for line in lines.values())
    }
    if not places:
        return None
    methods = {entry.method: entry.folder.name for entry in able}
    looks = dict(zip(methods, colours.methods(list(methods), list(methods.values())), strict=True))
    columns = min(3, len(places))
    rows = -(-len(places) // columns)
    width = max(4.7, 3.6 * columns)
    beside = min(3, columns_that_fit(list(methods), width))
    legend = -(-len(methods) // beside)
    figure = Figure(figsize=(width, 3.0 * rows + 0.24 * legend + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    numbers = sorted({entry.run.n for entry in able})
    n = f"{numbers[0]}–" * (len(numbers) > 1) + counted(numbers[-1], "repeat")
    what = f"{SELECTIONS[selection].words}, mean ± std over {n}"
    handles = {}
    for axes, (place, lines) in zip(panels.flat, places.items(), strict=False):
        for method, line in lines.items():
            line.sort(key=lambda entry: entry.column.rate)
            mean, std = np.transpose([x.run.mean_and_std()[selection] for x in line])
            rate = [100 * entry.column.rate for entry in line]
            _, colour, style, marker = looks[method]
            axes.fill_between(rate, mean - std, mean + std, color=colour, alpha=0.1, linewidth=0)
            (handles[method],) = axes.plot(
                rate, mean, marker=marker, color=colour, markersize=4,
                linestyle=style, linewidth=1.4,
            )  # fmt: skip
        decorate(axes)
        whole_numbers(axes)
        axes.set_title("\n".join([" · ".join(place)] + [what] * (len(places) == 1)), fontsize=10)
        axes.set_xlabel("noise rate, requested (%)")
        axes.set_ylabel("test accuracy (%)")
    for axes in panels.flat[len(places) :]:
        axes.set_axis_off()
    figure.legend(
        handles.values(), map(plain, handles), loc="outside lower center", fontsize=8,
        frameon=False, ncols=beside,
    )  # fmt: skip
    if len(places) > 1:
        figure.suptitle(what, fontsize=10)
    return figure
