"""Finding wrong training labels by the loss that the nets have on them."""

import numpy as np


def measure(score: np.ndarray, changed: np.ndarray) -> dict[str, float]:
    """How well a score separates changed labels from others: `noise_auroc` and `noise_aupr`.

    Areas, in [0, 1], under the ROC curve (1/2 for a random score) and, as average precision, under
    the curve of precision over recall (the true rate for a random score). NaN if the score is not
    finite, or if all labels are changed or none is.

    Args:
      score: float (samples,), high where the label is thought to be wrong.
      changed: bool (samples,).
    """
    from sklearn import metrics  # half a second that a start need not wait for

    if not np.isfinite(score).all() or changed.all() or not changed.any():
        return {"noise_auroc": float("nan"), "noise_aupr": float("nan")}
    return {
        "noise_auroc": float(metrics.roc_auc_score(changed, score)),
        "noise_aupr": float(metrics.average_precision_score(changed, score)),
    }
