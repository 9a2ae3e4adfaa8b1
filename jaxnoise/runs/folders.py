"""The folder of a run: its name, whether the run in it is finished, claiming and clearing it."""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxnoise.config import Config, InputError
from jaxnoise.runs import documents, files
from jaxnoise.training import surroundings

log = logging.getLogger("jaxnoise")


def run_folder(config: Config) -> Path:
    """results_dir/dataset/noise/regularization-fingerprint: no two settings share one.

    A net that is not the data set's default comes first: net_regularization-fingerprint. A run that
    an earlier version made, whose name lacks the net, keeps its folder.
    """
    results, (name, *earlier) = Path(os.path.expanduser(config.results_dir)), _names(config)
    return next((results / old for old in earlier if os.path.isdir(results / old)), results / name)


def _names(config: Config) -> list[Path]:
    """The run's folder below results_dir, and that of an earlier version, if it is another."""
    where = Path(config.dataset_name, config.noise.replace(" ", "_"))
    name = f"{config.regularization}-{config.fingerprint}"
    if config.network == config.default_network:
        return [where / name]
    return [where / f"{config.network}_{name}", where / name]


def results_dir_of(config: Config, folder: Path) -> str | None:
    """The results_dir with which `run_folder` gives this folder, or what it is a link to.

    None if there is none: the folder has been renamed, or another version named it. If the files
    cannot be read whose content is part of the name, the folder's own name is believed: without
    them, no run starts.
    """
    places = folder, folder.absolute(), folder.resolve()
    try:
        names = [name.parts for name in _names(config)]
    except InputError:
        names = [places[-1].parts[-3:]]
    return next((str(place.parents[2]) for place in places if place.parts[-3:] in names), None)


def finished(folder: Path) -> bool:
    """Whether a run was completed there: its scores are the last file written."""
    return os.path.isfile(folder / "scores.json")  # pathlib raises where a name is too long


def done(config: Config) -> bool:
    """Whether a run is finished and not to be trained again.

    Raises:
      InputError: it is, but with defaults of its loss, method or net that have changed since.
    """
    folder = run_folder(config)
    if config.overwrite or not finished(folder):
        return False
    try:
        recorded = files.read_json(folder / "config.json")
        then = {name: recorded.get(name) for name in documents.resolved(config)}
    except (OSError, ValueError, AttributeError):  # reported by whoever needs it
        return True
    for name, now in documents.resolved(config).items():
        if then[name] not in (None, now):
            raise InputError(
                f"{folder}: made with {then[name]}, but a default has changed, and now it would be "
                f"{now}; allowed are --overwrite, which trains it again, or another name for the "
                "loss, method or net"
            )
    return True


def unfinished(configs: Iterable[Config]) -> list[Config]:
    """The runs that are not `done`; logs which of the others other code has made."""
    configs = list(configs)
    left = [config for config in configs if not done(config)]
    warn_of_changes([config for config in configs if config not in left])
    return left


def warn_of_changes(configs: Iterable[Config]) -> None:
    """Logs which finished runs were made by other code, or in another environment, than here."""
    made: dict[str, list[str]] = {}
    for config in configs:
        if changed := _changes(config):
            made.setdefault("; ".join(changed), []).append(str(run_folder(config)))
    for by, where in made.items():
        log.warning("Made %s: %s", by, ", ".join(where))


def check_unchanged(config: Config) -> None:
    """Raises InputError if other code, or another environment, made a finished run."""
    if changed := _changes(config):
        raise InputError(
            f"{run_folder(config)}: made {'; '.join(changed)}; allowed is another --results_dir, "
            "where the run is made again"
        )


def _changes(config: Config) -> list[str]:
    try:
        recorded = files.read_json(run_folder(config) / "config.json")
        documents.check_facts(recorded)
    except (OSError, ValueError):  # reported by whoever needs it
        return []
    return surroundings.changes(recorded, surroundings.of_run(config))


def check_usable(folder: Path) -> None:
    """Raises InputError if the folder cannot be created or written, or holds something else."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"--results_dir: {folder} has characters that this locale cannot name; allowed are "
            "others, or set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
        ) from None
    try:
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise InputError(f"--results_dir: {folder} cannot be made: {error.strerror}") from error
    if not nearest.is_dir():
        raise InputError(f"--results_dir: {nearest} is in the way of {folder}: it is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"--results_dir: {nearest} cannot be written; allowed is any writable folder"
        )
    entries = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    # A claim that was cut short left hidden files at most.
    if any(not name.startswith(".") for name in entries) and "config.json" not in entries:
        raise InputError(f"--results_dir: {folder} contains files that are not a run's")


def claim(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """Creates the folder if it is missing, and marks it as this run's by its config.json."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results_dir: {folder} cannot be made: {error.strerror}") from error
    if not (folder / "config.json").is_file():
        documents.write_config(folder, config, facts)


def clear(folder: Path, *, going_on: bool) -> None:
    """Deletes what an earlier session left, except log, config.json and what resuming needs.

    The last is kept only if `going_on`. scores.json, which marks a run as finished, is deleted
    first, so that an interrupted start leaves no false result.
    """
    (folder / "scores.json").unlink(missing_ok=True)
    kept = {"config.json", documents.USER_CODE, "log.txt"} | (
        {"checkpoints", "spectrum_epochs"} if going_on else set()
    )
    for entry in folder.iterdir():
        if entry.name in kept or entry.name.startswith("."):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Makes a full or failing disk, met inside the block, an InputError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
            raise
        raise InputError(
            f"{error.filename or folder}: cannot be written: {error.strerror}; what was saved "
            "before is intact, and the same command resumes from there"
        ) from error
