"""Finding wrong training labels by the loss that the nets have on them."""

import numpy as np

# What `found` gives of one repeat.
FOUND = (
    "f1_at_true_rate", "mixture_precision", "mixture_recall", "mixture_f1", "mixture_rate",
    "mixture_rate_error",
)  # fmt: skip
_ADDED_VARIANCE = 5e-4


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


def found(loss: np.ndarray, changed: np.ndarray) -> dict[str, float]:
    """What two thresholds on the loss find of the changed labels: `FOUND`, all in [0, 1].

    `f1_at_true_rate` is for someone who knows the true rate, changed / all: the first ⌈rate · N⌉
    samples by loss are called wrong, of equal ones the first, which are as many as are changed. So
    precision, recall and F1 are the same number there. The requested rate is not meant: noise may
    draw the true class, or leave classes alone, and given labels have none.

    `mixture_precision`, `mixture_recall` and `mixture_f1` need no rate: a label is called wrong if
    its posterior by `mixture` is above 1/2. `mixture_rate` is the mean of these posteriors, an
    estimate of the true rate, and `mixture_rate_error` the distance between the two.

    Where all labels are changed or none is, precision, recall and F1 are NaN, as there is nothing
    to tell apart; if none is, the error is too, since no label is known to be right. If none is
    called wrong, they are 0. All are NaN if the mixture's posteriors are.

    Args:
      loss: float (samples,), on the label trained on.
      changed: bool (samples,).
    """
    wrong = mixture(loss)
    scores = dict.fromkeys(FOUND, float("nan")) | {"mixture_rate": float(wrong.mean())}
    if changed.any():
        scores["mixture_rate_error"] = abs(scores["mixture_rate"] - float(changed.mean()))
    if not np.isfinite(wrong).all() or changed.all() or not changed.any():
        return scores
    first = np.argsort(-loss, kind="stable")[: changed.sum()]
    called = wrong > 0.5
    right = int((called & changed).sum())
    scores["f1_at_true_rate"] = float(changed[first].mean())
    scores["mixture_precision"] = right / max(int(called.sum()), 1)
    scores["mixture_recall"] = right / int(changed.sum())
    scores["mixture_f1"] = 2 * right / int(called.sum() + changed.sum())
    return scores


def mixture(loss: np.ndarray) -> np.ndarray:
    """The posterior of each label to be wrong, by a mixture of two Gaussians: float64 (samples,).

    It is fitted to the losses, scaled to [0, 1], and the component of the larger mean is that of
    the wrong labels. A mixture has two components whatever it is fitted to, so without any wrong
    label it finds some all the same. Source: Li et al., "DivideMix" (ICLR 2020,
    https://arxiv.org/abs/2002.07394), with the tolerance of its code and the variance of 5e-4 that
    it adds. It starts from k-means too, whose optimum for two groups of numbers is found here
    without a seed: the split of the sorted losses with the largest n₁ · n₂ · (mean₂ − mean₁)².

    NaN if a loss is not finite, or all are equal.

    Args:
      loss: float (samples,).
    """
    from sklearn.mixture import GaussianMixture  # as in `measure`

    if not np.isfinite(loss).all() or loss.min() == loss.max():
        return np.full(len(loss), np.nan)
    scaled = np.float64(loss)
    scaled = (scaled - scaled.min()) / (scaled.max() - scaled.min())
    x = np.sort(scaled)
    first = np.arange(1, len(x))
    below, above = x.cumsum()[:-1] / first, x[::-1].cumsum()[-2::-1] / first[::-1]
    split = 1 + (first * first[::-1] * (above - below) ** 2).argmax()
    groups = x[:split], x[split:]
    gaussians = GaussianMixture(
        2,
        tol=1e-2,
        reg_covar=_ADDED_VARIANCE,
        weights_init=[len(group) / len(x) for group in groups],
        means_init=[[group.mean()] for group in groups],
        precisions_init=[[[1 / (group.var() + _ADDED_VARIANCE)]] for group in groups],
    )
    gaussians.fit(x[:, None])
    return gaussians.predict_proba(scaled[:, None])[:, gaussians.means_.argmax()]
