"""What a sweep was asked for and what became of it, for reports: sweeps/*.json in results_dir."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import filelock

from jaxnoise import documents
from jaxnoise.config import InputError
from jaxnoise.grid import PlannedCell


def write(planned: Sequence[PlannedCell]) -> Path:
    """Writes the plan; it has the same name for the same cells, and no errors yet.

    It holds `cells`, each with name (of its row, or null), folder (relative to results_dir),
    command, and error (one line, or null).

    Raises:
      InputError: it cannot be written.
    """
    results_dir = Path(os.path.expanduser(planned[0].config.results_dir))
    cells = [
        {
            "name": cell.name,
            "folder": cell.folder.relative_to(results_dir).as_posix(),
            "command": cell.config.command,
            "error": None,
        }
        for cell in planned
    ]
    named = json.dumps([(cell["name"], cell["folder"]) for cell in cells])
    path = results_dir / "sweeps" / f"{hashlib.sha256(named.encode()).hexdigest()[:8]}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        cells = documents.read(path)["cells"]
        for cell in cells:
            if cell["folder"] == relative:
                cell["error"] = error
        _replace(path, cells)


def _replace(path: Path, cells: list[dict]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps({"cells": cells}, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
