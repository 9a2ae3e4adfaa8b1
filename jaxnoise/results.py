"""The run folder: its name and every file format in it."""

import csv
import dataclasses
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from jaxnoise import scoring
from jaxnoise.config import Config, InputError
from jaxnoise.evaluation import Samples
from jaxnoise.scoring import number


def run_folder(config: Config) -> Path:
    """results_dir/dataset/noise/regularization-fingerprint: no two settings share one."""
    return (
        Path(config.results_dir).expanduser()
        / config.dataset.replace("/", "_")
        / config.noise.replace(" ", "_")
        / f"{config.regularization}-{config.fingerprint}"
    )


def finished(folder: Path) -> bool:
    """Whether a run was completed there: its scores are the last file written."""
    return (folder / "scores.json").is_file()


def check_usable(folder: Path) -> None:
    """Raises InputError if the folder could not be made and written, or holds something else."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"--results_dir: {nearest} is in the way of {folder}; it is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"--results_dir: {nearest} cannot be written; allowed is any folder that can be"
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise InputError(f"--results_dir: {folder} is in use by something that is not a run")


def start(folder: Path) -> None:
    """Makes the folder, or empties it of an earlier run's files.

    What marks that run as finished goes first and what marks the folder as a run's goes last: a
    start cut short leaves neither a false result nor a folder that cannot be used again.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results_dir: {folder} cannot be made: {error.strerror}") from error
    marks = {"scores.json": 0, "config.json": 2}
    for entry in sorted(folder.iterdir(), key=lambda entry: marks.get(entry.name, 1)):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def write_config(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """config.json: every flag as it was used, and the facts of the run."""
    flags = dataclasses.asdict(config) | {"net": config.network}
    _write(folder / "config.json", json.dumps({"flags": flags, **facts}, indent=2) + "\n")


class EpochWriter:
    """metrics.jsonl (a line per epoch) and TensorBoard events (a run per repeat, under logs/)."""

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


def write_scores(folder: Path, report: scoring.Report) -> None:
    """scores.csv, scores.txt and, last because it marks the run as finished, scores.json."""
    text = io.StringIO()
    table = csv.DictWriter(text, ["repeat", *scoring.SCORES], lineterminator="\n")
    table.writeheader()
    table.writerows(report.rows())
    _write(folder / "scores.csv", text.getvalue())
    _write(folder / "scores.txt", report.text() + "\n")
    _write(folder / "scores.json", json.dumps(report.document(), indent=2) + "\n")


def read_scores(folder: Path) -> dict[str, Any]:
    """The content of scores.json."""
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
