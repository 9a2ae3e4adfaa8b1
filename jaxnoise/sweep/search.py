"""Searches values of flags with Optuna: batches of trials, each trial a run."""

import csv
import dataclasses
import hashlib
import logging
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna

from jaxnoise.config import FIELDS, Config, InputError, counted, flag_type, nearest
from jaxnoise.experiments.batch import BatchRunner
from jaxnoise.runs import folders
from jaxnoise.terminal import interruption
from jaxnoise.training import assembly

log = logging.getLogger("jaxnoise")

OBJECTIVES = {"noisy": "valid_noisy_accuracy", "clean": "valid_accuracy"}
# Default ranges in which coefficients are searched.
RANGES = {"wd_coef": (1e-6, 1e-2), "jacob_coef": (1e-5, 1e-1), "entropy_coef": (1e-2, 1e1)}
# Significant digits of the values tried; few, so that names of run folders stay short.
DIGITS = 3


class Range(NamedTuple):
    """The range in which a flag is searched, ends included; logarithmic if low > 0."""

    low: float
    high: float


class Trial(NamedTuple):
    """A finished trial."""

    config: Config
    objective: float  # percent, mean over repeats


def parse_ranges(text: str) -> dict[str, Range]:
    """Flags and ranges as in `wd_coef,sn_cap=0.5:4`.

    Raises:
      InputError: a flag does not take a number, or a range is missing or empty.
    """
    ranges = {}
    for part in text.split(","):
        name, _, span = part.strip().partition("=")
        if name not in FIELDS or flag_type(FIELDS[name]) not in (int, float):
            numeric = [x for x, field in FIELDS.items() if flag_type(field) in (int, float)]
            near = "" if name in FIELDS else nearest(name, numeric)
            raise InputError(f"--tune={text}: {name!r}: allowed are flags that take a number{near}")
        try:
            low, high = map(float, span.split(":")) if span else RANGES[name]
        except (ValueError, KeyError):
            low, high = np.nan, np.nan
        if not low < high:
            raise InputError(
                f"--tune={text}: {name}: requires a range, as in {name}=LOW:HIGH with LOW < HIGH"
            )
        ranges[name] = Range(low, high)
    return ranges


def objective(folder: Path, metric: str) -> float:
    """Mean over repeats of the best epoch's validation accuracy; a diverged repeat counts as 0."""
    with np.load(folder / "history.npz") as history:
        values, last = history[metric], history["test_accuracy"][-1]
    return float(np.where(np.isnan(last), 0.0, np.nan_to_num(values).max(axis=0)).mean())


def search(
    base: Config,
    ranges: dict[str, Range],
    *,
    trials: int,
    batch: int,
    metric: str,
    watch: interruption.Watch,
) -> list[Trial]:
    """Asks for trials, makes their runs, and reports how good they were.

    The sampler, TPE (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011,
    https://papers.nips.cc/paper/4443), is seeded by --seed and learns from finished trials only, so
    the same search asks for the same trials again, and resumes where it was interrupted.

    Args:
      batch: number of trials that are requested at once, before any of their results are known.

    Returns:
      the trials that did not fail, in order.

    Raises:
      InputError: a value in a range is not allowed, or not together with the other flags.
    """  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=base.seed, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    runner, finished = BatchRunner(watch), []
    while len(study.trials) < trials:
        asked = [study.ask() for _ in range(min(batch, trials - len(study.trials)))]
        configs = [dataclasses.replace(base, **_values(trial, ranges)) for trial in asked]
        failed = {}
        for program in assembly.by_program(folders.unfinished(dict.fromkeys(configs))):
            for outcome in runner.run(program):
                failed[outcome.config] = outcome.error
        for trial, config in zip(asked, configs, strict=True):
            if failed.get(config):
                # Not FAIL, which the sampler ignores: it would ask for similar values again.
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                log.error("trial %d FAILED: %s", trial.number + 1, failed[config])
                continue
            value = objective(folders.run_folder(config), metric)
            study.tell(trial, value)
            finished.append(Trial(config, value))
            values = ", ".join(f"{name} {getattr(config, name):g}" for name in ranges)
            log.info("trial %*d/%d  %s: %.2f %%%s", len(str(trials)), trial.number + 1, trials,
                     values, value, _divergence(folders.run_folder(config)))  # fmt: skip
    return finished


def _divergence(folder: Path) -> str:
    """A remark on repeats that diverged; empty if none did."""
    with np.load(folder / "history.npz") as history:
        diverged = np.isnan(history["test_accuracy"][-1])
    of = f"{diverged.sum()} of {counted(len(diverged), 'repeat')}"
    return f" ({of} diverged, counted as 0 %)" if diverged.any() else ""


def _values(trial: optuna.Trial, ranges: dict[str, Range]) -> dict[str, float]:
    values = {}
    for name, (low, high) in ranges.items():
        if flag_type(FIELDS[name]) is int:
            values[name] = trial.suggest_int(name, int(low), int(high), log=low > 0)
        else:
            value = trial.suggest_float(name, low, high, log=low > 0)
            values[name] = min(max(float(f"{value:.{DIGITS}g}"), low), high)
    return values


def write(base: Config, ranges: dict[str, Range], metric: str, found: list[Trial]) -> Path:
    """Writes all trials, the best first, to sweeps/tune_*.csv; the same search has the same file.

    Raises:
      InputError: it cannot be written.
    """
    told = f"{base.fingerprint} {sorted(ranges.items())} {metric}"
    name = f"tune_{hashlib.sha256(told.encode()).hexdigest()[:8]}.csv"
    path = Path(os.path.expanduser(base.results_dir)) / "sweeps" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*ranges, f"best_{metric}", "folder", "command"])
            for config, value in found:
                values = [getattr(config, name) for name in ranges]
                table.writerow([*values, value, folders.run_folder(config), config.command])
    except OSError as error:
        raise InputError(f"--results_dir: {path} cannot be written: {error.strerror}") from error
    return path
