"""The noise estimated from predictions for held-out samples: its rate and its transition matrix.

A net that has memorized its training labels predicts them, so that its predictions for these
samples say little about noise. Held-out samples have noisy labels that no net was trained on.

T[i, j] = P(noisy = j | clean = i).
"""

from typing import NamedTuple

import numpy as np

from jaxnoise.labels import transition
from jaxnoise.labels.noise import NoisyLabels

WAYS = ("confident", "anchor")
# What `measure` gives of one repeat.
ESTIMATED = tuple(
    f"{way}_{what}" for way in WAYS for what in ("rate", "rate_error", "matrix_error")
)
# So much may a probability be below its threshold by rounding, where all are equal.
_ROUNDING = 1e-6


class Estimate(NamedTuple):
    """What an estimate says of the noise; NaN where it says nothing."""

    rate: float  # share of wrong labels, in [0, 1]
    matrix: np.ndarray  # T, float64 (K, K)


def measure(
    logits: np.ndarray, given: NoisyLabels, train: NoisyLabels
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Both estimates of one repeat, beside the truth of the labels that it was trained on.

    The truth is that of the training labels, which are what one wants to know about: the distance
    from it includes that of the held-out labels' noise, which is another draw of the same kind.
    `…_rate_error` is |rate − true rate|, `…_matrix_error` as in `matrix_error`, from the shares
    realized in these labels. Both are NaN if no label is known to be wrong.

    All is NaN if the logits are not finite or there are none. So is what confident learning says if
    the held-out labels are without the noise of the training labels.

    Args:
      logits: float (n, K), of the net for n held-out samples.
      given: the labels of these samples.
      train: the labels trained on.

    Returns:
      a number for each of ESTIMATED, and T for each of WAYS.
    """
    import scipy.special  # here, so that it loads after training

    num_classes = logits.shape[1]
    nothing = Estimate(float("nan"), np.full((num_classes, num_classes), np.nan))
    found = dict.fromkeys(WAYS, nothing)
    if logits.size and np.isfinite(logits).all():
        probabilities = scipy.special.softmax(np.float64(logits), axis=1)
        found["anchor"] = by_anchor_points(probabilities)
        if given.changed.any() or not train.changed.any():
            found["confident"] = by_confident_learning(probabilities, given.noisy)
    scores = dict.fromkeys(ESTIMATED, float("nan"))
    for way, estimate in found.items():
        scores[f"{way}_rate"] = estimate.rate
        if train.changed.any():
            realized = train.realized_matrix(num_classes)
            scores[f"{way}_rate_error"] = abs(estimate.rate - float(train.changed.mean()))
            scores[f"{way}_matrix_error"] = matrix_error(estimate.matrix, realized)
    return scores, {way: estimate.matrix for way, estimate in found.items()}


def by_confident_learning(probabilities: np.ndarray, given: np.ndarray) -> Estimate:
    """From the joint distribution Q[i, j] = P(noisy = i, clean = j) of `joint`.

    The rate is 1 − Σ_i Q[i, i], and T[j, i] = Q[i, j] / Σ_k Q[k, j], NaN for a class that no sample
    is taken to be of.

    Args:
      probabilities: float (n, K), predictions for samples that the net was not trained on.
      given: int (n,), their noisy labels.
    """
    distribution = joint(probabilities, given)
    with np.errstate(invalid="ignore"):  # 0 / 0
        matrix = (distribution / distribution.sum(axis=0)).T
    return Estimate(1 - float(np.trace(distribution)), matrix)


def joint(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Estimates the joint distribution of noisy and clean labels by confident learning.

    The confident joint C[i, j] counts the samples with label i that are confidently of class j: p_j
    is not below t_j, the mean of p_j over the samples with label j. If that is so of several
    classes, the sample is of that with the largest p_j. With n_i samples with label i,
    Q[i, j] = n_i / n · C[i, j] / Σ_k C[i, k], so that the rows sum to the shares of the noisy
    labels. If no sample with label i is confidently of any class, its labels are taken to be right.
    Source: Northcutt et al., "Confident Learning" (JAIR 2021, https://arxiv.org/abs/1911.00068),
    whose package cleanlab rounds Q · n to whole samples.

    Args:
      probabilities: float (n, K), rows sum to 1.
      given: int (n,), noisy labels in [0, K).

    Returns:
      Q, float64 (K, K), which sums to 1.
    """
    num_classes = probabilities.shape[1]
    counts = np.bincount(given, minlength=num_classes)
    own = probabilities[np.arange(len(given)), given]
    sums = np.bincount(given, own, minlength=num_classes)
    # Nothing is confidently of a class without labels.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = probabilities >= thresholds - _ROUNDING
    some = confident.any(axis=1)
    likeliest = np.where(confident, probabilities, -1.0).argmax(axis=1)
    confident_joint = np.zeros((num_classes, num_classes))
    np.add.at(confident_joint, (given[some], likeliest[some]), 1)
    np.fill_diagonal(
        confident_joint, np.where(confident_joint.any(axis=1), np.diag(confident_joint), 1)
    )
    rows = confident_joint / confident_joint.sum(axis=1, keepdims=True)
    return rows * counts[:, None] / len(given)


def by_anchor_points(probabilities: np.ndarray) -> Estimate:
    """From the anchor points of `transition.estimate`; needs no label.

    The rate is Σ_i π_i · (1 − T[i, i]), where π_i is the share of the samples that are predicted as
    class i: these predictions are of the clean classes as long as most labels of a class are right.

    Args:
      probabilities: float (n, K), predictions for samples that the net was not trained on.
    """
    matrix = np.float64(transition.estimate(probabilities))
    shares = np.bincount(probabilities.argmax(axis=1), minlength=len(matrix)) / len(probabilities)
    return Estimate(float(shares @ (1 - np.diag(matrix))), matrix)


def matrix_error(estimated: np.ndarray, realized: np.ndarray) -> float:
    """Distance of two transition matrices: the mean over i of Σ_j |T̂[i, j] − T[i, j]|.

    In [0, 2]: 0 if they are equal, 2 if they share no transition. A class whose row either of them
    lacks (NaN) is left out; NaN if that is so of all.

    Args:
      estimated, realized: float (K, K), rows sum to 1.
    """
    distances = np.abs(estimated - realized).sum(axis=1)
    known = np.isfinite(distances)
    return float(distances[known].mean()) if known.any() else float("nan")
