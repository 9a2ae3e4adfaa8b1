"""Six ways to say how good the nets of a training are, by the test accuracy at some epoch.

A selection chooses an epoch, the earliest of equal ones, or is a mean over the last epochs. A run
does not have all of them: see `existing`. What it lacks is absent, never replaced by another one.
`ema_last` is not even named where no run has it: see `named`.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from jaxnoise.scores import divergence


class Selection(NamedTuple):
    """A way to choose an epoch, or the epochs to average over."""

    words: str
    chosen_by: str | None  # the metric whose first maximum it is; None: the end of the training
    averaged: int = 1  # how many of the last epochs the accuracy is a mean over
    of: str = "test_accuracy"  # the metric that the accuracy is


SELECTIONS = {
    "last": Selection("last epoch", None),
    # What papers on label noise mostly call the last accuracy, as Han et al., "Co-teaching" (2018,
    # https://arxiv.org/abs/1804.06872).
    "last_ten": Selection("mean of the last ten epochs", None, averaged=10),
    # Of the nets with the moving average of the weights (--ema_decay).
    "ema_last": Selection("EMA of the weights, last epoch", None, of="ema_test_accuracy"),
    "best_noisy_valid": Selection("best noisy validation", "valid_noisy_accuracy"),
    "best_clean_valid": Selection("best clean validation", "valid_accuracy"),
    "oracle_test": Selection("ORACLE: best test", "test_accuracy"),
}
ORACLE_WORDS = "ORACLE chooses the epoch on the test set: an upper bound, not a result"
ABSENT_WORDS = (
    "– marks what a run does not have: the mean of the last ten epochs requires ten epochs (and, "
    "of an older run, its history.npz), a best validation epoch requires a validation part "
    "(--validation_ratio)"
)


class Selected(NamedTuple):
    """The test accuracy of every repeat by one selection."""

    accuracy: np.ndarray  # float32 (repeats,), percent; NaN if the repeat diverged
    epoch: np.ndarray  # int (repeats,), from 1; 0 if the repeat diverged, or there is no single one


def headline_name(validation_labels: str | None) -> str:
    """The selection behind the scores of a run, by its name in SELECTIONS.

    Args:
      validation_labels: clean or noisy, those that choose the best epoch; None: the run has no
        validation part, and its scores are those of the last epoch.
    """
    return f"best_{validation_labels}_valid" if validation_labels else "last"


def headline(validation_labels: str | None) -> Selection:
    """The selection that `headline_name` names."""
    return SELECTIONS[headline_name(validation_labels)]


def named(*, ema: bool) -> list[str]:
    """The names of the selections that a document has a place for, whether or not it is empty.

    Args:
      ema: whether the run, or one of its runs, keeps a moving average of its weights.
    """
    return [name for name in SELECTIONS if ema or name != "ema_last"]


def absent_words(names: Collection[str]) -> str:
    """What – means in tables of several runs that have columns for these selections."""
    also = ", the EMA of the weights requires --ema_decay" if "ema_last" in names else ""
    return ABSENT_WORDS + also


def existing(*, validated: bool, epochs: int, ema: bool) -> list[str]:
    """The names of the selections that a run has.

    Args:
      validated: whether it has a validation part.
      epochs: of its training.
      ema: whether it keeps a moving average of its weights.
    """
    return [
        name
        for name in named(ema=ema)
        if epochs >= SELECTIONS[name].averaged
        and (validated or SELECTIONS[name].chosen_by in (None, "test_accuracy"))
    ]


def improves(accuracy: Any, best: Any) -> Any:
    """Whether an epoch is strictly better than the best before it, so the earliest of equals stays.

    The rule of `select`, epoch by epoch, for keeping the best epoch's nets while training.

    Args:
      accuracy, best: float, any shape, NumPy's or JAX's; of the metric `headline` names.
    """
    return accuracy > best


def select(history: dict[str, np.ndarray]) -> dict[str, Selected | None]:
    """All that are `named`, by their names; of equal epochs the earliest. None: the run lacks it.

    Args:
      history: the metrics of `loop.advance`, each float (epochs, repeats).
    """
    test, survived = history["test_accuracy"], divergence.epochs(history) == 0
    epochs, repeats = test.shape
    ema = SELECTIONS["ema_last"].of in history
    selected: dict[str, Selected | None] = dict.fromkeys(named(ema=ema))
    for name in existing(validated="valid_accuracy" in history, epochs=epochs, ema=ema):
        _, chosen_by, averaged, of = SELECTIONS[name]
        if averaged > 1:
            # Sums of so few float32 percentages are exact in float64: their order does not matter.
            accuracy = np.float32(np.float64(history[of][-averaged:]).mean(axis=0))
            epoch = np.zeros(repeats, int)
        else:
            last = np.full(repeats, epochs - 1)
            best = last if chosen_by is None else history[chosen_by].argmax(axis=0)
            accuracy, epoch = history[of][best, np.arange(repeats)], best + 1
        accuracy = np.where(survived, accuracy, np.float32(np.nan))
        selected[name] = Selected(accuracy, np.where(survived, epoch, 0))
    return selected
