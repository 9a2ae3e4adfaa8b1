"""Arrays of a user's own as a data set: checked, named by their content, and kept on disk.

A run reads them from there, as every later command does, in whatever process. A file is used only
if its content has the digest that the data set's name states.
"""

import dataclasses
import functools
import hashlib
import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise.config import ARRAYS_NAME, ARRAYS_PREFIX, IMAGE_SIDES, InputError
from jaxnoise.datasets import decoded_cache, digests, places

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Kept:
    """What a file of kept arrays holds."""

    # For train, test and perhaps valid: SPLIT_images, uint8 (N, H, W, C), and SPLIT_labels,
    # int32 (N,) in [0, K).
    arrays: dict[str, np.ndarray]
    class_names: tuple[str, ...]

    @functools.cached_property
    def sha256(self) -> str:
        """Of the arrays: `digests.of_arrays`."""
        return digests.of_arrays(self.arrays)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits over arrays and class names."""
        content = f"{self.sha256} {json.dumps(self.class_names)}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class _Damaged(Exception):
    """A file is not what was written; says why in one line."""


class Arrays:
    """A data set given as arrays, to train on from Python.

        data = jaxnoise.Arrays(x_train, y_train, x_test, y_test, name="mydata")
        config = jaxnoise.Config(dataset=data.dataset, noise_rate=0.4)
        scores = jaxnoise.run(config, data=data)

    Args:
      x_train: images, uint8 (N, H, W) or (N, H, W, C) in [0, 255], with H and W from 16 to 128 and
        C 1 or 3. Nothing is scaled or converted; if no pixel is above 63, as with values from 0 to
        1 or to 16, the log has a warning. The arrays are copied.
      y_train: their true labels, whole numbers (N,) in [0, K). Every class needs training images.
      x_test, y_test: the same for the test set; its images have the shape of the training images.
      x_valid, y_valid: the same for the validation part. By default that is a share of the training
        images (`Config.validation_ratio`).
      class_names: K different texts; default: the numbers of the classes, 0 to the largest label.
      name: a word for names of folders: up to 60 letters, digits, `-` and `_`.

    Attributes:
      dataset: `arrays:NAME@DIGEST`, for `Config(dataset=...)` and `--dataset`. The digest is over
        images, labels and class names, so that other arrays are another data set.
      class_names: of the K classes.

    Raises:
      InputError: an argument is not as described.
    """

    def __init__(
        self,
        x_train: Any,
        y_train: Any,
        x_test: Any,
        y_test: Any,
        *,
        x_valid: Any = None,
        y_valid: Any = None,
        class_names: Sequence[str] | None = None,
        name: str = "data",
    ):
        if not isinstance(name, str) or not re.fullmatch(ARRAYS_NAME, name):
            raise InputError(
                f"name={name!r}: allowed is a word of 1 to 60 ASCII letters, digits, - and _"
            )
        if (x_valid is None) != (y_valid is None):
            there, missing = ("y", "x") if x_valid is None else ("x", "y")
            raise InputError(f"{there}_valid without {missing}_valid: allowed are both, or none")
        pairs = {"train": (x_train, y_train), "test": (x_test, y_test)}
        if x_valid is not None:
            pairs["valid"] = x_valid, y_valid
        images = {split: _images(f"x_{split}", x) for split, (x, _) in pairs.items()}
        shape = images["train"].shape[1:]
        for split, of_split in images.items():
            if of_split.shape[1:] != shape:
                raise InputError(
                    f"x_{split} has images of shape {of_split.shape[1:]}; allowed is {shape}, the "
                    "shape of those of x_train"
                )
        brightest = max(int(of_split.max()) for of_split in images.values())
        if brightest < 64:
            _log.warning(
                "Warning: no pixel of the images is above %d, and white is 255; of values from 0 "
                "to %d, np.rint(x * (255 / %d)).astype(np.uint8) makes them, for every array x",
                brightest, brightest, max(1, brightest),
            )  # fmt: skip
        labels = {
            split: _labels(f"y_{split}", y, len(images[split])) for split, (_, y) in pairs.items()
        }
        self.class_names = _class_names(class_names, labels["train"])
        arrays = {}
        for split, of_split in labels.items():
            _check_range(f"y_{split}", of_split, len(self.class_names))
            arrays[f"{split}_images"] = images[split].copy()
            arrays[f"{split}_labels"] = of_split.astype(np.int32)
        self._kept = Kept(arrays, self.class_names)
        self.dataset = f"{ARRAYS_PREFIX}{name}@{self._kept.digest}"

    def __repr__(self) -> str:
        shapes = (f"{name} {of.shape}" for name, of in self._kept.arrays.items())
        return f"Arrays({self.dataset}: {', '.join(shapes)})"

    def keep(self, cache_dir: str | os.PathLike | None = None) -> str:
        """Writes the arrays into the cache folder, if they are not there yet.

        `run(config, data=...)` does this. By itself it is for runs by the command line, and for
        bringing back what was deleted or damaged.

        Args:
          cache_dir: as in `Config`, of which it has to be the same.

        Returns:
          `dataset`, which from now on is enough.

        Raises:
          InputError: the folder cannot be written.
        """
        path = _place(self.dataset, places.cache_folder(cache_dir))
        try:
            _read(self.dataset, path)
            return self.dataset
        except _Damaged as damage:
            _log.warning("%s is damaged (%s) and is written anew", path, damage)
        except OSError:  # mostly it is not there
            _log.info("keeping the arrays of %s in %s", self.dataset, path)
        try:
            words = {"class_names": json.dumps(self.class_names)}
            decoded_cache.write_whole(path, self._kept.arrays | words)
        except OSError as error:
            raise InputError(
                f"--cache_dir={path.parents[1]}: {path} cannot be written: {error.strerror}; "
                "allowed is a writable folder, in which the arrays are kept"
            ) from error
        return self.dataset


def read(dataset: str, folder: Path) -> Kept:
    """Reads what `Arrays.keep` wrote.

    Args:
      dataset: `arrays:NAME@DIGEST`.
      folder: the cache folder.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = _place(dataset, folder)
    try:
        return _read(dataset, path)
    except _Damaged as damage:
        reason = f"{path} is damaged ({damage})"
    except (FileNotFoundError, NotADirectoryError):
        reason = f"there is no file {path}"
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
    raise InputError(
        f"--dataset={dataset}: {reason}; in Python, jaxnoise.Arrays(...).keep(cache_dir) writes it "
        "anew from the same arrays, as does run(config, data=...); allowed is also another "
        "--cache_dir, where it is"
    )


def _place(dataset: str, folder: Path) -> Path:
    return folder / "arrays" / f"{dataset.removeprefix(ARRAYS_PREFIX)}.npz"


def _read(dataset: str, path: Path) -> Kept:
    """Raises OSError if there is no file that can be opened, and _Damaged."""
    # Opened here because np.load does not close a damaged file.
    with open(path, "rb") as file:
        try:
            with np.load(file) as archive:
                arrays = {name: archive[name] for name in archive.files if name != "class_names"}
                kept = Kept(arrays, tuple(json.loads(str(archive["class_names"]))))
            digest = kept.digest
        except Exception as error:  # damage to a zip file or a NumPy header raises many types
            raise _Damaged(" ".join(str(error).split())) from error
    if digest != dataset.rpartition("@")[2]:
        raise _Damaged("its SHA-256 is not the one in its name")
    return kept


def _array(argument: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged; a tensor on a GPU
        reason = " ".join(str(error).split())
        raise InputError(f"{argument} is no array ({reason}); allowed are NumPy arrays") from error


def _images(argument: str, given: Any) -> np.ndarray:
    """Returns uint8 (N, H, W, C)."""
    images = _array(argument, given)
    what, (low, high) = f"{argument} is {images.dtype} of shape {images.shape}", IMAGE_SIDES
    if images.dtype != np.uint8:
        advice = ""
        if images.dtype.kind == "f":
            advice = f"; of values in [0, 1], np.rint(255 * {argument}).astype(np.uint8) makes it"
        elif images.dtype.kind in "iu":
            advice = f"; of values in [0, 255], {argument}.astype(np.uint8) makes it"
        raise InputError(f"{what}; allowed is uint8 in [0, 255]{advice}")
    full = images[..., None] if images.ndim == 3 else images
    sized = full.ndim == 4 and all(low <= side <= high for side in full.shape[1:3])
    if not sized or full.shape[3] not in (1, 3) or not len(full):
        first = images.ndim == 4 and images.shape[1] in (1, 3)
        advice = f"; np.moveaxis({argument}, 1, 3) puts the channels last" if first else ""
        raise InputError(
            f"{what}; allowed is (N, H, W) or (N, H, W, C), with N at least 1, H and W from {low} "
            f"to {high}, and C 1 or 3{advice}"
        )
    return full


def _labels(argument: str, given: Any, number: int) -> np.ndarray:
    """Returns int (number,), of whatever range."""
    labels = _array(argument, given)
    if labels.dtype.kind not in "iu" or labels.shape != (number,):
        advice = ""
        if labels.shape == (number, 1):
            advice = f"; {argument}[:, 0] makes it"
        elif labels.ndim == 2 and len(labels) == number:
            advice = f"; if they are one-hot, {argument}.argmax(axis=1) makes it"
        raise InputError(
            f"{argument} is {labels.dtype} of shape {labels.shape}; allowed are whole numbers "
            f"(int or uint) of shape ({number},), one for each image{advice}"
        )
    return labels


def _class_names(given: Sequence[str] | None, labels: np.ndarray) -> tuple[str, ...]:
    """Those given, or numbers up to the largest label; checks that every class has a label."""
    if given is not None:
        of_text = () if isinstance(given, str) or not np.iterable(given) else tuple(given)
        able = all(isinstance(x, str) and x.strip() and x.isprintable() for x in of_text)
        if not able or len({*of_text}) < len(of_text) or len(of_text) < 2:
            raise InputError(
                f"class_names={given!r}: allowed are two or more different texts, none of them "
                "empty or with control characters"
            )
        classes = len(of_text)
    else:
        classes = max(0, int(labels.max())) + 1
    _check_range("y_train", labels, classes)
    if classes < 2:
        raise InputError("y_train: all labels are 0; allowed are labels of two classes or more")
    # As many numbers as there are labels hold one that is missing, if the largest label is higher.
    missing = np.setdiff1d(np.arange(min(classes, len(labels) + 1)), labels)
    if len(missing):
        advice = "; of labels from 1 on, y_train - 1 makes them" if [*missing] == [0] else ""
        raise InputError(
            f"y_train: no label is {missing[0]}; allowed are labels from 0 to {classes - 1}, each "
            f"of them on one image or more{advice}"
        )
    return tuple(map(str, range(classes) if given is None else of_text))


def _check_range(argument: str, labels: np.ndarray, classes: int) -> None:
    """Raises InputError unless all labels are in [0, classes)."""
    for label in (int(labels.min()), int(labels.max())):
        if not 0 <= label < classes:
            raise InputError(f"{argument} has the label {label}; allowed is 0 to {classes - 1}")
