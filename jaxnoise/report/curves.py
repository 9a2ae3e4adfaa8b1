"""The curves of a run in numbers: accuracy and memorization by epoch, and its mean spectrum.

Means are over the repeats that did not diverge, with ± std. All numbers have four significant
digits, more than a curve can show, so that a page can hold those of many runs.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnoise.figures.colours import CURVES, MEMORIZATION, SETS, Look
from jaxnoise.scores import divergence
from jaxnoise.spectrum.shares import mean_over_pictures, normalized, over_members


class Panel(NamedTuple):
    """Curves that share their axes."""

    looks: dict[str, Look]  # by the names of what they show in history.npz or spectrum.npz
    x: str  # what stands at the axes
    y: str
    logarithmic: bool = False
    limits: tuple[float, float] | None = None  # no value can be beyond; nor is a band drawn there


PANELS = {
    "accuracy": Panel(
        {f"{name}_accuracy": look for name, look in CURVES.items()},
        "epoch",
        "accuracy (%)",
        limits=(0, 100),
    ),
    "memorization": Panel(
        MEMORIZATION, "epoch", "share of these training samples (%)", limits=(0, 100)
    ),
    "spectrum": Panel(
        {f"{name}_power": look for name, look in SETS.items()},
        "frequency (cycles per unit distance, log scale)",
        "share of power (log scale)",
        logarithmic=True,
    ),
}
# What they need of history.npz.
BY_EPOCH = [*PANELS["accuracy"].looks, *PANELS["memorization"].looks]


def of_run(history: dict[str, np.ndarray], folder: Path) -> dict[str, dict[str, Any]]:
    """The curves of each of PANELS in which a run has any; none if its files are damaged.

    Args:
      history: of the run in `folder`, float (epochs, repeats) each.

    Returns:
      for each panel `mean` and `std`, which have a list of numbers for each of its looks, in their
      order. An element None is not a finite number, and a list None has no element that is one, or
      a std of zero throughout, as for one repeat. A spectrum has `x` too; epochs count from 1.
    """
    try:
        # Without a validation part there is no such curve.
        none = np.full(history["test_accuracy"].shape, np.nan)
        history = {"valid_accuracy": none} | history
        survived = divergence.epochs(history) == 0
        counted = survived if survived.any() else ~survived
        found = {
            panel: _by_epoch([history[name][:, counted] for name in PANELS[panel].looks])
            for panel in ("accuracy", "memorization")
        }
        if (folder / "spectrum.npz").is_file():
            found["spectrum"] = _spectrum(folder / "spectrum.npz")
    except Exception:  # each kind of damage raises another type
        return {}
    return {panel: numbers for panel, numbers in found.items() if any(numbers["mean"])}


def _by_epoch(curves: list[np.ndarray]) -> dict[str, Any]:
    # In float64, because values that are still finite may have squares that are not.
    values = np.float64(curves)
    return {
        "mean": [_listed(curve) for curve in values.mean(axis=2)],
        "std": [_listed(curve) if np.any(curve > 0) else None for curve in values.std(axis=2)],
    }


def _spectrum(path: Path) -> dict[str, Any]:
    """Mean shares of power along random lines, of the sets of pictures that were measured."""
    drawn = slice(1, -1)  # the trend is no frequency, and the last bin is half a bin
    # Opened here, since NumPy leaves a damaged archive open.
    with open(path, "rb") as file, np.load(file) as archive:
        means = [
            over_members(mean_over_pictures(normalized(archive[name])[:, :, 0]))[0][drawn]
            if name in archive
            else np.array([])
            for name in PANELS["spectrum"].looks
        ]
        return {
            "x": _listed(archive["frequencies"][drawn]),
            "mean": [_listed(mean) for mean in means],
            "std": [None for _ in means],
        }


def _listed(curve: np.ndarray) -> list[float | None] | None:
    finite = np.isfinite(curve)
    if not finite.any():
        return None
    return [float(f"{x:.4g}") if ok else None for x, ok in zip(curve, finite, strict=True)]
