"""Confidence intervals of means and of paired differences."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


class Difference(NamedTuple):
    """Mean of paired differences and its confidence interval, in percentage points."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """As in `−0.36 [−0.79, +0.07]`."""
        return f"{signed(self.mean)} [{signed(self.low)}, {signed(self.high)}]"


def signed(x: float) -> str:
    """Two decimals with a sign, which is no hyphen; what is rounded to zero is +0.00."""
    return f"{round(x, 2) + 0.0:+.2f}".replace("-", "−")


def t_quantile(degrees_of_freedom: int) -> float:
    """How many standard errors a 95 % interval reaches to each side (Student's t)."""
    # Not of scipy.stats, which takes half a second to import.
    return float(stdtrit(degrees_of_freedom, (1 + CONFIDENCE) / 2))


def paired_difference(difference: np.ndarray) -> Difference:
    """Mean d of paired differences and its 95 % interval d ± t(0.975, n − 1) · s/√n.

    Student's t for pairs, s being the sample's standard deviation.

    Args:
      difference: float (n,), n ≥ 2.
    """
    n, mean = len(difference), difference.mean()
    half = t_quantile(n - 1) * difference.std(ddof=1) / np.sqrt(n)
    return Difference(*map(float, (mean, mean - half, mean + half)))
