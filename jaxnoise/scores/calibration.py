"""Calibration: whether predictions are right as often as their confidence says."""

import numpy as np

BINS = 15


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`test_ece`, `test_nll` (nats) and `test_brier` of one repeat; NaN if its logits are.

    Args:
      logits: float (samples, classes).
      labels: int (samples,), true, in [0, classes).
    """
    import scipy.special  # here, so that it loads after training

    if not np.isfinite(logits).all():
        return dict.fromkeys(("test_ece", "test_nll", "test_brier"), float("nan"))
    # From logits and in float64, so that no probability is rounded to 0 before its logarithm.
    log_probabilities = scipy.special.log_softmax(np.float64(logits), axis=1)
    probabilities = np.exp(log_probabilities)
    return {
        "test_ece": ece(probabilities=probabilities, labels=labels),
        "test_nll": nll(log_probabilities=log_probabilities, labels=labels),
        "test_brier": brier(probabilities=probabilities, labels=labels),
    }


def ece(*, probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error Σ_m |B_m|/n · |accuracy(B_m) − confidence(B_m)|, in [0, 1].

    B_m holds the samples whose confidence max_k p_k is in ((m − 1)/bins, m/bins]. Source: Guo et
    al., "On Calibration of Modern Neural Networks" (ICML 2017, https://arxiv.org/abs/1706.04599).

    Args:
      probabilities: float (samples, classes), rows sum to 1.
      labels: int (samples,), true.
    """
    confidence = probabilities.max(axis=1)
    excess = (probabilities.argmax(axis=1) == labels) - confidence
    # Not above the last, where a rounded confidence exceeds 1.
    bin_ = np.minimum(np.ceil(bins * confidence), bins).astype(int)
    return float(np.abs(np.bincount(bin_, excess)).sum() / len(labels))


def nll(*, log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Negative log-likelihood, the mean of −log p_y, in nats: the cross-entropy.

    scikit-learn's log_loss is not used: it takes probabilities, and none below 2⁻⁵².

    Args:
      log_probabilities: float (samples, classes).
      labels: int (samples,), true.
    """
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def brier(*, probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Brier score, the mean of Σ_k (p_k − 1[y = k])², in [0, 2].

    Source: Brier, "Verification of Forecasts Expressed in Terms of Probability" (1950,
    https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).

    Args:
      probabilities: float64 (samples, classes), rows sum to 1.
      labels: int (samples,), true.
    """
    classes = np.arange(probabilities.shape[1])
    from sklearn.metrics import brier_score_loss  # half a second that a start need not wait for

    return float(brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False))
