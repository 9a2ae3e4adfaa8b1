"""How much of a score's variance is the draw of the noise, and how much the training."""

from typing import NamedTuple

import numpy as np


class Components(NamedTuple):
    """Standard deviations, in the unit of the score."""

    noise: float  # between draws of the noise
    training: float  # between runs on the same draw: initialization and batch order


def components(scores: np.ndarray, draws: int) -> Components:
    """Variance components of a balanced one-way random-effects model, by its mean squares.

    The model is y_ij = μ + a_i + e_ij for draw i of D and run j of n on it, with independent a_i ~
    (0, σ_a²) and e_ij ~ (0, σ_e²): runs are nested in draws, no two share an initialization. From
    MS_between = n Σ_i (ȳ_i − ȳ)² / (D − 1) and MS_within = Σ_ij (y_ij − ȳ_i)² / (D (n − 1)) follow
    σ_e² = MS_within and σ_a² = max(0, (MS_between − MS_within) / n).
    Source: Searle, Casella and McCulloch, "Variance Components" (1992), chapter 3.

    Args:
      scores: float (D · n,), run r on draw r modulo D.
      draws: D >= 2, with n >= 2.
    """
    by_draw = np.float64(scores).reshape(-1, draws)
    runs = len(by_draw)
    between = runs * by_draw.mean(axis=0).var(ddof=1)
    within = by_draw.var(axis=0, ddof=1).mean()
    # np.maximum, unlike max, lets NaN through.
    noise = np.sqrt(np.maximum(0.0, (between - within) / runs))
    return Components(float(noise), float(np.sqrt(within)))
