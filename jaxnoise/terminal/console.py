"""What a run tells its user while it works: plain log lines, and on a terminal a progress bar."""

import contextlib
import contextvars
import io
import logging
import math
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import absl.logging
import numpy as np
from tqdm import tqdm

from jaxnoise.config import Config, InputError, MethodConfig, RegularizerConfig
from jaxnoise.labels import noise
from jaxnoise.labels.noisy_dataset import SPLITS, NoisyDataset
from jaxnoise.layers import batch_norm
from jaxnoise.scores import divergence

log = logging.getLogger("jaxnoise")

_about: contextvars.ContextVar[Path | None] = contextvars.ContextVar("about", default=None)


@contextlib.contextmanager
def about(folder: Path) -> Iterator[None]:
    """What is told inside the block is about the run in a folder, and no other."""
    token = _about.set(folder)
    try:
        yield
    finally:
        _about.reset(token)


def log_to_console(*, runs: bool = True) -> None:
    """Sends the package's log to stdout; a terminal is spared what its progress bar shows.

    Args:
      runs: whether what is told `about` single runs goes there too; in any case it goes to theirs.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not know every character
        sys.stdout.reconfigure(errors="replace")
    for earlier in [handler for handler in log.handlers if isinstance(handler, _Console)]:
        log.removeHandler(earlier)  # of a command before, in a notebook
    handler = _Console(sys.stdout)
    handler.addFilter(
        lambda record: not (getattr(record, "on_bar", False) and handler.stream.isatty())
    )
    handler.addFilter(lambda _: runs or _about.get() is None)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def show_progress() -> None:
    """Prints what runs report, as main.py does: in a notebook or a program, call it once before.

    Libraries that log every step they take, Orbax among them, are kept to their warnings.
    """
    absl.logging.set_verbosity(absl.logging.WARNING)
    log_to_console()


class _Console(logging.StreamHandler):
    """What `log_to_console` adds."""


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Copies the package's log, with times, to a file inside the block, as far as it is not about
    a run in another folder than the file's.
    """
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.addFilter(lambda _: _about.get() in (None, path.parent))
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


def title(config: Config, separator: str) -> str:
    """The settings that set a run apart, in one line."""
    return separator.join(
        [config.dataset_name, config.network, config.noise, config.regularization]
    )


def other_settings(config: Config) -> str:
    """The flags that can change a result, are no defaults, and that `title` does not show."""
    shown = {"dataset", "net", "noise_type", "noise_rate", "wave_frequency", "human_labels"}
    shown |= {field.name for of in (RegularizerConfig, MethodConfig) for field in fields(of)}
    shown -= {"jacob_mode", "jacob_start_epoch", "forward_file"}
    settings = config.result_settings
    return " ".join(
        f"--{field.name}={settings[field.name]}"
        for field in fields(Config)
        if field.name in settings.keys() - shown and settings[field.name] != field.default
    )


def announce(config: Config, folder: Path, dataset: NoisyDataset, *, device: str) -> None:
    """Says what is going to be trained, on what, and where its results go."""
    sizes = ", ".join(f"{np.sum(dataset.split == i)} {name}" for i, name in enumerate(SPLITS))
    log.info("Run      %s", title(config, " · "))
    if others := other_settings(config):
        log.info("Settings %s", others)
    log.info("Results  %s", folder)
    log.info("Data     %s pictures, %d classes", sizes, dataset.num_classes)
    draws = dataset.noisy_labels[: config.draws]
    log.info("Noise    %s", "\n         ".join(noise.in_words(noise.summary(config, draws))))
    if config.noise_rate == 0 and not config.noise_is_given:
        log.info("         --noise_rate is 0: training on clean labels")
    _warn_of_exact_jacobian(config, dataset.num_classes)
    _tell_of_few_steps(config, int(np.sum(dataset.split == 0)))
    log.info(
        "Training %d repeats together, %d epochs, on %s; the first epoch includes compilation",
        config.total_repeats,
        config.epochs_num,
        device,
    )


def announce_resumption(epochs: int, facts: dict[str, Any]) -> None:
    """Says that the run goes on, and what is not as it was in its last session."""
    log.info("Going on after epoch %d, where the run was interrupted", epochs)
    earlier = facts["earlier_sessions"][-1] if facts["earlier_sessions"] else facts
    changed = [
        f"{name} {earlier.get(of, {}).get(name)}, now {value}"
        for of in ("versions", "device", "machine")
        for name, value in facts[of].items()
        if earlier.get(of, {}).get(name) != value
    ]
    if changed:
        log.warning(
            "Begun with %s: the results may not be those of one session to the last digit",
            "; ".join(changed),
        )


def _warn_of_exact_jacobian(config: Config, num_classes: int) -> None:
    """A row of the Jacobian, gradient included, costs about a plain step (benchmarks/README.md)."""
    if config.jacob_coef > 0 and config.jacob_mode == "exact":
        log.warning(
            "--jacob_mode=exact: from epoch %d on a step takes about %d times as long as a plain "
            "one, a backward pass for each of %d classes; with projection about twice as long",
            config.jacob_start_epoch + 1,
            num_classes + 1,
            num_classes,
        )


def _tell_of_few_steps(config: Config, samples: int) -> None:
    """Running averages forget their start, 0 and 1, as MOMENTUM^steps: in 400 steps to 2 %."""
    steps = -(-samples // config.batch_size)
    late = math.ceil(4 / (1 - batch_norm.MOMENTUM) / steps)
    if late > config.epochs_num / 2:
        log.info(
            "Epochs   %d steps each: for about %d epochs batch norm's running averages lag, "
            "and with them all accuracies (--epochs_num, --batch_size)",
            steps,
            late,
        )


def warn_of_divergence(diverged: np.ndarray, epoch: int) -> None:
    """Tells of the repeats that diverged at an epoch, counted from 1.

    Args:
      diverged: int (repeats,), the epoch in which each did, 0 if none.
    """
    now = np.where(diverged == epoch, diverged, 0)
    if now.any():
        log.warning(
            "Warning: %s: loss or state no longer finite; frozen as before that epoch",
            divergence.in_words(now),
        )


class EpochReport:
    """Progress, epoch by epoch, as means over the repeats that have not diverged."""

    def __init__(self, epochs: int, done: int = 0, *, bar: bool = True):
        """Of so many epochs, some of which may have been done before.

        Args:
          bar: whether a terminal is to show a progress bar.
        """
        self._epochs, self._done, self._before = epochs, done, done
        self._start = time.time()
        self._first_epoch_ended = self._start
        # Not tqdm's own measure, which takes a terminal that tells no width for one of no columns.
        columns = shutil.get_terminal_size().columns
        self._bar = tqdm(
            total=epochs,
            initial=done,
            unit="epoch",
            disable=not (bar and sys.stderr.isatty()),
            ncols=columns,
        )

    def update(self, metrics: dict[str, np.ndarray]) -> None:
        """Reports one more epoch; every metric is float (repeats,)."""
        going_on = ~np.isnan(metrics["test_accuracy"])
        now = time.time()
        self._done += 1
        if (
            self._done == self._before + 1
        ):  # it waited for compilation and tells nothing of the others
            self._first_epoch_ended, left = now, ""
        else:
            per_epoch = (now - self._first_epoch_ended) / (self._done - self._before - 1)
            left = f", {per_epoch * (self._epochs - self._done):.0f} s left"
        short, told = "all diverged", "all repeats have diverged"
        if going_on.any():
            mean = {name: float(values[going_on].mean()) for name, values in metrics.items()}
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
            if not going_on.all():
                told += f"  ({going_on.sum()} of {len(going_on)} repeats)"
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


def scores(folder: Path) -> None:
    """Prints the table of a finished run."""
    path = folder / "scores.txt"
    try:
        log.info("\n%s", path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); --overwrite trains the run again") from error
