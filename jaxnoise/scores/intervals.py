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


def paired_difference(difference: np.ndarray) -> Difference:
    """Mean d of paired differences and its 95 % interval d ± t(0.975, n − 1) · s/√n.

    Student's t for pairs, s being the sample's standard deviation.

    Args:
      difference: float (n,), n ≥ 2.
    """
    n, mean = len(difference), difference.mean()
    quantile = stdtrit(n - 1, (1 + CONFIDENCE) / 2)  # scipy.stats takes half a second to import
    half = quantile * difference.std(ddof=1) / np.sqrt(n)
    return Difference(*map(float, (mean, mean - half, mean + half)))
