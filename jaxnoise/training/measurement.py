"""Scores of trained members, from their history, their nets and their losses on the samples.

The first three functions `of_...` together give all of `scoring.SCORES`, the last two all of
`scoring.DETECTION`, each float or int (repeats,).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxnoise.config import Config
from jaxnoise.labels.noisy_dataset import SPLITS, NoisyDataset
from jaxnoise.scores import calibration, detection, estimates, scoring
from jaxnoise.training.assembly import Engine


def of_history(history: dict[str, np.ndarray], best: np.ndarray) -> dict[str, np.ndarray]:
    """Scores measured while training: those of the best epoch, and the accuracy of the last epoch.

    Without a validation part, `scoring.OF_VALIDATION` are NaN.

    Args:
      history: the metrics of `evaluation.evaluate`, each float (epochs, repeats).
      best: int (repeats,), index of the best epoch, from 0; without a validation part, of the last.
    """
    repeat = np.arange(len(best))
    scores = {name: history[name][best, repeat] for name in scoring.SCORES if name in history}
    scores |= {"last_test_accuracy": history["test_accuracy"][-1], "best_epoch": best + 1}
    if "valid_accuracy" not in history:
        scores |= dict.fromkeys(scoring.OF_VALIDATION, np.full(len(best), np.nan))
    return scores


def of_nets(
    config: Config, dataset: NoisyDataset, engine: Engine, states: list[Any]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores measured on the best nets: Jacobian norms, and calibration on the test set.

    Args:
      states: states at the best epoch, one per group of the engine's trainer.

    Returns:
      the scores, and the logits of the validation part, float32 (repeats, validation samples, K).
    """
    _, trainer, pictures = engine
    index = {  # together, as one program for both is compiled in half the time
        f"{split}_jacob": evenly(split_index(dataset, split), config.jacob_samples)
        for split in ("train", "test")
    }
    measured = trainer.mean_jacobian(states, pictures, index)
    scores = trainer.gather(measured, config.total_repeats)
    test, valid = (split_index(dataset, split) for split in ("test", "valid"))
    # Together, as one program is compiled for both.
    measured = trainer.logits(states, pictures, np.concatenate([test, valid]))
    logits = trainer.gather(measured, config.total_repeats)
    true = [dataset.labels[test]] * len(logits)
    scores |= _each(calibration.measure, logits[:, : len(test)], true)
    return scores, logits[:, len(test) :]


def of_losses(dataset: NoisyDataset, loss: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of how well the loss detects changed labels.

    Args:
      loss: float (repeats, training samples), on the label trained on, averaged over epochs in
        some way: `evaluation.Suspicion`.
    """
    return _each(detection.measure, loss, [labels.changed for labels in dataset.noisy_labels])


def of_thresholds(dataset: NoisyDataset, loss: np.ndarray) -> dict[str, np.ndarray]:
    """What thresholds on the loss find: `detection.FOUND`, from what `of_losses` takes."""
    return _each(detection.found, loss, [labels.changed for labels in dataset.noisy_labels])


def of_predictions(
    dataset: NoisyDataset, logits: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The noise as predictions for the validation part show it.

    Args:
      logits: as `of_nets` returns them.

    Returns:
      `estimates.ESTIMATED`, and the matrices of `estimates.WAYS`, float64 (repeats, K, K).
    """
    labels = dataset.noisy_valid_labels, dataset.noisy_labels
    scores, matrices = zip(*map(estimates.measure, logits, *labels), strict=True)
    return _stacked(scores), _stacked(matrices)


def _each(measure: Callable, *repeats: Sequence) -> dict[str, np.ndarray]:
    """Applies `measure` to each repeat and stacks its scores, each (repeats,)."""
    return _stacked([measure(*repeat) for repeat in zip(*repeats, strict=True)])


def _stacked(measured: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What is measured of each repeat, as arrays that lead with (repeats,)."""
    return {name: np.array([of_one[name] for of_one in measured]) for name in measured[0]}


def split_index(dataset: NoisyDataset, split: str) -> np.ndarray:
    """Indices of a split's pictures, int32."""
    return np.flatnonzero(dataset.split == SPLITS.index(split)).astype(np.int32)


def evenly(index: np.ndarray, samples: int) -> np.ndarray:
    """`samples` of the indices, evenly spaced; all if it is 0 or not less than their number."""
    if 0 < samples < len(index):
        return index[np.arange(samples) * len(index) // samples]
    return index
