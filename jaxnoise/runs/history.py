"""What was measured epoch by epoch: metrics.jsonl and TensorBoard's events, then history.npz."""

import json
from pathlib import Path

import numpy as np

from jaxnoise.config import Config, InputError
from jaxnoise.runs import files
from jaxnoise.scores.scoring import number
from jaxnoise.scores.selection import SELECTIONS, Selected, existing, select


class EpochWriter:
    """metrics.jsonl (a line per epoch) and TensorBoard events (a run per repeat, under logs/).

    Both start empty: when a run resumes, the epochs that it already has must be written again.
    """

    def __init__(self, folder: Path, repeats: int):
        # Here, so that it loads while training has begun: where PyTorch is installed, it loads it.
        from tensorboardX import SummaryWriter

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


def read_history(folder: Path, config: Config) -> dict[str, np.ndarray]:
    """history.npz: every metric as float (epochs, repeats).

    Raises:
      InputError: it is missing or damaged.
    """
    path = folder / "history.npz"
    history = files.read_arrays(path)
    names = existing(
        validated=config.best_by is not None,
        epochs=config.epochs_num,
        ema=config.ema_decay is not None,
    )
    needed = {metric for name in names for metric in (SELECTIONS[name].chosen_by,
                                                      SELECTIONS[name].of)} - {None}  # fmt: skip
    shape = (config.epochs_num, config.total_repeats)
    files.check_shapes(path, history, dict.fromkeys(needed | history.keys(), shape))
    return history


def last_ten(folder: Path, shape: tuple[int, int]) -> Selected | None:
    """The selection `last_ten` of a run from before scores.json had it, by its history.npz.

    None if that is missing or damaged, or has fewer epochs.

    Args:
      shape: epochs and repeats.
    """
    path = folder / "history.npz"
    try:
        history = files.read_arrays(path, ["test_accuracy"])
        files.check_shapes(path, history, {"test_accuracy": shape})
    except InputError:
        return None
    return select(history)["last_ten"]
