"""Figures of the spectral panel: line spectra, summaries, Jacobians, layer norms, the verdict."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxnoise.figures.colours import BLACK, GUIDE, NORMS, NOTE, PAPER, SETS, Look
from jaxnoise.figures.drawing import decorate, legend_below, save
from jaxnoise.spectrum.fourier_lines import DIRECTIONS
from jaxnoise.spectrum.panel import Panel
from jaxnoise.spectrum.shares import mean_over_pictures, normalized, over_members
from jaxnoise.spectrum.summary import Summary

DIRECTION_WORDS = {
    "random": "random direction",
    "same_class": "towards the same class",
    "other_class": "towards another class",
}
FREQUENCY = "frequency (cycles per unit distance)"


def draw(
    folder: Path,
    stem: str,
    panel: Panel,
    summary: Summary,
    *,
    length: float,
    cutoff: int,
    title: str,
) -> None:
    """Writes four figures, each as .png and .pdf; without norms of the layers, three.

    Args:
      folder: where; made if missing.
      stem: of the files: stem_lines, stem_summary, stem_jacobian and stem_layers.
      title: of every figure.
    """
    folder.mkdir(exist_ok=True)
    save(_lines(panel, length, cutoff, title), folder / f"{stem}_lines")
    save(_summary(summary, length, cutoff, title), folder / f"{stem}_summary")
    save(_jacobian(summary, title), folder / f"{stem}_jacobian")
    if panel.norms:
        save(_layers(panel, summary, title), folder / f"{stem}_layers")
    else:  # an earlier one would look like a part of this panel
        for kind in ("png", "pdf"):
            (folder / f"{stem}_layers.{kind}").unlink(missing_ok=True)


def _lines(panel: Panel, length: float, cutoff: int, title: str) -> Figure:
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    panels = figure.subplots(1, len(DIRECTIONS), sharex=True, sharey=True)
    for j, (axes, direction) in enumerate(zip(panels, DIRECTIONS, strict=True)):
        for name, power in panel.power.items():
            label, colour, style, _ = SETS[name]
            shares = mean_over_pictures(normalized(power[:, :, j]))
            mean, _ = over_members(shares)
            x = np.arange(len(mean)) / length
            # The trend has no place on a logarithmic axis, and the last bin is half a bin.
            drawn = slice(1, -1)
            axes.plot(x[drawn], shares.T[drawn], color=colour, linewidth=0.7, alpha=0.3)
            axes.plot(x[drawn], mean[drawn], style, color=colour, label=label, linewidth=1.6)
        axes.axvline(cutoff / length, color=GUIDE, linewidth=0.8, zorder=0)
        axes.annotate(
            "cut-off", (cutoff / length, 0.97), xycoords=("data", "axes fraction"),
            xytext=(3, 0), textcoords="offset points", va="top", fontsize=8, color=NOTE,
        )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(DIRECTION_WORDS[direction], fontsize=10)
        axes.set_xlabel(f"{FREQUENCY}\n(log scale)")
        decorate(axes)
        _plain_decades(axes, 1, 2, 5)
    panels[0].set_ylabel("share of the power\nalong the line (log scale)")
    _finish(figure, panels[0], title, "means over pictures: of each repeat (thin), of all of them")
    return figure


def _summary(summary: Summary, length: float, cutoff: int, title: str) -> Figure:
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    panels = figure.subplots(1, 3)
    quantities = (
        (
            summary.share,
            f"share of the power at ≥ {cutoff / length:.2g}\ncycles per unit distance (%)",
            100,
        ),
        (summary.centroid, "spectral centroid\n(cycles per unit distance)", 1),
        (summary.power, "power along the line (logits²)", 1),
    )
    for axes, (values, label, factor) in zip(panels, quantities, strict=True):
        _dots(axes, {name: factor * mean_over_pictures(x) for name, x in values.items()})
        axes.set_xticks(range(len(DIRECTIONS)), ["random", "same\nclass", "another\nclass"])
        axes.set_xlim(-0.5, len(DIRECTIONS) - 0.5)
        axes.set_xlabel("direction of the line")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        decorate(axes)
    _finish(figure, panels[0], title, "each repeat, and their mean")
    return figure


def _dots(axes: Axes, values: dict[str, np.ndarray]) -> None:
    """Every member's number (members, columns), and a bar at their mean."""
    for i, (name, of_members) in enumerate(values.items()):
        label, colour, _, marker = SETS[name]
        columns = np.arange(of_members.shape[1]) + 0.22 * (i - (len(values) - 1) / 2)
        x = np.broadcast_to(columns, of_members.shape)
        axes.plot(
            x.ravel(), of_members.ravel(), marker, color=colour, alpha=0.55, markersize=4,
            label=label, markeredgewidth=0,
        )  # fmt: skip
        mean, _ = over_members(of_members)
        axes.hlines(mean, columns - 0.09, columns + 0.09, color=colour, linewidth=1.8)


def _jacobian(summary: Summary, title: str) -> Figure:
    figure = Figure(figsize=(7.6, 3.7), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    quantities = (
        (summary.frobenius, "‖J‖$_F$\n(logits per unit distance, log scale)"),
        (summary.largest, "largest singular value of J\n(logits per unit distance, log scale)"),
    )
    for axes, (values, x_label) in zip(panels, quantities, strict=True):
        for name, of_pictures in values.items():
            label, colour, style, _ = SETS[name]
            for i, row in enumerate(of_pictures):
                row = np.sort(row[np.isfinite(row)])
                axes.plot(
                    row, 100 * (np.arange(len(row)) + 1) / max(len(row), 1), style, color=colour,
                    linewidth=1, alpha=0.8, label=label if i == 0 else None,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel(x_label)
        decorate(axes)
        _plain_decades(axes, 1, 2, 3, 5, 7)
    panels[0].set_ylabel("pictures at or below (%)")
    _finish(figure, panels[0], title, "distribution over pictures, a line for each repeat")
    return figure


def _layers(panel: Panel, summary: Summary, title: str) -> Figure:
    norms, names = panel.norms, panel.layer_names
    bounds = {"measured on pictures": summary.lower_bound, "bound by layers": norms.upper_bound}
    # Layers are rows, whose names stay legible for fifty of them.
    rows = 0.21 * max(len(names), 6), 0.21 * 3
    figure = Figure(figsize=(9.6, 1.9 + sum(rows)), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=rows)
    for i, (quantity, (label, colour, _, marker)) in enumerate(NORMS.items()):
        values = getattr(norms, quantity)
        y = np.broadcast_to(np.arange(len(names)) + 0.18 * (i - 1.5), values.shape)
        upper.plot(
            values.ravel(), y.ravel(), marker, color=colour, label=label, markersize=4.5,
            alpha=0.6, markeredgewidth=0,
        )  # fmt: skip
    upper.axvline(1, color=GUIDE, linewidth=0.8, zorder=0)
    upper.set_xlabel("norm (log scale)")
    for i, values in enumerate(bounds.values()):
        lower.plot(values, np.full(len(values), i), "o", color=BLACK, alpha=0.6, markersize=4.5,
                   markeredgewidth=0)  # fmt: skip
    lower.set_xlabel("Lipschitz constant (logits per unit distance, log scale)")
    for axes, rows_of in ((upper, names), (lower, bounds)):
        axes.set_yticks(range(len(rows_of)), rows_of, fontsize=9)
        axes.set_ylim(len(rows_of) - 0.5, -0.5)  # the first one is on top
        axes.set_xscale("log")
        decorate(axes)
    _plain_decades(upper, 1, 2, 5)
    _finish(figure, upper, title, "a point for each repeat")
    return figure


def _plain_decades(axes: Axes, *subs: float) -> None:
    """Few ticks with plain numbers such as 0.5 and 20, which fit on narrow axes."""
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _finish(figure: Figure, axes: Axes, title: str, shows: str) -> None:
    figure.suptitle(f"{title}\n{shows}", fontsize=10)
    legend_below(figure, axes)


def verdict(
    looks: Sequence[Look],
    shares: Sequence[np.ndarray],
    accuracies: Sequence[np.ndarray],
    *,
    title: str,
) -> Figure:
    """A point for each repeat of each run, a panel for each direction.

    If the thesis explained everything, points would fall from the upper left to the lower right.

    Args:
      looks: of the runs.
      shares: of high frequencies on changed samples, percent, (members, DIRECTIONS) each.
      accuracies: on test, percent, (members,) each.
    """
    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    panels = figure.subplots(1, len(DIRECTIONS), sharey=True)
    for j, (axes, direction) in enumerate(zip(panels, DIRECTIONS, strict=True)):
        for look, share, accuracy in zip(looks, shares, accuracies, strict=True):
            label, colour, _, marker = look
            axes.plot(
                share[:, j], accuracy, marker, label=label, markersize=5, color=colour, alpha=0.8,
                markeredgecolor=PAPER,
            )  # fmt: skip
        decorate(axes)
        axes.set_title(DIRECTION_WORDS[direction], fontsize=10)
        axes.set_xlabel("high-frequency share\non changed samples (%)")
    panels[0].set_ylabel("test accuracy (%)")
    legend_below(figure, panels[0])
    figure.suptitle(f"{title}, a point for each repeat", fontsize=10)
    return figure
