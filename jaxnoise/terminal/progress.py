"""Progress: a bar on a terminal and, of training, a line for each epoch."""

import logging
import shutil
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from tqdm import tqdm

from jaxnoise.scores import divergence

log = logging.getLogger("jaxnoise")


def progress_bar(items: Iterable | None = None, *, shown: bool = True, **options: Any) -> tqdm:
    """A progress bar on stderr, if that is a terminal; see tqdm for items and options."""
    # Not tqdm's own measure: if a terminal reports no size, tqdm takes it to be 0, and hides.
    columns, rows = shutil.get_terminal_size()
    disable = not (shown and sys.stderr.isatty())
    return tqdm(items, disable=disable, ncols=columns, nrows=rows, **options)


def warn_of_divergence(diverged: np.ndarray, epoch: int) -> None:
    """Warns of the repeats that diverged at an epoch, counted from 1.

    Args:
      diverged: int (repeats,), the epoch in which each did, 0 if none.
    """
    now = np.where(diverged == epoch, diverged, 0)
    if now.any():
        log.warning(
            "Warning: %s: loss or state is no longer finite; frozen in the state before that epoch",
            divergence.in_words(now),
        )


class EpochReport:
    """Progress, epoch by epoch, as means over the repeats that have not diverged."""

    def __init__(self, epochs: int, done: int = 0, *, jacob_start_epoch: int = 0, bar: bool = True):
        """Prepares the report.

        Args:
          epochs: of the whole run.
          done: epochs that earlier sessions have completed.
          jacob_start_epoch: how many epochs have no Jacobian term, if later ones have it: they take
            less time, and the next one includes a compilation.
          bar: whether a terminal is to show a progress bar.
        """
        self._epochs, self._done, self._jacob_start = epochs, done, jacob_start_epoch
        self._compiling = {done, jacob_start_epoch}
        self._start = time.time()
        self._bar = progress_bar(total=epochs, initial=done, unit="epoch", shown=bar)

    def update(self, metrics: dict[str, np.ndarray]) -> None:
        """Reports one more epoch; every metric is float (repeats,)."""
        active = ~np.isnan(metrics["test_accuracy"])
        now = time.time()
        self._done += 1
        if self._done - 1 in self._compiling:  # it predicts no other epoch
            self._measured_from, left = (self._done, now), ""
        else:
            first, then = self._measured_from
            seconds = (now - then) / (self._done - first) * (self._epochs - self._done)
            more = "more than " if self._done <= self._jacob_start else ""
            left = f", {more}{seconds:.0f} s left"
        short, told = "all diverged", "all repeats have diverged"
        if active.any():
            mean = {name: float(values[active].mean()) for name, values in metrics.items()}
            trained = ~np.isnan(metrics["step_loss"])  # not those that early stopping has stopped
            loss = f"{metrics['step_loss'][trained].mean():.4f}" if trained.any() else "– (stopped)"
            short = (
                f"test {mean['test_accuracy']:.1f} %, valid {mean['valid_accuracy']:.1f} %, "
                f"train/noisy {mean['train_noisy_accuracy']:.1f} %, loss {loss}"
            )
            told = (
                f"training loss {loss}  accuracy (%): "
                f"train/noisy {mean['train_noisy_accuracy']:.2f}, "
                f"train {mean['train_accuracy']:.2f}, "
                f"valid {mean['valid_accuracy']:.2f}, test {mean['test_accuracy']:.2f}"
            )
            if not active.all():
                told += f"  ({active.sum()} of {len(active)} repeats)"
        self._bar.set_postfix_str(short)
        self._bar.update()
        line = (
            f"epoch {self._done:{len(str(self._epochs))}d}/{self._epochs}"
            f"  {told}  [{now - self._start:.0f} s{left}]"
        )
        log.info(line, extra={"on_bar": not self._bar.disable})

    def __enter__(self) -> "EpochReport":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
