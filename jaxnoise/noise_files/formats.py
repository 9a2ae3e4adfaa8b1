"""Noisy labels from a file of any format, as arrays under one set of names."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxnoise.config import InputError
from jaxnoise.noise_files import pickled_arrays
from jaxnoise.noise_files.table import Table, read_table

_log = logging.getLogger("jaxnoise")

Arrays = dict[str, np.ndarray]
_USED = ("noisy", "clean", "index", "picked", "data_sha256")
# What others call noisy and true labels.
_OTHER_NAMES = {
    "": "noisy", "label_noisy": "noisy", "noisy_label": "noisy", "noise_label": "noisy",
    "noisy_labels": "noisy", "noise_labels": "noisy", "clean_label": "clean",
    "clean_labels": "clean",
}  # fmt: skip


def read(path: Path, source: str) -> Arrays:
    """Reads the arrays in a file; error messages call it `source`.

    Returns:
      `noisy`, as the file has it, and perhaps `clean`, `index` (places in the train set), `picked`
      and `data_sha256`.

    Raises:
      InputError: the file cannot be read, or it is not clear which of its arrays is which.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise InputError(f"{source}: allowed file types are {', '.join(_READERS)}")
    try:
        return _READERS[kind](path, source)
    except InputError:
        raise
    except Exception as error:  # formats and kinds of damage raise different types
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason:
            reason = "it contains pickled Python objects; allowed are arrays of integers"
        raise InputError(f"{source}: cannot be read: {reason}") from error


def of_table(table: Table) -> Arrays:
    """The same of a table with numbers of classes.

    Raises:
      InputError: it has no column of noisy labels, or one that is not of whole numbers.
    """
    if "label_noisy" not in table or not len(table):
        raise InputError(
            f"{table.source}: required are rows below a header with label_noisy (and optionally "
            "label and index), or, for folder:PATH, with file and label"
        )
    arrays = {"noisy": table.numbers("label_noisy")}
    if "label" in table:
        arrays["clean"] = table.numbers("label")
    if "index" in table:
        arrays["index"] = table.numbers("index")
    return arrays


def _named(columns: Arrays, source: str) -> Arrays:
    """The noisy and true labels among arrays with names of their own."""
    arrays: Arrays = {}
    for name, array in columns.items():
        known = _OTHER_NAMES.get(name, name)
        if known in arrays:
            raise InputError(f"{source}: has two arrays of {known} labels; allowed is one")
        arrays[known] = array
    if "noisy" not in arrays:
        raise InputError(
            f"{source}: it has {', '.join(columns)}; required is an array `noisy` (`clean` is "
            "optional); those of CIFAR-10N are used by --noise_type=human_noise"
        )
    used = {name: arrays[name] for name in _USED if name in arrays}
    if unused := [name for name in columns if _OTHER_NAMES.get(name, name) not in _USED]:
        _log.warning("%s: arrays that are not used: %s", source, ", ".join(unused))
    return used


# Not by np.load: it takes any other file for a pickle, and its message explains how to load that.


def _read_npz(path: Path, source: str) -> Arrays:
    with open(path, "rb") as file, np.lib.npyio.NpzFile(file) as archive:
        arrays = {name: archive[name] for name in archive}
    if "train_index" in arrays:  # a run's noise.npz: both of its parts, one after the other
        parts = {
            name: [arrays[train], arrays[valid]]
            for name, train, valid in (
                ("index", "train_index", "valid_index"),
                *((name, name, f"valid_{name}") for name in ("noisy", "clean", "picked")),
            )
        }
        both = {name: np.concatenate(of, axis=-1) for name, of in parts.items()}
        return both | {name: arrays[name] for name in _USED if name in arrays and name not in both}
    return _named(arrays, source)


def _read_json(path: Path, _: str) -> Arrays:
    labels = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(labels, list):
        raise ValueError("required is a list of labels")
    return {"noisy": np.array(labels)}


_READERS: dict[str, Callable[[Path, str], Arrays]] = {
    ".npz": _read_npz,
    ".npy": lambda path, source: _named(pickled_arrays.read_numpy(path), source),
    ".csv": lambda path, source: of_table(read_table(path, source)),
    ".json": _read_json,
    ".pt": lambda path, source: _named(pickled_arrays.read_torch(path), source),
}
