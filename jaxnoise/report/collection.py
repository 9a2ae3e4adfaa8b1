"""All runs of a results folder, planned ones included, each with its method and its noise."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import Any, NamedTuple

from jaxnoise.config import FIELDS, NOISE_FLAGS, Config, InputError, MethodConfig, RegularizerConfig
from jaxnoise.runs import documents, files, folders, pairs
from jaxnoise.terminal import progress

FINISHED, UNFINISHED, FAILED, MISSING, DAMAGED = (
    "finished", "unfinished", "failed", "not begun", "damaged",
)  # fmt: skip
# Settings that make another column of a table.
_OF_THE_NOISE = set(NOISE_FLAGS) - {"noise_draws", "noise_per_repeat"}
# Settings that make another row. Runs that differ only in the number of repeats share a method.
_OF_THE_METHOD = pairs.DEFAULTS.keys() - _OF_THE_NOISE - {
    "dataset", "total_repeats", "jacob_samples",
}  # fmt: skip
# Those of them that the name of a run's folder does not show. It shows the recipe, and the names of
# definitions in a file of --user_code.
_UNTOLD = _OF_THE_METHOD - {"recipe", "user_code"} - {
    field.name for part in (RegularizerConfig, MethodConfig) for field in dataclasses.fields(part)
}  # fmt: skip


# What decides the images and labels of a run, as far as its settings say.
_DATA = (
    *NOISE_FLAGS, "dataset", "train_size", "test_size", "validation_ratio", "split_seed",
    "image_size", "total_repeats",
)  # fmt: skip


class Column(NamedTuple):
    """A data set and a noise, on which methods are compared."""

    dataset: str
    noise: str  # as in folder names, uniform_noise_0.4, then further settings

    @property
    def rate(self) -> float | None:
        """The rate in the noise's name, in [0, 1], if there is one."""
        try:
            return float(self.noise.split(" ")[0].rpartition("_")[2])
        except ValueError:
            return None

    @property
    def model(self) -> str:
        """The noise without its rate."""
        name, *more = self.noise.split(" ")
        return " ".join([name if self.rate is None else name.rpartition("_")[0], *more])


class Entry(NamedTuple):
    """A run in the results folder, or one that is only planned."""

    folder: Path
    dataset: str
    noise: str  # see Column
    method: str
    named: bool  # whether a sweep's file gave the method its name
    state: str
    run: pairs.Run | None = None  # None unless it is finished
    command: str = ""
    error: str = ""  # one line

    @property
    def column(self) -> Column:
        return Column(self.dataset, self.noise)

    @property
    def plain(self) -> bool:
        """Whether it has no regularizer, loss or method; of a missing run, its folder says so."""
        return self.run.plain if self.run else self.folder.name.startswith("no_reg-")


def collect(results_dir: Path) -> list[Entry]:
    """Every run in a results folder, and those that sweeps have planned but not made.

    Raises:
      InputError: there is no such folder, or no run in it.
    """
    if not results_dir.is_dir():
        raise InputError(f"RESULTS_DIR={results_dir}: there is no such folder")
    planned = _planned(results_dir)
    there = {x.parent for name in documents.OF_A_RUN for x in results_dir.glob(f"*/*/*/{name}")}
    # A run that a link names too is one run, by its own name.
    real = {folder.resolve(): folder for folder in sorted(there, key=Path.is_symlink, reverse=True)}
    there = sorted(real.values())
    reading = progress.progress_bar(there, "reading runs")
    found = {folder: _entry(folder, planned.get(folder, {})) for folder in reading}
    for folder, cell in planned.items():
        found.setdefault(folder, _entry(folder, cell))
    if not found:
        raise InputError(f"RESULTS_DIR={results_dir}: no run in it (DATASET/NOISE/RUN/config.json)")
    # As planned, then as folders are sorted.
    order = {folder: i for i, folder in enumerate(dict.fromkeys([*planned, *found]))}
    return _told_apart(sorted(found.values(), key=lambda entry: order[entry.folder]))


def row_name(folder: Path) -> str | None:
    """The name that a sweep's file gives the row of a run, as in `Entry.method`, if it has one."""
    place = folder.resolve()
    cell = _planned(place.parents[2]).get(place, {}) if len(place.parts) > 3 else {}
    return cell.get("name")


def _planned(results_dir: Path) -> dict[Path, dict[str, Any]]:
    """The planned runs by their folders; of several plans for a folder, the newest counts."""
    cells = {}
    for path in sorted(results_dir.glob("sweeps/*.json"), key=lambda path: path.stat().st_mtime):
        try:
            for cell in files.read_json(path)["cells"]:
                if len(Path(cell["folder"]).parts) == 3:
                    cells[results_dir / cell["folder"]] = cell
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: damaged ({error}); it may be deleted") from error
    return cells


def _entry(folder: Path, cell: dict[str, Any]) -> Entry:
    dataset, noise, name = folder.parts[-3:]
    # The name of the folder without its fingerprint is readable.
    method = cell.get("name") or name.rpartition("-")[0] or name
    entry = Entry(
        folder, dataset, noise, method, bool(cell.get("name")), MISSING,
        command=cell.get("command", ""),
    )  # fmt: skip
    error = cell.get("error")
    if not (folder / "config.json").is_file() and not folders.finished(folder):
        return entry._replace(state=FAILED, error=error) if error else entry
    entry = entry._replace(command=_command(folder) or entry.command)
    if not folders.finished(folder):
        return entry._replace(state=FAILED if error else UNFINISHED, error=error or "")
    try:
        return entry._replace(state=FINISHED, run=pairs.read(folder))
    except InputError as error:
        return entry._replace(state=DAMAGED, error=str(error))


def _command(folder: Path) -> str:
    """The command of a run by its config.json; empty if that is damaged or too old."""
    try:
        return Config(**files.read_json(folder / "config.json")["flags"]).command
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def one_of_each(entries: list[Entry]) -> list[Entry]:
    """One run for each method and column: the one with the most repeats that did not diverge."""
    found: dict[tuple, Entry] = {}
    for entry in entries:
        cell = entry.method, entry.column
        found[cell] = max(found.get(cell, entry), entry, key=lambda x: x.run.n if x.run else -1)
    return list(found.values())


def _told_apart(entries: list[Entry]) -> list[Entry]:
    """Adds to names of noises and methods the settings in which runs of one name differ."""
    paths: dict[tuple[str, ...], str] = {}
    for entry in entries:
        if entry.run and (path := entry.run.flags["noise_file"]):  # one name for the same labels
            entry.run.flags["noise_file"] = paths.setdefault(entry.run.labels_sha256, path)
    entries = _with_data(entries)
    entries = _tell(entries, "noise", _OF_THE_NOISE, lambda entry: entry.noise)
    # Settings that no folder name shows must be equal, or be shown, across methods too.
    entries = _tell(entries, "method", _UNTOLD, lambda entry: None if entry.named else "")
    return _tell(entries, "method", _OF_THE_METHOD, lambda entry: entry.method)


def _with_data(entries: list[Entry]) -> list[Entry]:
    """Adds to names of data sets and noises the digests in which runs of equal settings differ.

    So do runs of one command, between which the images or the labels in a file have changed.
    """
    data: dict[tuple, set] = defaultdict(set)
    for entry in entries:
        if entry.run:
            data[_settings(entry.run)].add((entry.run.data_sha256, entry.run.labels_sha256))

    def told(entry: Entry) -> Entry:
        found = data[_settings(entry.run)] if entry.run else set()
        images = {digest for digest, _ in found if digest}  # an older run has none
        if len(images) > 1 and entry.run.data_sha256:
            return entry._replace(dataset=f"{entry.dataset} (data {entry.run.data_sha256[:8]})")
        if len(images) < 2 and len({labels for _, labels in found}) > 1:
            digest = entry.run.labels_sha256[0][:8]
            return entry._replace(noise=f"{entry.noise} (labels {digest})")
        return entry

    return [told(entry) for entry in entries]


def _settings(run: pairs.Run) -> tuple:
    return tuple(str(run.flags[name]) for name in _DATA)


def _tell(
    entries: list[Entry],
    part: str,
    names: Collection[str],
    key: Callable[[Entry], Hashable],
) -> list[Entry]:
    """Appends to one part of each entry the settings in which entries with an equal key differ.

    Entries are compared within a data set, since nets and sizes differ between data sets. Settings
    at their default are not appended. Entries whose key is None stay as they are.
    """
    of_key: dict[Hashable, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if entry.run:
            of_key[key(entry)][entry.dataset].append(entry.run.flags)
    telling = {
        one: [
            name
            for name in pairs.DEFAULTS
            if name in names
            and any(len({str(each[name]) for each in flags}) > 1 for flags in datasets.values())
        ]
        for one, datasets in of_key.items()
        if one is not None
    }

    def told(entry: Entry) -> str:
        flags = entry.run.flags
        more = [name for name in telling.get(key(entry), ()) if flags[name] != FIELDS[name].default]
        if entry.method.startswith(f"{flags['net']}_"):
            more = [name for name in more if name != "net"]
        return " ".join([getattr(entry, part), *(f"{name}={flags[name]}" for name in more)])

    return [entry._replace(**{part: told(entry)}) if entry.run else entry for entry in entries]
