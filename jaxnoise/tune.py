"""Search for coefficients by Optuna: a command of its own.

python -m jaxnoise.tune tries values of some flags, each trial a run like main.py's, many of them
side by side in one program. What is maximized is validation accuracy, by default on noisy labels,
which whoever has no clean ones has too; never test accuracy.

  python -m jaxnoise.tune --tune=wd_coef,jacob_coef=1e-4:1e-1 --trials=32 --dataset=digits ...
"""

import csv
import dataclasses
import hashlib
import logging
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from tabulate import tabulate

from jaxnoise import console, devices, exits, grid, interruption, results, sweep
from jaxnoise.config import Config, InputError, flag_type
from jaxnoise.exits import CommandParser, complain
from jaxnoise.together import Together

log = logging.getLogger("jaxnoise")

OBJECTIVES = {"noisy": "valid_noisy_accuracy", "clean": "valid_accuracy"}
# Where coefficients of a term are searched unless another range is given.
RANGES = {"wd_coef": (1e-6, 1e-2), "jacob_coef": (1e-5, 1e-1), "entropy_coef": (1e-2, 1e1)}
# Values are tried with so many digits, so that names of run folders stay short.
DIGITS = 3


class Range(NamedTuple):
    """Where a flag is searched: both ends included, on a logarithmic scale if low > 0."""

    low: float
    high: float


class Trial(NamedTuple):
    """A finished trial."""

    config: Config
    objective: float  # percent, mean over repeats


def parse_ranges(text: str) -> dict[str, Range]:
    """Flags and ranges as in `wd_coef,sn_cap=0.5:4`.

    Raises:
      InputError: a flag is no number, or a range is missing or empty.
    """
    ranges = {}
    for part in text.split(","):
        name, _, span = part.strip().partition("=")
        if name not in grid.FIELDS or flag_type(grid.FIELDS[name]) not in (int, float):
            raise InputError(f"--tune={text}: {name!r}: allowed are flags that take a number")
        try:
            low, high = map(float, span.split(":")) if span else RANGES[name]
        except (ValueError, KeyError):
            low, high = np.nan, np.nan
        if not low < high:
            raise InputError(
                f"--tune={text}: {name}: needed is a range, as in {name}=LOW:HIGH with LOW < HIGH"
            )
        ranges[name] = Range(low, high)
    return ranges


def objective(folder: Path, metric: str) -> float:
    """Mean over repeats of the best epoch's validation accuracy; one that diverged counts as 0."""
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
    """Asks for trials, runs them, tells how good they were.

    The sampler, TPE (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011,
    https://papers.nips.cc/paper/4443), is seeded by --seed and told finished trials only, so the
    same search asks for the same trials again, and goes on where it was interrupted.

    Args:
      batch: how many trials are asked for at once, not knowing of each other's results.

    Returns:
      the trials that did not fail, in order.

    Raises:
      InputError: a value in a range is not allowed, or not together with the other flags.
    """  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=base.seed, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    runner, finished = Together(watch), []
    while len(study.trials) < trials:
        asked = [study.ask() for _ in range(min(batch, trials - len(study.trials)))]
        configs = [dataclasses.replace(base, **_values(trial, ranges)) for trial in asked]
        failed = {}
        for program in grid.by_program(dict.fromkeys(c for c in configs if not results.done(c))):
            for outcome in runner.run(program):
                failed[outcome.config] = outcome.error
        for trial, config in zip(asked, configs, strict=True):
            if failed.get(config):
                # Not FAIL, of which the sampler learns nothing: it would ask for the like again.
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                log.error("trial %d FAILED: %s", trial.number + 1, failed[config])
                continue
            value = objective(results.run_folder(config), metric)
            study.tell(trial, value)
            finished.append(Trial(config, value))
            values = ", ".join(f"{name} {getattr(config, name):g}" for name in ranges)
            log.info("trial %*d/%d  %s: %.2f %%", len(str(trials)), trial.number + 1, trials,
                     values, value)  # fmt: skip
    return finished


def _values(trial: optuna.Trial, ranges: dict[str, Range]) -> dict[str, float]:
    values = {}
    for name, (low, high) in ranges.items():
        if flag_type(grid.FIELDS[name]) is int:
            values[name] = trial.suggest_int(name, int(low), int(high), log=low > 0)
        else:
            value = trial.suggest_float(name, low, high, log=low > 0)
            values[name] = min(max(float(f"{value:.{DIGITS}g}"), low), high)
    return values


def write(base: Config, ranges: dict[str, Range], metric: str, found: list[Trial]) -> Path:
    """sweeps/tune_*.csv in results_dir: all trials, the best first; the same search, the same file.

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
                table.writerow([*values, value, results.run_folder(config), config.command])
    except OSError as error:
        raise InputError(f"--results_dir: {path} cannot be written: {error.strerror}") from error
    return path


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 1 if no trial finished."""
    parser = CommandParser("tune", __doc__)
    parser.add_argument(
        "--tune", required=True, metavar="FLAG[=LOW:HIGH],...",
        help=f"what is searched; {', '.join(RANGES)} have ranges of their own",
    )  # fmt: skip
    parser.add_argument("--trials", type=int, default=32, help="default: %(default)s")
    parser.add_argument(
        "--batch", type=int, default=8,
        help="trials that are asked for at once; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--objective", choices=OBJECTIVES, default="noisy",
        help="validation labels whose accuracy, at the best epoch, is maximized; "
        "default: %(default)s",
    )  # fmt: skip
    sweep.add_flags(parser)
    arguments = vars(parser.parse_args(argv))
    return exits.ended(lambda: _main(arguments))


def _main(arguments: dict[str, Any]) -> int:
    for name in ("trials", "batch"):
        if arguments[name] < 1:
            raise InputError(f"--{name}={arguments[name]}: allowed is 1 or more")
    ranges, metric = parse_ranges(arguments["tune"]), OBJECTIVES[arguments["objective"]]
    given = sweep.given(arguments)
    if both := given.keys() & ranges.keys():
        raise InputError(f"--{min(both)}: allowed is a value, or --tune to search it")
    for name, (low, high) in ranges.items():  # both ends, before any work
        ends = [grid.parse(name, f"{x:g}") for x in (low, high)]
        grid.cells({None: {}}, given | {name: ends})
    (base, *others) = [cell.config for cell in grid.cells({None: {}}, given)]
    if others:
        raise InputError("--tune: allowed is one value for each of the other flags")
    console.log_to_console(runs=False)
    devices.start(base, gpu_asked="GPU_num" in given)
    with interruption.Watch() as watch:
        found = search(base, ranges, trials=arguments["trials"], batch=arguments["batch"],
                       metric=metric, watch=watch)  # fmt: skip
    if not found:
        return complain("all trials failed")
    found = sorted(found, key=lambda trial: -trial.objective)
    rows = [
        [*(f"{getattr(config, name):g}" for name in ranges), f"{value:.2f}",
         results.run_folder(config)]
        for config, value in found[:10]
    ]  # fmt: skip
    header = [*ranges, f"best {arguments['objective']} validation (%)", "folder"]
    log.info("\nThe best of %d trials:\n%s", len(found), tabulate(rows, header))
    log.info("\nAll of them: %s", write(base, ranges, metric, found))
    log.info("The best: %s", found[0].config.command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
