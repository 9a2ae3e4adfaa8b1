"""Finished runs as they are compared: their test accuracies, and their repeats as pairs."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnoise.config import Config, InputError, MethodConfig, RegularizerConfig
from jaxnoise.runs import documents, files, history
from jaxnoise.scores.intervals import Difference, paired_difference
from jaxnoise.scores.scoring import AREAS, DETECTION
from jaxnoise.scores.selection import existing, named
from jaxnoise.training import surroundings

DEFAULTS = Config().result_settings
# What two runs must share for their repeats of equal number to be pairs: pictures in the same
# splits, the seeds of initialization and batch order, and the noise that each repeat has.
PAIRED_BY = ("dataset", "image_size", "train_size", "test_size", "validation_ratio", "split_seed",
             "seed", "noise_seed", "noise_file", "noise_draws", "noise_per_repeat")  # fmt: skip
# What a run without regularizer, loss and method has at its default.
_PLAIN = {
    field.name for part in (RegularizerConfig, MethodConfig) for field in dataclasses.fields(part)
} - {"jacob_mode", "jacob_start_epoch"}  # which alone do nothing


class Run(NamedTuple):
    """What the folder of a finished run records."""

    folder: Path
    flags: dict[str, Any]  # those that can change a result; a file of --user_code by its content
    true_rate: float  # in [0, 1]
    # Percent, (repeats,), for each of SELECTIONS that the run has; NaN for those that diverged.
    accuracy: dict[str, np.ndarray]
    data_sha256: str | None  # of the data set; None: an older run
    labels_sha256: tuple[str, ...]  # of the noisy training labels, each draw's
    facts: dict[str, Any]  # how it was made, as in config.json
    # Mean and std of noise_auroc, noise_aupr and the entry `detection`; without what it lacks.
    detection: dict[str, tuple[float, float]]

    @property
    def plain(self) -> bool:
        """Whether it has no regularizer, and no loss or method but cross-entropy."""
        return all(self.flags[name] == DEFAULTS[name] for name in _PLAIN)

    @property
    def survived(self) -> np.ndarray:
        """Which repeats did not diverge, bool (repeats,)."""
        return np.isfinite(self.accuracy["last"])

    @property
    def n(self) -> int:
        """How many repeats mean and std cover."""
        return int(self.survived.sum())

    def mean_and_std(self) -> dict[str, tuple[float, float]]:
        """For each accuracy, over the repeats that did not diverge; empty if all did."""
        if not self.n:
            return {}
        values = {name: accuracy[self.survived] for name, accuracy in self.accuracy.items()}
        return {name: (x.mean(), x.std()) for name, x in values.items()}


def read(folder: Path) -> Run:
    """Raises InputError if there is no finished run, or one from an earlier version."""
    documents.check_finished(folder)
    try:
        config, scores = (files.read_json(folder / name) for name in documents.OF_A_RUN)
        # A run from before a flag existed had its default.
        flags = {name: config["flags"].get(name, default) for name, default in DEFAULTS.items()}
        if flags["user_code"] is not None:  # files change, and keep their names
            name, digest = Path(flags["user_code"]).name, config["user_code_sha256"]
            flags["user_code"] = f"{name}@{digest[:8]}"
        data_sha256 = config.get("data_sha256")
        documents.check_facts(config)
        for name, value in [*flags.items(), ("data_sha256", data_sha256)]:
            if isinstance(value, list | dict):
                raise ValueError(f"{name} is not a single value")
        accuracy = _accuracies(folder, flags, scores["selection"])
        detection = _detection(scores)
        true_rate = float(scores["noise"]["true_rate"])
        labels_sha256 = tuple(str(draw["sha256"]) for draw in scores["noise"]["draws"])
        lengths = {values.shape for values in accuracy.values()}
        if len(lengths) > 1 or lengths.pop() in ((), (0,)) or not np.isfinite(true_rate):
            raise ValueError("its accuracies are not one for each repeat, or it has no true rate")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"RUN_DIR={folder}: its config.json or scores.json is damaged or from an earlier "
            f"version; main.py --overwrite trains the run again ({error!r})"
        ) from error
    return Run(folder, flags, true_rate, accuracy, data_sha256, labels_sha256, config, detection)


def _accuracies(
    folder: Path, flags: dict[str, Any], entries: dict[str, Any]
) -> dict[str, np.ndarray]:
    """By the names of the selections that a run has; that of an older run may be in its history."""
    found = {}
    for name in existing(
        validated=flags["validation_ratio"] > 0,
        epochs=flags["epochs_num"],
        ema=flags["ema_decay"] is not None,
    ):
        if name in entries or name != "last_ten":
            found[name] = np.array(entries[name]["accuracy"], float)
        elif made := history.last_ten(folder, (flags["epochs_num"], len(found["last"]))):
            found[name] = np.float64(made.accuracy)
    return found


def _detection(scores: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Of scores.json; an older run has no entry `detection`."""
    found = {}
    for entry, names in ((scores, AREAS), (scores.get("detection"), DETECTION)):
        for name in names if entry else ():
            if entry["mean"][name] is not None:
                found[name] = float(entry["mean"][name]), float(entry["std"][name])
    return found


def selections(runs: Iterable[Run]) -> list[str]:
    """The names of the selections to show of some runs: the EMA's if one of them has it."""
    return named(ema=any(run.flags["ema_decay"] is not None for run in runs))


def gain_by_ema(run: Run) -> Difference | None:
    """Test accuracy of the averaged weights minus that of the last ones, after the last epoch.

    Over the repeats that did not diverge; None for fewer than two, or without averaged weights.
    """
    if "ema_last" not in run.accuracy or run.n < 2:
        return None
    return paired_difference((run.accuracy["ema_last"] - run.accuracy["last"])[run.survived])


def baseline(runs: Sequence[Run]) -> tuple[int, str]:
    """The place of the run that others are compared with, from 0, and why it is that.

    It is the only `plain` one; if there is not exactly one, the first.
    """
    plain = [place for place, run in enumerate(runs) if run.plain]
    if len(plain) == 1:
        return plain[0], "it alone has no regularizer, loss or method"
    number = "several" if plain else "none"
    return 0, f"it was given first, and {number} of the runs are without regularizer"


def unpaired_because(run: Run, first: Run) -> str | None:
    """Why repeats of a run and of `first`, run 1, are not pairs; None if they are."""
    hashes = {run.data_sha256, first.data_sha256}
    same_data = len(hashes) == 1 and None not in hashes
    # One folder of pictures, and one file of labels, can be spelled in many ways.
    same = {
        "dataset": same_data,
        "image_size": same_data,  # pictures may have this size as stored
        "noise_file": None not in (run.flags["noise_file"], first.flags["noise_file"])
        and run.labels_sha256 == first.labels_sha256,
    }
    for name in PAIRED_BY:
        if run.flags[name] != first.flags[name] and not same.get(name):
            return f"--{name} is {run.flags[name]}, in run 1 it is {first.flags[name]}"
    if len(hashes) > 1 and None not in hashes:
        return "the pictures or labels of its data set differ from those of run 1 (data_sha256)"
    # An older run records neither code nor environment.
    recorded = "code" in run.facts and "code" in first.facts
    if recorded and (changed := surroundings.changes(first.facts, run.facts)):
        return f"run 1 was made {'; '.join(changed)}"
    n = pairs(run, first).sum()
    if n < 2:
        return "a single pair has no spread" if n else "a repeat diverged in every pair"
    return None


def pairs(run: Run, first: Run) -> np.ndarray:
    """Which pairs have no repeat that diverged, bool (pairs,); extra repeats have no pair."""
    both = min(len(run.survived), len(first.survived))
    return run.survived[:both] & first.survived[:both]


def differences(run: Run, first: Run) -> dict[str, Difference]:
    """For each accuracy that both have, the run's minus that of `first`, over their `pairs`."""
    those = pairs(run, first)
    n = len(those)
    return {
        name: paired_difference((accuracy[:n] - first.accuracy[name][:n])[those])
        for name, accuracy in run.accuracy.items()
        if name in first.accuracy
    }
