"""What the nets made of each training sample: samples.npz, and suspects.csv, derived from it."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxnoise.config import Config
from jaxnoise.labels.noisy_dataset import NoisyDataset
from jaxnoise.runs import files
from jaxnoise.training.evaluation import Samples


def write_samples(folder: Path, samples: Samples) -> None:
    """samples.npz: loss (float32, mean over epochs) and predicted class, (repeats, samples)."""
    np.savez_compressed(folder / "samples.npz", **samples._asdict())


def read_samples(folder: Path, config: Config, dataset: NoisyDataset) -> dict[str, np.ndarray]:
    """samples.npz: loss and predicted, each (repeats, training samples).

    Raises:
      InputError: it is missing or damaged.
    """
    path = folder / "samples.npz"
    samples = files.read_arrays(path)
    shape = (config.total_repeats, len(dataset.train_index))
    files.check_shapes(path, samples, dict.fromkeys(("loss", "predicted"), shape))
    return samples


def write_suspects(
    folder: Path,
    *,
    index: np.ndarray,
    given: np.ndarray,
    predicted: np.ndarray,
    score: np.ndarray,
    votes: np.ndarray,
    files: Sequence[str] = (),
) -> None:
    """suspects.csv: all training samples, the most suspicious label first.

    Repeats that were given the same labels vote: mean score, most frequent prediction (the smallest
    of equals). Where repeats were given different labels each has a list of its own,
    suspects_repeat_1.csv and so on.

    Args:
      index: int (samples,), their places in the original train set.
      given: int (repeats, samples), the labels trained on.
      predicted: int (repeats, samples).
      score: float (repeats, samples): the loss on the given label, mean over epochs, nats. That
        wrong labels have a high one is the finding of Huang et al., "O2U-Net" (ICCV 2019,
        https://openreview.net/forum?id=DXSUpYgPNX).
      votes: bool (repeats,), False for those that diverged; if all did, all have one.
      files: (samples,), their file names, a column beside the index; may be empty.
    """
    import scipy.stats  # slow to import, and needed only here

    if (given == given[0]).all():
        votes = votes if votes.any() else ~votes
        majority = scipy.stats.mode(predicted[votes]).mode
        columns = given[0], majority, score[votes].mean(axis=0)
        _write(folder / "suspects.csv", index, files, *columns)
        return
    for i, columns in enumerate(zip(given, predicted, score, strict=True)):
        _write(folder / f"suspects_repeat_{i + 1}.csv", index, files, *columns)


def _write(path: Path, index: np.ndarray, files: Sequence[str], *columns: np.ndarray) -> None:
    *_, score = columns
    order = np.argsort(-score, kind="stable")
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        file_column = ["file"] if files else []
        table.writerow(["index", *file_column, "given_label", "predicted_label", "score"])
        given, predicted, _ = columns
        for i in order:
            called = [files[i]] if files else []
            table.writerow([index[i], *called, given[i], predicted[i], f"{score[i]:.6g}"])
