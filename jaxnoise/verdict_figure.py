"""The verdict over several runs as a picture: high-frequency share against test accuracy."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxnoise.figures import SERIES
from jaxnoise.fourier_lines import DIRECTIONS
from jaxnoise.spectrum_figures import DIRECTION_WORDS, decorate


def draw(
    names: Sequence[str],
    shares: Sequence[np.ndarray],
    accuracies: Sequence[np.ndarray],
    *,
    title: str,
) -> Figure:
    """A point for each repeat of each run, a panel for each direction.

    Were the thesis all there is to it, points would fall from the upper left to the lower right.

    Args:
      names: of the runs.
      shares: of high frequencies on changed samples, percent, (members, DIRECTIONS) each.
      accuracies: on test, percent, (members,) each.
    """
    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    panels = figure.subplots(1, len(DIRECTIONS), sharey=True)
    for j, (axes, direction) in enumerate(zip(panels, DIRECTIONS, strict=True)):
        for i, (name, share, accuracy) in enumerate(zip(names, shares, accuracies, strict=True)):
            colour, marker = SERIES[i % len(SERIES)]
            axes.plot(
                share[:, j], accuracy, marker, label=name, markersize=5, color=colour, alpha=0.8,
                markeredgecolor="white",
            )  # fmt: skip
        decorate(axes)
        axes.set_title(DIRECTION_WORDS[direction], fontsize=10)
        axes.set_xlabel("high-frequency share\non changed samples (%)")
    panels[0].set_ylabel("test accuracy (%)")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", fontsize=9,
        frameon=False, ncols=min(5, len(names)),
    )  # fmt: skip
    figure.suptitle(f"{title}, a point for each repeat", fontsize=10)
    return figure
