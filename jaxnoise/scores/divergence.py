"""Which repeats of a run have diverged, and when.

`loop.advance` freezes a member whose loss or state is no longer finite, and makes all its metrics
NaN from that epoch on. The other repeats continue unaffected, and all that is reported of a run
covers them alone.
"""

import numpy as np

from jaxnoise.config import counted


def epochs(history: dict[str, np.ndarray]) -> np.ndarray:
    """The epoch in which each repeat diverged, counted from 1; 0 if it has not: int (repeats,).

    Args:
      history: the metrics of `loop.advance`, each float (epochs, repeats).
    """
    gone = np.isnan(history["test_accuracy"])  # a share of all test pictures: else never NaN
    return np.where(gone.any(axis=0), gone.argmax(axis=0) + 1, 0)


def of_survivors(history: dict[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    """Values (repeats,) with NaN for those that diverged."""
    return np.where(epochs(history) > 0, np.nan, values)


def in_words(diverged: np.ndarray) -> str:
    """`repeat 2 diverged at epoch 4; repeats 1, 5 diverged at epoch 6`; empty if none did.

    Args:
      diverged: as `epochs` gives it.
    """
    told = []
    for epoch in np.unique(diverged[diverged > 0]):
        numbers = [str(i + 1) for i in np.flatnonzero(diverged == epoch)]
        repeats = f"repeat{'s' * (len(numbers) > 1)} {', '.join(numbers)}"
        told.append(f"{repeats} diverged at epoch {epoch}")
    return "; ".join(told)


def covered(diverged: np.ndarray) -> str:
    """How many repeats a mean covers: `3 of 5 repeats`."""
    return f"{np.sum(diverged == 0)} of {counted(len(diverged), 'repeat')}"


def averaged_in_words(diverged: np.ndarray, what: str = "mean ± std") -> str:
    """Which repeats a statistic, epoch by epoch, covers: if all diverged, all of them."""
    repeats = len(diverged)
    if not diverged.any():
        return f"{what} over {repeats} repeats" if repeats > 1 else "one repeat"
    if (diverged == 0).any():
        return f"{what} over {covered(diverged)}; the others diverged"
    if repeats == 1:
        return in_words(diverged)
    return f"{what} over {repeats} repeats until the first diverged; all of them did in the end"
