"""Files of noisy labels for others to read: what `formats` and other programs take."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Labels(NamedTuple):
    """One draw of noisy labels of n samples of a train set, in the order in which they are written.

    With `names`, classes and samples are written by name where the format has text.
    """

    noisy: np.ndarray  # int (n,)
    clean: np.ndarray  # int (n,)
    picked: np.ndarray  # bool (n,)
    index: np.ndarray  # int (n,), places in the train set, ascending
    total: int  # samples of the whole train set
    files: Sequence[str] = ()  # of each sample; empty if the data set has none
    class_names: Sequence[str] = ()

    @property
    def whole(self) -> bool:
        """Whether every sample of the train set has a label."""
        return len(self.noisy) == self.total


def _dividemix(labels: Labels) -> bytes:
    return json.dumps(labels.noisy.tolist()).encode()


def _npy(labels: Labels) -> bytes:
    content = io.BytesIO()
    np.save(content, labels.noisy.astype(np.int64))
    return content.getvalue()


def _csv(labels: Labels) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if labels.files:
        writer.writerow(("file", "label", "label_noisy"))
        columns = (
            labels.files,
            *([labels.class_names[i] for i in of] for of in (labels.clean, labels.noisy)),
        )
    else:
        writer.writerow(("index", "label", "label_noisy"))
        columns = labels.index, labels.clean, labels.noisy
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def _npz(labels: Labels) -> bytes:
    content = io.BytesIO()
    arrays = {name: getattr(labels, name) for name in ("noisy", "clean", "picked", "index")}
    np.savez_compressed(content, **arrays)
    return content.getvalue()


class Format(NamedTuple):
    """A format of files of noisy labels."""

    suffix: str
    content: Callable[[Labels], bytes]
    # Whether a sample is known by its place in the list alone, so that all have to be there.
    by_place: bool


FORMATS = {
    "dividemix": Format(".json", _dividemix, by_place=True),
    "npy": Format(".npy", _npy, by_place=True),
    "csv": Format(".csv", _csv, by_place=False),
    "npz": Format(".npz", _npz, by_place=False),
}
