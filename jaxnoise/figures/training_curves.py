"""Figures of a run: loss, accuracy and memorization per epoch, as a mean over thin repeats.

Loss and accuracy are also drawn repeat by repeat. Means are over the repeats that did not diverge;
if all diverged, over all of them, up to the epoch in which the first did.
"""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxnoise.figures.colours import CURVES, GUIDE, MEMORIZATION, PAPER, Look
from jaxnoise.figures.drawing import decorate, legend_below, save
from jaxnoise.figures.drawing import epochs as epochs_axis
from jaxnoise.scores import divergence

_UNITS = {"loss": "cross-entropy (nats)", "accuracy": "accuracy (%)"}


def draw(
    folder: Path,
    history: dict[str, np.ndarray],
    best_epoch: np.ndarray,
    *,
    title: str,
    validation_labels: str = "clean",
) -> None:
    """Writes the figures of loss, accuracy and memorization, each as .png and .pdf.

    Args:
      folder: where; made if missing.
      history: `{train_noisy,train,test}_{loss,accuracy}`, `valid_{loss,accuracy}` if there is a
        validation part, and what MEMORIZATION names, each float (epochs, repeats).
      best_epoch: int (repeats,), counted from 1; 0 if there is none.
      title: of every figure.
      validation_labels: clean or noisy, those that chose the best epoch.
    """
    folder.mkdir(exist_ok=True)
    diverged = divergence.epochs(history)
    for quantity in _UNITS:
        # Without a validation part there is no curve of it.
        curves = {name: history[key] for name in CURVES if (key := f"{name}_{quantity}") in history}
        save(_mean_figure(curves, CURVES, diverged, _UNITS[quantity], title), folder / quantity)
        figure = _repeats_figure(
            curves, quantity, best_epoch, diverged, title, f"best {validation_labels} validation"
        )
        save(figure, folder / f"{quantity}_repeats")
    shares = {name: history[name] for name in MEMORIZATION}
    # Without noise, changed labels have no curves.
    shares = {name: values for name, values in shares.items() if not np.isnan(values).all()}
    shares = shares or {name: history[name] for name in MEMORIZATION}
    figure = _mean_figure(
        shares, MEMORIZATION, diverged, "share of these training samples (%)", title
    )
    figure.axes[0].set_ylim(-3, 103)
    save(figure, folder / "memorization")


def _mean_figure(
    curves: dict[str, np.ndarray],
    drawn_as: dict[str, Look],
    diverged: np.ndarray,
    y_label: str,
    title: str,
) -> Figure:
    """The mean of each curve, float (epochs, repeats), in its colour and line style.

    Below it every repeat is a thin line, which stays in the range of its quantity; a band of mean
    ± std would not.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    epochs, repeats = next(iter(curves.values())).shape
    covered = diverged == 0 if (diverged == 0).any() else diverged > 0
    for name, values in curves.items():
        label, colour, style, _ = drawn_as[name]
        # In float64, because a loss that is still finite may have a square that is not.
        values = np.float64(values[:, covered])
        x, mean = np.arange(1, epochs + 1), values.mean(axis=1)
        thin = max(0.08, 0.3 / len(values[0]) ** 0.5)
        axes.plot(x, values, color=colour, linewidth=0.7, alpha=thin, **_marker(epochs))
        axes.plot(x, mean, style, color=colour, label=label, linewidth=1.8, **_marker(epochs))
    decorate(axes)
    epochs_axis(axes, epochs)
    axes.set_ylabel(y_label)
    words = divergence.averaged_in_words(diverged, "mean") + "; thin: each of them" * (repeats > 1)
    axes.set_title(f"{title}\n{words}", fontsize=10)
    legend_below(figure, axes)
    return figure


def _repeats_figure(
    curves: dict[str, np.ndarray],
    quantity: str,
    best_epoch: np.ndarray,
    diverged: np.ndarray,
    title: str,
    best: str,
) -> Figure:
    epochs, repeats = curves["test"].shape
    columns = min(repeats, 5)
    lines = math.ceil(repeats / columns)
    size = (max(5.4, 2.5 * columns), 2.3 * lines + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    low, high = _range(curves, diverged)
    for i, axes in enumerate(panels.flat):
        if i >= repeats:
            axes.set_axis_off()
            continue
        x, last = np.arange(1, epochs + 1), diverged[i] - 2  # index of the last epoch before
        for name, values in curves.items():
            label, colour, style, _ = CURVES[name]
            axes.plot(x, values[:, i], style, color=colour, label=label, **_marker(epochs))
            if last >= 0:
                end = np.clip(values[last, i], low, high)
                axes.plot(x[last], end, "X", color=colour, markeredgecolor=PAPER)
        if chosen := int(best_epoch[i]):
            axes.axvline(chosen, color=GUIDE, linewidth=0.8, zorder=0, label=best)
        decorate(axes)
        epochs_axis(axes, epochs)
        name = f"repeat {i + 1}"
        axes.set_title(
            f"{name}: diverged at epoch {diverged[i]}" if diverged[i] else name, fontsize=9
        )
        if i + columns >= repeats:
            axes.tick_params(labelbottom=True)
        else:
            axes.set_xlabel("")
    if diverged.any() and np.isfinite(high - low):
        margin = 0.05 * (high - low)
        panels.flat[0].set_ylim(low - margin, high + margin)
    figure.supylabel(_UNITS[quantity], fontsize=10)
    figure.suptitle(title, fontsize=10)
    legend_below(figure, panels.flat[0])
    return figure


def _range(curves: dict[str, np.ndarray], diverged: np.ndarray) -> tuple[float, float]:
    """The range of the repeats that did not diverge: values of the others may be huge."""
    values = np.stack(list(curves.values()))[:, :, diverged == 0]
    return (values.min(), values.max()) if values.size else (-np.inf, np.inf)


def _marker(epochs: int) -> dict[str, str]:
    """A single epoch is a point, which a line alone would not show."""
    return {"marker": "o"} if epochs == 1 else {}
