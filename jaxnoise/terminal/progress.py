"""Progress: bars on a terminal and, of training, a line for each epoch in the log."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterable

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.progress import track
from rich.progress_bar import ProgressBar
from rich.table import Table

from jaxnoise.scores import divergence
from jaxnoise.terminal import display
from jaxnoise.terminal.time_left import EpochSeconds, TimeLeft

log = logging.getLogger("jaxnoise")


def progress_bar(items: Iterable, what: str) -> Iterable:
    """The items, with a bar on stderr while they are taken, if that is a terminal.

    Args:
      what: is being done, as in "reading runs".
    """
    shown = Console(stderr=True)
    return track(items, what, console=shown, transient=True, disable=not sys.stderr.isatty())


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

    def __init__(
        self,
        epochs: int,
        done: int = 0,
        *,
        jacob_start_epoch: int | None = None,
        known: EpochSeconds = EpochSeconds(),  # noqa: B008  (it is immutable)
        bar: bool = True,
    ):
        """Prepares the report.

        Args:
          epochs: of the whole run.
          done: epochs that earlier sessions have completed.
          jacob_start_epoch: the first with the Jacobian term, from 0; None if none has it.
          known: what earlier runs took.
          bar: whether a terminal is to show a bar.
        """
        self._epochs, self._done, self._bar = epochs, done, bar
        self.time_left = TimeLeft(epochs, done, jacob_start_epoch, known)
        self._start = self._latest = time.time()
        self._short = ""

    def update(self, metrics: dict[str, np.ndarray]) -> None:
        """Reports one more epoch; every metric is float (repeats,)."""
        self._latest = time.time()
        self._done += 1
        self.time_left.ended(self._latest - self._start)
        told, self._short = _in_words(metrics)
        line = (
            f"epoch {self._done:{len(str(self._epochs))}d}/{self._epochs}"
            f"  {told}  [{self._latest - self._start:.0f} s{self._left()}]"
        )
        # What a handler needs that logs elsewhere, as docs/library.md shows.
        log.info(line, extra={"on_bar": True, "epoch": self._done, "metrics": metrics})

    def _left(self, about: str = "", since: float = 0.0) -> str:
        """The time left in words, less the seconds since the last epoch ended; empty if unknown."""
        seconds, at_least = self.time_left.seconds
        if seconds is None or (at_least and seconds - since < 1):
            return ""
        how = "more than " if at_least else about
        return f", {how}{display.duration(max(0.0, seconds - since))} left"

    def _drawn(self) -> RenderableType:
        """The bar over the terminal's whole width, and below it what the last epoch gave."""
        now = time.time()
        left = self._left("about ", now - self._latest)
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        line.add_row(
            f"epoch {self._done}/{self._epochs}",
            ProgressBar(self._epochs, self._done),
            f"{display.duration(now - self._start)}{left}",
        )
        return Group(line, display.words(self._short)) if self._short else line

    def __enter__(self) -> "EpochReport":
        self._shown = contextlib.ExitStack()
        if self._bar:
            self._shown.enter_context(display.row(self._drawn))
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.close()


def _in_words(metrics: dict[str, np.ndarray]) -> tuple[str, str]:
    """An epoch's metrics for a line of the log, and for the 80 columns of a terminal."""
    active = ~np.isnan(metrics["test_accuracy"])
    if not active.any():
        return ("all repeats have diverged",) * 2
    noisy, train, test = (
        float(metrics[f"{name}_accuracy"][active].mean())
        for name in ("train_noisy", "train", "test")
    )
    valid = short_valid = ""
    if "valid_accuracy" in metrics:
        accuracy = float(metrics["valid_accuracy"][active].mean())
        valid, short_valid = f"valid {accuracy:.2f}, ", f"valid {accuracy:.1f} %  "
    trained = ~np.isnan(metrics["step_loss"])  # not those that early stopping has stopped
    loss = f"{metrics['step_loss'][trained].mean():.4f}" if trained.any() else "– (stopped)"
    some = "" if active.all() else f"  ({active.sum()} of {len(active)} repeats)"
    return (
        f"training loss {loss}  accuracy (%): train/noisy {noisy:.2f}, train {train:.2f}, "
        f"{valid}test {test:.2f}{some}",
        f"test {test:.1f} %  {short_valid}train {train:.1f} %  train/noisy {noisy:.1f} %  "
        f"loss {loss}{some}",
    )
