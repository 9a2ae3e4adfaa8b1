"""How much of a score's variance comes from the draw of the noise, and how much from training."""

from typing import NamedTuple

import numpy as np


class Components(NamedTuple):
    """Standard deviations, in the unit of the score."""

    noise: float  # between draws of the noise
    training: float  # between repeats on the same draw: initialization and batch order


def components(scores: np.ndarray, draw: np.ndarray) -> Components:
    """Variance components of a one-way random-effects model, by its mean squares.

    The model is y_ij = μ + a_i + e_ij for draw i of D and repeat j of n_i on it, N = Σ_i n_i, with
    independent a_i ~ (0, σ_a²) and e_ij ~ (0, σ_e²): repeats are nested in draws, no two share
    an initialization. From MS_between = Σ_i n_i (ȳ_i − ȳ)² / (D − 1) and MS_within = Σ_ij (y_ij −
    ȳ_i)² / (N − D) follow σ_e² = MS_within and σ_a² = max(0, (MS_between − MS_within) / n₀), where
    n₀ = (N − Σ_i n_i² / N) / (D − 1), which is n if all n_i = n.
    Source: Searle, Casella and McCulloch, "Variance Components" (1992), chapter 3.

    Args:
      scores: float (N,).
      draw: int (N,), the draw that each repeat trains on.

    Returns:
      both, NaN if there are fewer than two draws, or no draw has two repeats.
    """
    y = np.float64(scores)
    _, i, runs = np.unique(draw, return_inverse=True, return_counts=True)
    total, draws = len(y), len(runs)
    if draws < 2 or total == draws:
        return Components(float("nan"), float("nan"))
    means = np.bincount(i, y) / runs
    between = runs @ (means - y.mean()) ** 2 / (draws - 1)
    within = ((y - means[i]) ** 2).sum() / (total - draws)
    mean_runs = (total - (runs**2).sum() / total) / (draws - 1)
    # np.maximum, unlike max, lets NaN through.
    noise = np.sqrt(np.maximum(0.0, (between - within) / mean_runs))
    return Components(float(noise), float(np.sqrt(within)))
