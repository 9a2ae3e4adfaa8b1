"""Reading of noisy labels: from a file, or from the copy that holds human annotations."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxnoise import data
from jaxnoise.config import Config, InputError, counted
from jaxnoise.labels.given import GivenLabels
from jaxnoise.labels.table import Table, read_table


def read_labels(config: Config, table: Table | None = None) -> GivenLabels:
    """Reads the labels of --noise_file or --human_labels.

    Args:
      table: of `table_of`, if --noise_file is a table.

    Raises:
      InputError: they cannot be read, or their number of draws is not the requested one.
    """
    if config.noise_file is None:
        return _read_human(config)
    source = f"--noise_file={config.noise_file}"
    if table is not None:
        given = _given(source, _of_table(table))
    else:
        given = read_file(Path(os.path.expanduser(config.noise_file)), source)
    draws, samples = given.noisy.shape
    if draws != config.draws and draws > samples:
        raise InputError(
            f"{source}: an array of shape {given.noisy.shape} would be {draws} draws of "
            f"{counted(samples, 'label')}; allowed are (samples,) and (draws, samples), of class "
            "numbers"
        )
    if draws != config.draws:
        raise InputError(
            f"--noise_draws={config.draws}: allowed is {draws}, the number of draws in {source}"
        )
    return given


def read_file(path: Path, source: str) -> GivenLabels:
    """Reads the labels in a file; error messages call it `source`.

    Raises:
      InputError: they cannot be read.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise InputError(f"{source}: allowed file types are {', '.join(_READERS)}")
    try:
        return _given(source, _READERS[kind](path, source))
    except InputError:
        raise
    except Exception as error:  # formats and kinds of damage raise different types
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason:
            reason = "it contains pickled Python objects; allowed are arrays of integers"
        raise InputError(f"{source}: cannot be read: {reason}") from error


def _given(source: str, content: dict[str, np.ndarray]) -> GivenLabels:
    index = picked = None
    if "train_index" in content:  # a run's noise.npz: both of its parts, one after the other
        index, noisy, clean, picked = (
            np.concatenate([content[train], content[valid]], axis=-1)
            for train, valid in (
                ("train_index", "valid_index"),
                ("noisy", "valid_noisy"),
                ("clean", "valid_clean"),
                ("picked", "valid_picked"),
            )
        )
    elif "noisy" in content:
        noisy, clean = np.atleast_2d(content["noisy"]), content.get("clean")
        index = content.get("index")
    else:
        raise InputError(f"{source}: there is no array `noisy` (required; `clean` is optional)")
    for labels in [noisy, index] if clean is None else [noisy, clean, index]:
        if labels is not None and (labels.dtype.kind not in "iu" or not labels.size):
            raise InputError(
                f"{source}: contains {labels.dtype} of shape {labels.shape}; allowed are integers, "
                "one for each sample"
            )
    if noisy.ndim != 2 or (clean is not None and clean.shape != noisy.shape[1:]):
        raise InputError(
            f"{source}: noisy labels of shape {noisy.shape} and clean ones of shape "
            f"{None if clean is None else clean.shape}; allowed are (draws, samples) and (samples,)"
        )
    data_sha256 = str(content["data_sha256"]) if "data_sha256" in content else None
    return GivenLabels(source, noisy, clean, picked, index, data_sha256=data_sha256)


# Not by np.load: it takes any other file for a pickle, and its message explains how to load that.


def _read_npz(path: Path, _: str) -> dict[str, np.ndarray]:
    with open(path, "rb") as file, np.lib.npyio.NpzFile(file) as archive:
        return {name: archive[name] for name in archive}


def _read_npy(path: Path, _: str) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        return {"noisy": np.lib.format.read_array(file)}


def _of_table(table: Table) -> dict[str, np.ndarray]:
    if "label_noisy" not in table or not len(table):
        raise InputError(
            f"{table.source}: required are rows below a header with label_noisy (and optionally "
            "label and index), or, for folder:PATH, with file and label"
        )
    content = {"noisy": table.numbers("label_noisy")}
    if "label" in table:
        content["clean"] = table.numbers("label")
    if "index" in table:
        content["index"] = table.numbers("index")
    return content


def _read_json(path: Path, _: str) -> dict[str, np.ndarray]:
    labels = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(labels, list):
        raise ValueError("required is a list of labels")
    return {"noisy": np.array(labels)}


_READERS: dict[str, Callable[[Path, str], dict[str, np.ndarray]]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".csv": lambda path, source: _of_table(read_table(path, source)),
    ".json": _read_json,
}

# Data set → TFDS data set of the same samples in the same order, and its annotations with the noise
# rates of the published files. Source: Wei et al., "Learning with Noisy Labels Revisited" (2022,
# https://arxiv.org/abs/2110.12088).
_CIFAR10N = {
    "worse_label": 0.4021, "aggre_label": 0.0901, "random_label1": 0.1723,
    "random_label2": 0.1812, "random_label3": 0.1764,
}  # fmt: skip
_CIFAR100N = {"noise_label": 0.4020}
_HUMAN = {
    "cifar10": ("cifar10_n", _CIFAR10N),
    "cifar10_n": ("cifar10_n", _CIFAR10N),
    "cifar100": ("cifar100_n", _CIFAR100N),
    "cifar100_n": ("cifar100_n", _CIFAR100N),
}
_ANNOTATED = 50_000  # pictures; a smaller copy is somebody's excerpt, of another rate


def _read_human(config: Config) -> GivenLabels:
    if config.dataset not in _HUMAN:
        raise InputError(
            "--noise_type=human_noise: there are no human labels for "
            f"--dataset={config.dataset}; allowed are {', '.join(_HUMAN)}"
        )
    name, annotations = _HUMAN[config.dataset]
    source = f"--human_labels={config.human_labels}"
    if config.human_labels not in annotations:
        raise InputError(
            f"{source}: not a set of labels for --dataset={config.dataset}; allowed are "
            f"{', '.join(annotations)}"
        )
    features = "label", config.human_labels
    try:
        labels = data.load_labels(
            name,
            features,
            data_dir=config.data_dir,
            manual_dir=config.manual_dir,
            cache_dir=config.cache_dir,
        )
    except InputError as error:
        raise InputError(f"{source}: needs the TFDS data set {name}: {error}") from error
    noisy, clean = labels[config.human_labels], labels["label"]
    rate, published = (noisy != clean).mean(), annotations[config.human_labels]
    if len(clean) == _ANNOTATED and abs(rate - published) > 0.005 and not config.trust_noise_file:
        raise InputError(
            f"{source}: in the copy of {name}, {100 * rate:.2f} % of these labels are not the true "
            f"ones; {100 * published:.2f} % are published; allowed is a copy with those labels, or "
            "--trust_noise_file"
        )
    return GivenLabels(source, noisy[None], clean, None, None)
