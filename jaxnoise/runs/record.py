"""What a finished run records about itself: config.json and scores.json, read and checked."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnoise.config import FIELDS, Config, InputError, counted
from jaxnoise.datasets import places
from jaxnoise.runs import documents, files
from jaxnoise.scores.scoring import DETECTION, SCORES, Report
from jaxnoise.scores.selection import Selected, existing, named
from jaxnoise.training import surroundings

log = logging.getLogger("jaxnoise")

# Of the flags that cannot change a result, those that locate the run and its data, or fix the
# arithmetic.
_WHERE = (
    "results_dir", "data_dir", "manual_dir", "cache_dir", "members_at_once", "trust_noise_file",
)  # fmt: skip


class Record(NamedTuple):
    """What config.json and scores.json say."""

    folder: Path
    flags: dict[str, Any]  # as they were recorded
    config: Config
    facts: dict[str, Any]  # versions and device among them
    document: dict[str, Any]  # all of scores.json
    report: Report  # its numbers, those of each repeat


def warn_of_other_code(run: Record) -> None:
    """Logs it if the code that made a run is not what its nets would be built by now."""
    now = surroundings.of_run(run.config)
    if "code" in run.facts and (changed := surroundings.changes(run.facts, now)):
        log.warning("Warning: RUN_DIR=%s: made %s", run.folder, "; ".join(changed))


def read_record(folder: Path, **where: str) -> Record:
    """Reads config.json and scores.json.

    Args:
      where: flags that say where the data are, to use instead of the run's.

    Raises:
      InputError: there is no finished run, or its flags or scores are not those of this version.
    """
    documents.check_finished(folder)
    found = []
    for name in documents.OF_A_RUN:
        try:
            found.append(files.read_json(folder / name))
        except (OSError, ValueError) as error:
            raise InputError(f"RUN_DIR={folder}: {name} cannot be read: {error}") from error
    facts, document = found
    try:
        documents.check_facts(facts)
        config = _config(facts["flags"], _data_dir(facts) | where | _user_code(folder, facts))
        if config.user_code and config.user.sha256 != facts["user_code_sha256"]:
            raise InputError(f"{documents.USER_CODE} is not the code that the run was made with")
        report = _report(document, config)
        report.text()
    except InputError as error:
        raise InputError(f"RUN_DIR={folder}: config.json: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"RUN_DIR={folder}: its config.json or scores.json is damaged or from another version "
            f"({error!r})"
        ) from error
    return Record(folder, facts["flags"], config, facts, document, report)


@contextlib.contextmanager
def searching_data(facts: dict[str, Any]) -> Iterator[None]:
    """Inside, an error also names the folder where the run read its data, if they have gone."""
    try:
        yield
    except InputError as error:
        if facts.get("data_folder") is None or _data_dir(facts):
            raise
        raise InputError(
            f"{error}; the run read its data in {facts['data_folder']}, where they no longer are"
        ) from error


def _data_dir(facts: dict[str, Any]) -> dict[str, str]:
    """As a flag, the folder where the run read its data, if they are still there.

    Recorded as an absolute path, it holds in another working folder and another environment. A run
    from before it was recorded has none.
    """
    folder = facts.get("data_folder")
    if not isinstance(folder, str | None):
        raise ValueError("data_folder is not a path")
    there = folder is not None and places.is_in(folder, facts["flags"]["dataset"])
    return {"data_dir": folder} if there else {}


def _user_code(folder: Path, facts: dict[str, Any]) -> dict[str, str]:
    """As a flag, the run's own copy of its code; the original may have changed since."""
    used = facts["flags"].get("user_code") is not None
    return {"user_code": str(folder / documents.USER_CODE)} if used else {}


def _config(flags: dict[str, Any], where: dict[str, str]) -> Config:
    """The settings of a run by its flags; a run from before a flag existed had its default."""
    for name in flags:
        if name not in FIELDS:
            raise InputError(f"--{name} is not a flag of this version")
    kept = {
        name: value
        for name, value in flags.items()
        if name in _WHERE or not FIELDS[name].metadata["where_only"]
    }
    defaults = {name: field.default for name, field in FIELDS.items()}
    return Config(**defaults | kept | where)


def _report(document: dict[str, Any], config: Config) -> Report:
    rows = document["repeats"]
    scores = {name: np.array([row[name] for row in rows], float) for name in SCORES}
    found = None
    if "detection" in document:  # not in that of an older run
        rows = document["detection"]["repeats"]
        found = {name: np.array([row[name] for row in rows], float) for name in DETECTION}
    ema = config.ema_decay is not None
    there = existing(validated=config.best_by is not None, epochs=config.epochs_num, ema=ema)
    selected: dict[str, Selected | None] = {}
    for name in named(ema=ema):
        if name == "last_ten" and name not in document["selection"]:
            continue  # an older run
        selected[name] = _selected(document["selection"][name]) if name in there else None
    diverged = np.array([epoch or 0 for epoch in document["diverged_at_epoch"]], int)
    chosen = (values for both in selected.values() if both for values in both)
    for values in (*scores.values(), *(found or {}).values(), diverged, *chosen):
        if values.shape != (config.total_repeats,):
            raise ValueError(
                f"numbers of shape {values.shape} for {counted(config.total_repeats, 'repeat')}"
            )
    return Report(scores, selected, diverged, document["noise"], config.best_by, found)


def _selected(entry: dict[str, Any]) -> Selected:
    accuracy, epoch = (np.array(entry[of], float) for of in ("accuracy", "epoch"))
    return Selected(accuracy, np.nan_to_num(epoch).astype(int))
