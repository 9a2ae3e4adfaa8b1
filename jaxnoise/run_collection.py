"""All runs of a results folder, planned ones included: which method each is, on which noise."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from jaxnoise import documents, paired, results
from jaxnoise.config import Config, InputError
from jaxnoise.task_config import NOISE_FLAGS

FINISHED, UNFINISHED, FAILED, MISSING, DAMAGED = (
    "finished", "unfinished", "failed", "not begun", "damaged",
)  # fmt: skip
# What makes another column or another n of a table, not another method.
_NOT_OF_THE_METHOD = {"dataset", *NOISE_FLAGS, "total_repeats", "jacob_samples"} - {
    "noise_draws", "noise_per_repeat",
}  # fmt: skip


class Entry(NamedTuple):
    """A cell of the table: a run that is there, or was to be."""

    folder: Path
    dataset: str
    noise: str  # model and rate, as folders are named: uniform_noise_0.4
    method: str
    state: str
    run: paired.Run | None = None  # of a finished one
    command: str = ""
    error: str = ""  # one line

    @property
    def column(self) -> tuple[str, str]:
        return self.dataset, self.noise

    @property
    def rate(self) -> float | None:
        """The rate in the noise's name, in [0, 1], if there is one."""
        found = re.search(r"_(\d+(?:\.\d+)?(?:e-\d+)?)$", self.noise)
        return float(found[1]) if found else None

    @property
    def model(self) -> str:
        """The noise without its rate."""
        return self.noise if self.rate is None else self.noise.rpartition("_")[0]


def collect(results_dir: Path) -> list[Entry]:
    """Every run below a results folder, and those that the plans of sweeps name besides.

    Raises:
      InputError: there is no such folder, or no run in it.
    """
    if not results_dir.is_dir():
        raise InputError(f"RESULTS_DIR={results_dir}: there is no such folder")
    planned = _planned(results_dir)
    folders = {path.parent for path in results_dir.glob("*/*/*/config.json")}
    found = {folder: _entry(folder, planned.get(folder, {})) for folder in sorted(folders)}
    for folder, cell in planned.items():
        found.setdefault(folder, _entry(folder, cell))
    if not found:
        raise InputError(f"RESULTS_DIR={results_dir}: holds no run (DATASET/NOISE/RUN/config.json)")
    # As planned, then as folders are sorted.
    order = {folder: i for i, folder in enumerate(dict.fromkeys([*planned, *found]))}
    return _told_apart(sorted(found.values(), key=lambda entry: order[entry.folder]))


def _planned(results_dir: Path) -> dict[Path, dict[str, Any]]:
    """The cells of all plans by their folders, those of the last one counting."""
    cells = {}
    for path in sorted(results_dir.glob("sweeps/*.json"), key=lambda path: path.stat().st_mtime):
        try:
            for cell in documents.read(path)["cells"]:
                if len(Path(cell["folder"]).parts) == 3:
                    cells[results_dir / cell["folder"]] = cell
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: damaged ({error}); allowed is to delete it") from error
    return cells


def _entry(folder: Path, cell: dict[str, Any]) -> Entry:
    dataset, noise, name = folder.parts[-3:]
    # The folder's own name is legible but for its hash.
    method = cell.get("name") or name.rpartition("-")[0] or name
    entry = Entry(folder, dataset, noise, method, MISSING, command=cell.get("command", ""))
    error = cell.get("error")
    if not (folder / "config.json").is_file():
        return entry._replace(state=FAILED, error=error) if error else entry
    entry = entry._replace(command=_command(folder) or entry.command)
    if not results.finished(folder):
        return entry._replace(state=FAILED if error else UNFINISHED, error=error or "")
    try:
        return entry._replace(state=FINISHED, run=paired.read(folder))
    except InputError as error:
        return entry._replace(state=DAMAGED, error=str(error))


def _command(folder: Path) -> str:
    """The command of a run by its config.json, empty if that is damaged or an earlier version's."""
    try:
        return Config(**documents.read(folder / "config.json")["flags"]).command
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _told_apart(entries: list[Entry]) -> list[Entry]:
    """Methods that differ in more than their name says get what they differ in added to it."""
    # Within a data set: other data sets have other nets and sizes.
    of_name: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if entry.run:
            of_name[entry.method][entry.dataset].append(entry.run.flags)
    telling = {
        method: [
            name
            for name in paired.DEFAULTS
            if name not in _NOT_OF_THE_METHOD
            and any(len({str(each[name]) for each in flags}) > 1 for flags in datasets.values())
        ]
        for method, datasets in of_name.items()
    }
    return [
        entry._replace(
            method=" ".join(
                [entry.method]
                + [f"{name}={entry.run.flags[name]}" for name in telling[entry.method]]
            )
        )
        if entry.run
        else entry
        for entry in entries
    ]
