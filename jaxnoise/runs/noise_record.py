"""The noise of a run: noise.npz for programs, noise.json for people, and transition matrices.

These are forward_matrix.npy, used, and noise_estimates.npz, estimated.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise.config import Config, InputError
from jaxnoise.labels import noisy_dataset, reading
from jaxnoise.labels.noise import NoisyLabels, summary
from jaxnoise.labels.noisy_dataset import NoisyDataset, SplitDataset
from jaxnoise.runs import files
from jaxnoise.scores.estimates import WAYS

_FLAGS = (
    "noise_options", "flip_map", "noise_matrix", "wave_frequency", "human_labels", "noise_file",
    "noise_seed",
)  # fmt: skip


def write_noise(
    folder: Path, config: Config, dataset: NoisyDataset, *, versions: dict[str, str]
) -> None:
    """noise.npz and noise.json: all draws of the noise, with their rates and origin.

    noise.npz holds noisy, picked, changed (draws, samples), clean (samples,), the same of the
    validation part with the prefix valid_, train_index, valid_index: places in the original train
    set, and data_sha256, whose places they are. noise.json holds settings, rates, matrices and
    hashes.
    """
    train, valid = (of[: config.draws] for of in (dataset.noisy_labels, dataset.noisy_valid_labels))
    arrays = {"train_index": dataset.train_index, "valid_index": dataset.valid_index}
    for prefix, draws in (("", train), ("valid_", valid)):
        arrays[f"{prefix}clean"] = draws[0].clean
        for name in ("noisy", "picked", "changed"):
            arrays[prefix + name] = np.stack([getattr(labels, name) for labels in draws])
    np.savez_compressed(folder / "noise.npz", **arrays, data_sha256=dataset.data_sha256)

    document = {
        "dataset": config.dataset,
        **summary(config, train),
        "flags": {name: getattr(config, name) for name in _FLAGS},
        "sha256_of": "noisy labels of the training part, in its order, as little-endian int32",
        "versions": versions,
    }
    for entry, labels, valid_labels in zip(document["draws"], train, valid, strict=True):
        entry["valid"] = valid_labels.summary() if len(valid_labels.noisy) else None
        entry["classes"] = _classes(labels, dataset.class_names)
        entry["transition_matrix"] = {
            "asked": rounded(labels.transition_matrix),
            "realized": rounded(labels.realized_matrix(dataset.num_classes)),
        }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # A row of a matrix, and a class, on a line each.
    text = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda match: re.sub(r"\n\s*", " ", match[0]), text)
    (folder / "noise.json").write_text(text + "\n", encoding="utf-8")


def read_noise(
    folder: Path, config: Config, splits: SplitDataset | None = None
) -> tuple[dict[str, np.ndarray], NoisyDataset]:
    """The arrays of noise.npz, and the data set with its labels.

    Args:
      splits: the data set, if it is already loaded.

    Raises:
      InputError: it is missing, damaged, or of another data set or split.
    """
    path = folder / "noise.npz"
    arrays = files.read_arrays(path)
    shapes = {}
    for prefix, index in (("", "train_index"), ("valid_", "valid_index")):
        size = len(arrays.get(index, []))
        shapes |= {index: (size,), f"{prefix}clean": (size,)}
        shapes |= {prefix + name: (config.draws, size) for name in ("noisy", "picked", "changed")}
    files.check_shapes(path, arrays, shapes)
    dataset = noisy_dataset.load(config, reading.read_file(path, str(path)), splits)
    for name in ("train_index", "valid_index"):
        if not np.array_equal(arrays[name], getattr(dataset, name)):
            raise InputError(f"{path}: {name} is not that of the data set's split")
    return arrays, dataset


def write_forward_matrix(folder: Path, matrices: np.ndarray) -> None:
    """forward_matrix.npy: what --loss=forward corrects with, float32 (repeats, K, K)."""
    np.save(folder / "forward_matrix.npy", matrices)


def write_estimates(folder: Path, matrices: dict[str, np.ndarray]) -> None:
    """noise_estimates.npz: T as `estimates.WAYS` estimate it, float64 (repeats, K, K) each."""
    np.savez_compressed(folder / "noise_estimates.npz", **matrices)


def read_estimates(folder: Path, config: Config, dataset: SplitDataset) -> dict[str, np.ndarray]:
    """noise_estimates.npz; raises InputError if it is missing or damaged."""
    path = folder / "noise_estimates.npz"
    matrices = files.read_arrays(path)
    shape = (config.total_repeats, dataset.num_classes, dataset.num_classes)
    files.check_shapes(path, matrices, dict.fromkeys(WAYS, shape))
    return matrices


def _classes(labels: NoisyLabels, names: Sequence[str]) -> list[dict[str, Any]]:
    """Per class: counts, and the rate of changed labels, expected from the model and realized."""
    rows = []
    for i, name in enumerate(names):
        members = labels.clean == i
        asked = labels.transition_matrix
        rows.append(
            {
                "class": i,
                "name": name,
                "samples": int(members.sum()),
                "picked": int(labels.picked[members].sum()),
                "changed": int(labels.changed[members].sum()),
                "expected_rate": None if asked is None else round(1 - float(asked[i, i]), 6),
                "true_rate": round(float(labels.changed[members].mean()), 6)
                if members.any()
                else None,
            }
        )
    return rows


def rounded(matrix: np.ndarray | None) -> list[list[float | None]] | None:
    """A matrix for JSON, which has no NaN: to six decimals."""
    if matrix is None:
        return None
    return [[None if np.isnan(x) else round(float(x), 6) for x in row] for row in matrix]
