"""Four ways to choose an epoch, and the test accuracy at each.

Each of them chooses the earliest of equal epochs.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxnoise.scores import divergence


class Selection(NamedTuple):
    """A way to choose an epoch."""

    words: str
    chosen_by: str | None  # the metric whose first maximum it is; None: the last epoch


SELECTIONS = {
    "last": Selection("last epoch", None),
    "best_noisy_valid": Selection("best noisy validation", "valid_noisy_accuracy"),
    "best_clean_valid": Selection("best clean validation", "valid_accuracy"),
    "oracle_test": Selection("ORACLE: best test", "test_accuracy"),
}
ORACLE_WORDS = "ORACLE chooses the epoch on the test set: an upper bound, not a result"


class Selected(NamedTuple):
    """The test accuracy of every repeat at the epoch chosen for it."""

    accuracy: np.ndarray  # float32 (repeats,), percent; NaN if the repeat diverged
    epoch: np.ndarray  # int (repeats,), counted from 1; 0 if the repeat diverged


def headline(validation_labels: str) -> Selection:
    """The selection behind the scores of a run: --validation_labels is clean or noisy."""
    return SELECTIONS[f"best_{validation_labels}_valid"]


def improves(accuracy: Any, best: Any) -> Any:
    """Whether an epoch is strictly better than the best before it, so the earliest of equals stays.

    The rule of `select`, epoch by epoch, for keeping the best epoch's nets while training.

    Args:
      accuracy, best: float, any shape, NumPy's or JAX's; of the metric `headline` names.
    """
    return accuracy > best


def select(history: dict[str, np.ndarray]) -> dict[str, Selected]:
    """All four, by their names in SELECTIONS; of equal epochs the earliest.

    Args:
      history: the metrics of `loop.advance`, each float (epochs, repeats).
    """
    test, survived = history["test_accuracy"], divergence.epochs(history) == 0
    epochs, repeats = test.shape
    selected = {}
    for name, (_, chosen_by) in SELECTIONS.items():
        best = np.full(repeats, epochs - 1) if chosen_by is None else history[chosen_by].argmax(0)
        accuracy = np.where(survived, test[best, np.arange(repeats)], np.float32(np.nan))
        selected[name] = Selected(accuracy, np.where(survived, best + 1, 0))
    return selected
