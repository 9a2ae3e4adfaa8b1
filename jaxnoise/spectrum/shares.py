"""Spectra in numbers: shares of power by frequency, and means over pictures and members.

What `fourier_lines` has measured is a power spectrum for each picture. NumPy alone reads it.
"""

import numpy as np


def normalized(power: np.ndarray) -> np.ndarray:
    """p: power (..., bins) over its sum, float64; NaN where a function is constant."""
    power = np.float64(power)
    with np.errstate(invalid="ignore"):
        return power / power.sum(axis=-1, keepdims=True)


def share_above(power: np.ndarray, cutoff: int) -> np.ndarray:
    """Σ_{k ≥ cutoff} p_k, in [0, 1], of power (..., bins): the share of high frequencies."""
    return normalized(power)[..., cutoff:].sum(axis=-1)


def centroid(power: np.ndarray, length: float) -> np.ndarray:
    """Σ_k p_k · k/L of power (..., bins): the mean frequency, cycles per unit distance."""
    return normalized(power) @ (np.arange(power.shape[-1]) / length)


def mean_over_pictures(values: np.ndarray) -> np.ndarray:
    """(members, pictures, ...) to (members, ...), over the pictures that have a value."""
    finite = np.isfinite(values)
    count = finite.sum(axis=1)
    sums = np.where(finite, values, 0).sum(axis=1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def over_members(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation over the first axis, over the members that are finite; NaN if none is."""
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.any():
        return (np.full(values.shape[1:], np.nan),) * 2
    return values[finite].mean(axis=0), values[finite].std(axis=0)
