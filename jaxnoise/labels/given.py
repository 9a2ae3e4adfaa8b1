"""Noisy labels that are given instead of drawn: from a file, or from human annotators."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnoise import data
from jaxnoise.config import Config, InputError, class_folders
from jaxnoise.labels.noise import NoisyLabels
from jaxnoise.labels.table import Table, read_table


class GivenLabels(NamedTuple):
    """Noisy labels of samples of a data set's original train set (before the validation split)."""

    source: str  # the flag that names them, with its value
    noisy: np.ndarray  # int (draws, n)
    clean: np.ndarray | None  # int (n,), if the source has them
    picked: np.ndarray | None  # bool (draws, n), if the source has it
    index: np.ndarray | None  # int (n,), places in the train set; None: all, in order

    def check(self, dataset: data.Dataset, *, trust: bool = False) -> None:
        """Checks that the labels fit the data set that they will be used for.

        Args:
          trust: whether labels are used that agree with the true ones no more often than by chance.

        Raises:
          InputError: the number of samples is wrong; a label is out of range; the labels agree with
            the true ones no more often than by chance, or the clean labels are not those of the
            data set, because they are of another one or in another order; or it cannot be known
            whether a number is the name of a class or its place.
        """
        total, n = len(dataset.train_labels), self.noisy.shape[1]
        index = np.arange(n) if self.index is None else self.index
        own = total - dataset.valid_size
        if self.index is None and n not in (own, total):
            more = f", or {total}, with those for validation after them" if own < total else ""
            raise InputError(
                f"{self.source}: {n} labels; allowed is {own}, one for each sample of the train "
                f"set of {dataset.name}{more}"
            )
        if len(np.unique(index)) < n or index.min() < 0 or index.max() >= total:
            raise InputError(
                f"{self.source}: indices are repeated or out of range; allowed are different ones "
                f"in [0, {total})"
            )
        if self.clean is None:
            self._check_names(dataset.class_names)
        low, high = self.noisy.min(), self.noisy.max()
        if low < 0 or high >= dataset.num_classes:
            raise InputError(
                f"{self.source}: labels from {low} to {high}; allowed is 0 to "
                f"{dataset.num_classes - 1} for {dataset.name}"
            )
        true = dataset.train_labels[index]
        if self.clean is None:
            # Labels in an unrelated order agree about as often as two independent labels would.
            shares = [
                np.bincount(x, minlength=dataset.num_classes) / n for x in (true, *self.noisy)
            ]
            chance = np.mean([shares[0] @ share for share in shares[1:]])
            agreement = (self.noisy == true).mean()
            if agreement < chance + 5 * np.sqrt(chance * (1 - chance) / n) and not trust:
                raise InputError(
                    f"{self.source}: its labels agree with the true labels on "
                    f"{100 * agreement:.2f} % of the samples, no more often than by chance; "
                    f"allowed are labels in the order of {dataset.name}, or --trust_noise_file"
                )
        elif (self.clean != true).any():
            agree = self.clean == true
            raise InputError(
                f"{self.source}: its clean labels agree with those of {dataset.name} on "
                f"{100 * agree.mean():.2f} % of the samples, all but {n - agree.sum()} of {n}; "
                "allowed is 100 %, that is the same data set in the same order"
            )

    def _check_names(self, names: Sequence[str]) -> None:
        """Classes may be named by numbers that are not their places."""
        if class_folders.numbers(names) and [int(name) for name in names] != list(
            range(len(names))
        ):
            raise InputError(
                f"{self.source}: the classes are named by numbers ({', '.join(names[:3])}, …) that "
                "are not their places, so a number as a label is ambiguous; allowed is a CSV of "
                "file,label, whose labels are names, or one with true labels beside the noisy ones"
            )

    def completed(self, dataset: data.Dataset, *, validation_labels: str) -> "GivenLabels":
        """Adds the true labels of the data set's own validation split, where there are none.

        Args:
          validation_labels: clean or noisy, the ones that are used.

        Raises:
          InputError: the noisy ones are used, but some are missing.
        """
        total = len(dataset.train_labels)
        index = np.arange(self.noisy.shape[1]) if self.index is None else self.index
        missing = np.setdiff1d(np.arange(total - dataset.valid_size, total), index)
        if not len(missing):
            return self
        if validation_labels == "noisy":
            raise InputError(
                f"--validation_labels=noisy: {self.source} has no label for {len(missing)} of "
                f"the {dataset.valid_size} images for validation; allowed are labels for all of "
                "them, or --validation_labels=clean"
            )
        draws, true = len(self.noisy), dataset.train_labels[missing]
        as_drawn = np.broadcast_to(true, (draws, len(missing)))
        return self._replace(
            noisy=np.concatenate([self.noisy, as_drawn], axis=1),
            clean=None if self.clean is None else np.concatenate([self.clean, true]),
            picked=None
            if self.picked is None
            else np.concatenate([self.picked, np.zeros_like(as_drawn, bool)], axis=1),
            index=np.concatenate([index, missing]),
        )

    def of(self, index: np.ndarray, true: np.ndarray) -> list[NoisyLabels]:
        """Returns the labels of some samples of the train set, in the order given, for each draw.

        Args:
          index: int (N,), places in the train set.
          true: int32 (N,), the true labels there.

        Raises:
          InputError: some of these samples have no label here.
        """
        if self.index is None:
            where = index
        else:
            places = np.full(max(self.index.max(), index.max()) + 1, -1)
            places[self.index] = np.arange(len(self.index))
            where = places[index]
        if (where < 0).any():
            raise InputError(
                f"{self.source}: has labels for {len(self.index)} samples, but not for "
                f"{(where < 0).sum()} of those used here; allowed is any subset of its samples "
                "(see --train_size)"
            )
        draws = []
        for i, labels in enumerate(self.noisy[:, where].astype(np.int32)):
            changed = labels != true
            picked = changed if self.picked is None else self.picked[i, where]
            draws.append(NoisyLabels(labels, true, picked, changed))
        return draws


# Reading


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
            f"{source}: an array of shape {given.noisy.shape} would be {draws} draws of {samples} "
            "labels; allowed are (samples,) and (draws, samples), of class numbers"
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
    return GivenLabels(source, noisy, clean, picked, index)


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

# Data set → TFDS data set of the same samples in the same order, and its annotations. Source: Wei
# et al., "Learning with Noisy Labels Revisited" (2022, https://arxiv.org/abs/2110.12088).
_CIFAR10N = ("worse_label", "aggre_label", "random_label1", "random_label2", "random_label3")
_HUMAN = {
    "cifar10": ("cifar10_n", _CIFAR10N),
    "cifar10_n": ("cifar10_n", _CIFAR10N),
    "cifar100": ("cifar100_n", ("noise_label",)),
    "cifar100_n": ("cifar100_n", ("noise_label",)),
}


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
    return GivenLabels(source, labels[config.human_labels][None], labels["label"], None, None)
