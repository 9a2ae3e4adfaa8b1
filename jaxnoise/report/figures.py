"""Figures of a report: accuracy against noise rate, and each run's curves, as SVG for a page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxnoise.config import counted
from jaxnoise.figures.colours import CURVES, MEMORIZATION, SETS, series
from jaxnoise.figures.drawing import decorate, plain, whole_numbers
from jaxnoise.report.collection import Entry, one_of_each
from jaxnoise.scores import divergence
from jaxnoise.scores.selection import SELECTIONS
from jaxnoise.spectrum.shares import mean_over_pictures, normalized, over_members


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
    methods = list(dict.fromkeys(entry.method for entry in able))
    columns = min(3, len(places))
    rows = -(-len(places) // columns)
    width = max(4.7, 3.6 * columns)
    # At this size of letters about 14 fit into an inch; a line and its gap take six more.
    beside = min(3, len(methods), max(1, int(14 * width / (max(map(len, methods)) + 6))))
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
            _, colour, style, marker = series(methods.index(method), method)
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


def curves(history: dict[str, np.ndarray], folder: Path) -> Figure | None:
    """Accuracy and memorization by epoch, and line spectra if they were measured; None if damaged.

    Means over the repeats that did not diverge, with ± std.

    Args:
      history: of the run in `folder`.
    """
    try:
        return _curves(history, folder)
    except Exception:  # each kind of damage raises another type
        return None


def _curves(history: dict[str, np.ndarray], folder: Path) -> Figure:
    survived = divergence.epochs(history) == 0
    spectra = _spectra(folder / "spectrum.npz")
    panels = 3 if spectra else 2
    figure = Figure(figsize=(3.5 * panels, 2.7), layout="constrained")
    drawn = [
        {f"{name}_accuracy": look for name, look in CURVES.items()},
        MEMORIZATION,
    ]
    all_axes = np.atleast_1d(figure.subplots(1, panels))
    for axes, looks, label in zip(
        all_axes, drawn, ("accuracy (%)", "share of these samples (%)"), strict=False
    ):
        for name, (words, colour, style, _) in looks.items():
            values = np.float64(history[name][:, survived if survived.any() else slice(None)])
            epoch = np.arange(1, len(values) + 1)
            mean, std = values.mean(axis=1), values.std(axis=1)
            axes.plot(epoch, mean, style, color=colour, label=words, linewidth=1.3)
            axes.fill_between(epoch, mean - std, mean + std, color=colour, alpha=0.12, linewidth=0)
        decorate(axes)
        whole_numbers(axes)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
    if spectra:
        axes = all_axes[2]
        for name, (frequency, mean) in spectra.items():
            _, colour, style, _ = SETS[name]
            axes.loglog(frequency, mean, style, color=colour, label=name, linewidth=1.3)
        axes.set_xlabel("cycles per unit distance")
        axes.set_ylabel("share of power")
        axes.grid(alpha=0.25, linewidth=0.6)
    for axes in all_axes:
        axes.legend(fontsize=6, frameon=False, loc="best")
        axes.tick_params(labelsize=8)
    return figure


def _spectra(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each set the frequencies and mean shares of power along random lines; empty if none."""
    if not path.is_file():
        return {}
    drawn = slice(1, -1)  # the trend is no frequency, and the last bin is half a bin
    # Opened here, since NumPy leaves a damaged archive open.
    with open(path, "rb") as file, np.load(file) as archive:
        return {
            name: (
                archive["frequencies"][drawn],
                over_members(mean_over_pictures(normalized(archive[f"{name}_power"])[:, :, 0]))[0][
                    drawn
                ],
            )
            for name in SETS
            if f"{name}_power" in archive
        }
