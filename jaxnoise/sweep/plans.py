"""What a sweep was asked for and what became of it, for reports: sweeps/*.json in results_dir."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import filelock

from jaxnoise.config import InputError
from jaxnoise.runs import files
from jaxnoise.sweep.grid import PlannedCell


def path_of(planned: Sequence[PlannedCell]) -> Path:
    """Where the plan of these cells stands: it has the same name for the same cells."""
    named = json.dumps([(cell.name, _relative(cell, _results_dir(planned))) for cell in planned])
    name = f"{hashlib.sha256(named.encode()).hexdigest()[:8]}.json"
    return _results_dir(planned) / "sweeps" / name


def write(planned: Sequence[PlannedCell]) -> Path:
    """Writes the plan, in which nothing has ended yet.

    It holds `cells`, each with name (of its row, or null), folder (relative to results_dir),
    command, ended (whether it has since), and error (one line, or null).

    Raises:
      InputError: it cannot be written.
    """
    path = path_of(planned)
    cells = [
        {
            "name": cell.name,
            "folder": _relative(cell, _results_dir(planned)),
            "command": cell.config.command,
            "ended": False,
            "error": None,
        }
        for cell in planned
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            _replace(path, cells)
    except OSError as error:
        raise InputError(f"--results_dir: {path} cannot be written: {error.strerror}") from error
    return path


def note(path: Path, folder: Path, error: str | None) -> None:
    """Notes how a run ended; several processes may do so at once.

    Args:
      path: what `write` returned.
      folder: of the run.
    """
    relative = folder.relative_to(path.parents[1]).as_posix()
    with _lock(path):
        cells = files.read_json(path)["cells"]
        for cell in cells:
            if cell["folder"] == relative:
                cell.update(ended=True, error=error)
        _replace(path, cells)


def ended(path: Path) -> dict[Path, dict]:
    """The cells that have ended since the plan was written, by their run folders."""
    with _lock(path):
        cells = files.read_json(path)["cells"]
    return {path.parents[1] / cell["folder"]: cell for cell in cells if cell["ended"]}


def _results_dir(planned: Sequence[PlannedCell]) -> Path:
    return Path(os.path.expanduser(planned[0].config.results_dir))


def _relative(cell: PlannedCell, results_dir: Path) -> str:
    return cell.folder.relative_to(results_dir).as_posix()


def _lock(path: Path) -> filelock.FileLock:
    return filelock.FileLock(path.with_name(f".{path.name}.lock"))


def _replace(path: Path, cells: list[dict]) -> None:
    files.write_text(path, json.dumps({"cells": cells}, indent=1) + "\n")
