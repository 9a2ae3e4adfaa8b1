"""Plans: the runs of a sweep and how each ended, for reports; sweeps/*.json in results_dir."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import filelock

from jaxnoise.config import InputError
from jaxnoise.runs import files
from jaxnoise.sweep.grid import PlannedRun


def path_of(planned: Sequence[PlannedRun]) -> Path:
    """The path of the plan of these runs; the same runs have the same path."""
    named = json.dumps([(run.name, _relative(run, _results_dir(planned))) for run in planned])
    name = f"{hashlib.sha256(named.encode()).hexdigest()[:8]}.json"
    return _results_dir(planned) / "sweeps" / name


def write(planned: Sequence[PlannedRun]) -> Path:
    """Writes the plan, in which no run has ended yet.

    Its key `cells` lists the runs, each with name (of its row, or null), folder (relative to
    results_dir), command, ended (whether the run has ended since), and error (one line, or null).

    Raises:
      InputError: it cannot be written.
    """
    path = path_of(planned)
    entries = [
        {
            "name": run.name,
            "folder": _relative(run, _results_dir(planned)),
            "command": run.config.command,
            "ended": False,
            "error": None,
        }
        for run in planned
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            _replace(path, entries)
    except OSError as error:
        raise InputError(f"--results_dir: {path} cannot be written: {error.strerror}") from error
    return path


def note(path: Path, folder: Path, error: str | None) -> None:
    """Records how a run ended; several processes may do so at once.

    Args:
      path: what `write` returned.
      folder: of the run.
    """
    relative = folder.relative_to(path.parents[1]).as_posix()
    with _lock(path):
        entries = files.read_json(path)["cells"]
        for entry in entries:
            if entry["folder"] == relative:
                entry.update(ended=True, error=error)
        _replace(path, entries)


def ended(path: Path) -> dict[Path, dict]:
    """Entries of the runs that have ended since the plan was written, by their run folders."""
    with _lock(path):
        entries = files.read_json(path)["cells"]
    return {path.parents[1] / entry["folder"]: entry for entry in entries if entry["ended"]}


def _results_dir(planned: Sequence[PlannedRun]) -> Path:
    return Path(os.path.expanduser(planned[0].config.results_dir))


def _relative(run: PlannedRun, results_dir: Path) -> str:
    return run.folder.relative_to(results_dir).as_posix()


def _lock(path: Path) -> filelock.FileLock:
    return filelock.FileLock(path.with_name(f".{path.name}.lock"))


def _replace(path: Path, entries: list[dict]) -> None:
    files.write_text(path, json.dumps({"cells": entries}, indent=1) + "\n")
