"""The run folder: its name and every file format in it."""

import csv
import dataclasses
import io
import json
import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate
from tensorboardX import SummaryWriter

from jaxnoise import variance
from jaxnoise.config import Config, InputError
from jaxnoise.noise import in_words

# The seven scores of Bar et al. 2022, then what is reported beside them.
SCORES = (
    "train_noisy_accuracy",
    "train_accuracy",
    "valid_accuracy",
    "test_accuracy",
    "train_jacob",
    "test_jacob",
    "entropy",
    "last_test_accuracy",
    "best_epoch",
)
_SELECTION = (
    "Scores of the epoch with the best clean-validation accuracy (the earliest of equals); "
    "last_test_accuracy is the last epoch's. Accuracies in percent, jacob = mean squared Frobenius "
    "norm of the logits' Jacobian, entropy = mean entropy of the predictions on the training part, "
    "in nats; best_epoch counted from 1; std over repeats is the population's."
)


def run_folder(config: Config) -> Path:
    """results_dir/dataset/noise_rate/regularization-fingerprint: no two settings share one."""
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
        values = {name: [_number(x) for x in row] for name, row in metrics.items()}
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
    split, _, quantity = name.rpartition("_")
    return f"{quantity}/{split}" if split else name


def _number(x: np.generic) -> int | float | None:
    """For JSON, which has no NaN and no infinity: they become null."""
    return x.item() if np.isfinite(x) else None


def write_history(folder: Path, history: dict[str, np.ndarray]) -> None:
    """history.npz: every metric of metrics.jsonl as float32 (epochs, repeats)."""
    np.savez_compressed(folder / "history.npz", **history)


def write_scores(folder: Path, scores: dict[str, np.ndarray], *, noise: dict[str, Any]) -> None:
    """scores.csv, scores.txt and, last because it marks the run as finished, scores.json.

    Args:
      scores: float (repeats,) for each name in SCORES.
      noise: as `noise.summary` makes it.
    """
    rows = _rows(scores)
    text = io.StringIO()
    table = csv.DictWriter(text, ["repeat", *SCORES], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    _write(folder / "scores.csv", text.getvalue())
    parts = _variance(scores, len(noise["draws"]))
    _write(folder / "scores.txt", scores_table(rows, noise, parts) + "\n")
    by_name = {row.pop("repeat"): row for row in rows}
    mean, std = by_name.pop("mean"), by_name.pop("std")
    document = {
        "selection": _SELECTION,
        "noise": noise,
        "mean": mean,
        "std": std,
        "repeats": list(by_name.values()),
        "variance": parts,
    }
    _write(folder / "scores.json", json.dumps(document, indent=2) + "\n")


def _rows(scores: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    repeats = len(scores["test_accuracy"])
    rows = [
        {"repeat": i + 1} | {name: _number(scores[name][i]) for name in SCORES}
        for i in range(repeats)
    ]
    for name, statistic in (("mean", np.mean), ("std", np.std)):
        with np.errstate(invalid="ignore"):  # infinity less infinity
            values = {key: _number(statistic(np.float64(scores[key]))) for key in SCORES}
        rows.append({"repeat": name} | values)
    return rows


def _variance(scores: dict[str, np.ndarray], draws: int) -> dict[str, Any] | None:
    """Standard deviation by its source, where repeats share several draws of the noise."""
    runs = len(scores["test_accuracy"]) // draws
    if draws == 1:
        return None
    std = None
    if runs > 1:
        with np.errstate(invalid="ignore"):
            parts = {name: variance.components(scores[name], draws)._asdict() for name in SCORES}
        std = {
            name: {source: _number(np.float64(x)) for source, x in part.items()}
            for name, part in parts.items()
        }
    return {"noise_draws": draws, "runs_per_draw": runs, "std": std}


def scores_table(
    rows: list[dict[str, Any]], noise: dict[str, Any], parts: dict[str, Any] | None
) -> str:
    """The table of scores.txt: a row per repeat, then mean and std; and what is said below."""
    header = [name.replace("_", "\n") for name in ("repeat", *SCORES)]
    body = [[row["repeat"], *(_cell(row[name]) for name in SCORES)] for row in rows]
    body = [*body[:-2], ["─" * 6] + ["─" * 7] * len(SCORES), *body[-2:]]
    return "\n".join(
        [
            tabulate(body, header, tablefmt="simple", disable_numparse=True, stralign="right"),
            "",
            *(f"Noise ({noise['noise']}): {line}." for line in in_words(noise)),
            *textwrap.wrap(_SELECTION, 100),
            *textwrap.wrap(_variance_in_words(parts), 100),
        ]
    )


def _variance_in_words(parts: dict[str, Any] | None) -> str:
    if parts is None:
        return ""
    if parts["std"] is None:
        return (
            "Every repeat has a noise draw of its own: std is of noise, initialization and batch "
            "order together; more repeats than --noise_draws tell them apart."
        )
    test = parts["std"]["test_accuracy"]
    return (
        f"Of test_accuracy's variance: std {_cell(test['noise'])} between {parts['noise_draws']} "
        f"noise draws, {_cell(test['training'])} between the {parts['runs_per_draw']} runs on the "
        "same draw, that is initialization and batch order (random-effects analysis of variance; "
        "the other scores' stand in scores.json)."
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def read_scores(folder: Path) -> dict[str, Any]:
    """The content of scores.json."""
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
