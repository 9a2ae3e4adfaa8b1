"""The run folder: its name and every file format in it."""

import contextlib
import csv
import dataclasses
import errno
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from jaxnoise import documents, scoring
from jaxnoise.config import Config, InputError
from jaxnoise.evaluation import Samples
from jaxnoise.scoring import number


def run_folder(config: Config) -> Path:
    """results_dir/dataset/noise/regularization-fingerprint: no two settings share one."""
    return (
        Path(os.path.expanduser(config.results_dir))
        / config.dataset_name
        / config.noise.replace(" ", "_")
        / f"{config.regularization}-{config.fingerprint}"
    )


def finished(folder: Path) -> bool:
    """Whether a run was completed there: its scores are the last file written."""
    return os.path.isfile(folder / "scores.json")  # pathlib raises where a name is too long


def done(config: Config) -> bool:
    """Whether a run is finished and not to be made again.

    Raises:
      InputError: it is, but by other defaults of its loss or method than there are now.
    """
    folder = run_folder(config)
    if config.overwrite or not finished(folder):
        return False
    try:
        recorded = documents.read(folder / "config.json").get("hyperparameters")
    except (OSError, ValueError):  # told by whoever needs it
        recorded = None
    if recorded not in (None, config.hyperparameters):
        raise InputError(
            f"{folder}: made with {recorded}, now it would be {config.hyperparameters}, since a "
            "default has changed; allowed are --overwrite, which trains it again, or another name "
            "for the loss or method"
        )
    return True


def check_usable(folder: Path) -> None:
    """Raises InputError if the folder could not be made and written, or holds something else."""
    try:
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise InputError(f"--results_dir: {folder} cannot be made: {error.strerror}") from error
    if not nearest.is_dir():
        raise InputError(f"--results_dir: {nearest} is in the way of {folder}; it is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"--results_dir: {nearest} cannot be written; allowed is any folder that can be"
        )
    entries = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    # A claim that was cut short left hidden files at most.
    if any(not name.startswith(".") for name in entries) and "config.json" not in entries:
        raise InputError(f"--results_dir: {folder} is in use by something that is not a run")


def claim(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """Makes the folder, if it is not there, and marks it as this run's by its config.json."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results_dir: {folder} cannot be made: {error.strerror}") from error
    if not (folder / "config.json").is_file():
        write_config(folder, config, facts)


def clear(folder: Path, *, going_on: bool) -> None:
    """Deletes what an earlier session left, but for log, config.json and, going on, what it needs.

    What marks a run as finished goes first: a start cut short leaves no false result.
    """
    (folder / "scores.json").unlink(missing_ok=True)
    kept = {"config.json", "log.txt"} | ({"checkpoints", "spectrum_epochs"} if going_on else set())
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
            "before is whole, and the same command goes on from there"
        ) from error


def write_config(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """config.json: every flag as it was used, hyper-parameters as resolved, facts of the run."""
    flags = dataclasses.asdict(config) | {"net": config.network}
    document = {"flags": flags, "hyperparameters": config.hyperparameters, **facts}
    documents.write(folder / "config.json", json.dumps(document, indent=2) + "\n")


def sessions(folder: Path) -> list[dict[str, Any]]:
    """The facts of the sessions so far, the oldest first: of an interrupted run's config.json."""
    try:
        facts = documents.read(folder / "config.json")
        found = [*facts.pop("earlier_sessions"), facts]
        del facts["flags"]
        facts.pop("hyperparameters", None)
        for session in found:
            documents.check_facts(session)
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or damaged
        return []
    return found


class EpochWriter:
    """metrics.jsonl (a line per epoch) and TensorBoard events (a run per repeat, under logs/).

    Both are begun anew: of a run that goes on, the epochs that it has are to be written again.
    """

    def __init__(self, folder: Path, repeats: int):
        self._lines = open(folder / "metrics.jsonl", "w", encoding="utf-8")  # noqa: SIM115
        self._boards = [
            SummaryWriter(str(folder / "logs" / f"repeat_{i + 1}")) for i in range(repeats)
        ]

    def write(self, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """Adds an epoch, counted from 1; every metric is float (repeats,)."""
        values = {name: [number(x) for x in row] for name, row in metrics.items()}
        self._lines.write(json.dumps({"epoch": epoch, **values}) + "\n")
        self._lines.flush()
        for i, board in enumerate(self._boards):
            for name, row in values.items():
                if row[i] is not None:
                    board.add_scalar(_tag(name), row[i], epoch)

    def __enter__(self) -> "EpochWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        for board in self._boards:
            board.close()


def _tag(name: str) -> str:
    """TensorBoard groups by what stands before the slash: test_loss beside train_loss."""
    if name.startswith("step_"):
        return name.replace("_", "/", 1)
    if name.startswith(("changed_", "unchanged_")):
        return f"memorization/{name}"
    split, _, quantity = name.rpartition("_")
    return f"{quantity}/{split}" if split else name


def write_history(folder: Path, history: dict[str, np.ndarray]) -> None:
    """history.npz: every metric of metrics.jsonl as float32 (epochs, repeats)."""
    np.savez_compressed(folder / "history.npz", **history)


def write_samples(folder: Path, samples: Samples) -> None:
    """samples.npz: loss (float32, mean over epochs) and predicted class, (repeats, samples)."""
    np.savez_compressed(folder / "samples.npz", **samples._asdict())


def write_forward_matrix(folder: Path, matrices: np.ndarray) -> None:
    """forward_matrix.npy: what --loss=forward corrects with, float32 (repeats, K, K)."""
    np.save(folder / "forward_matrix.npy", matrices)


def write_scores(folder: Path, report: scoring.Report) -> None:
    """scores.csv, scores.txt and, last because it marks the run as finished, scores.json."""
    text = io.StringIO()
    columns = ["repeat", *scoring.SCORES, "diverged_at_epoch"]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(report.rows())
    documents.write(folder / "scores.csv", text.getvalue())
    documents.write(folder / "scores.txt", report.text() + "\n")
    documents.write(folder / "scores.json", json.dumps(report.document(), indent=2) + "\n")


def read_scores(folder: Path) -> dict[str, Any]:
    """The content of scores.json; raises InputError if it is damaged."""
    path = folder / "scores.json"
    try:
        return documents.read(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); --overwrite trains the run again") from error
