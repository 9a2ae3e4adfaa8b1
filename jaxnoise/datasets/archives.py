"""Readers of the raw archives of MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, with NumPy.

Formats: IDX (http://yann.lecun.com/exdb/mnist/) and CIFAR's binary version
(https://www.cs.toronto.edu/~kriz/cifar.html). Everything that can be checked is checked, so that a
damaged archive leads to an error that names it and never to wrong pictures.
"""

import gzip
import io
import math
import pathlib
import tarfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxnoise.config import InputError, counted


class RawData(NamedTuple):
    """The content of a data set's archives."""

    images: dict[str, np.ndarray]  # split → uint8 (N, H, W, C)
    labels: dict[str, dict[str, np.ndarray]]  # split → label feature → uint8 (N,)
    class_names: dict[str, list[str]]  # label feature → names, if the archives hold them


def _damaged(path: pathlib.Path, what: str) -> InputError:
    return InputError(f"damaged data file {path}: {what}; delete it and download it again")


def _unzip(path: pathlib.Path) -> bytes:
    # gzip checks CRC-32 and length only when the file is read to its end.
    try:
        with gzip.open(path) as archive:
            return archive.read()
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"{error}") from error


def read_idx(path: pathlib.Path, *, rank: int) -> np.ndarray:
    """Reads one gzipped IDX file of unsigned bytes: magic 0, 0, 8, rank; big-endian sizes; data.

    Args:
      path: the .gz file.
      rank: number of axes that the array must have (3 for pictures, 1 for labels).

    Returns:
      uint8, of the shape given in the header.

    Raises:
      InputError: the archive is damaged, or its magic number or size is wrong.
    """
    content = _unzip(path)
    header = 4 + 4 * rank
    if content[:4] != bytes([0, 0, 8, rank]):
        raise _damaged(path, f"magic number {content[:4].hex()}, expected 000008{rank:02x}")
    shape = [int(size) for size in np.frombuffer(content[:header].ljust(header, b"\0"), ">u4")[1:]]
    if len(content) != header + math.prod(shape):
        raise _damaged(
            path, f"{counted(len(content), 'byte')} instead of an array of shape {tuple(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _read_mnist(archives: dict[str, pathlib.Path]) -> RawData:
    images, labels = {}, {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images_path = archives[f"{prefix}-images-idx3-ubyte.gz"]
        labels_path = archives[f"{prefix}-labels-idx1-ubyte.gz"]
        images[split] = read_idx(images_path, rank=3)[..., None]
        labels[split] = {"label": _in_range(read_idx(labels_path, rank=1), 10, labels_path)}
        if images[split].shape[1:] != (28, 28, 1):
            size = "x".join(str(side) for side in images[split].shape[1:3])
            raise _damaged(images_path, f"pictures are {size}, expected 28x28")
        if len(images[split]) != len(labels[split]["label"]):
            raise _damaged(
                labels_path,
                f"{counted(len(labels[split]['label']), 'label')} for "
                f"{counted(len(images[split]), 'picture')}",
            )
    return RawData(images, labels, {})


class _CifarLayout(NamedTuple):
    files: dict[str, tuple[str, ...]]  # split → its files
    # Label feature → number of classes and file of their names, in the order of the label bytes.
    labels: dict[str, tuple[int, str]]


_CIFAR_LAYOUTS = {
    "cifar-10-binary.tar.gz": _CifarLayout(
        files={
            "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
            "test": ("test_batch.bin",),
        },
        labels={"label": (10, "batches.meta.txt")},
    ),
    "cifar-100-binary.tar.gz": _CifarLayout(
        files={"train": ("train.bin",), "test": ("test.bin",)},
        labels={
            "coarse_label": (20, "coarse_label_names.txt"),
            "label": (100, "fine_label_names.txt"),
        },
    ),
}


def _read_cifar(archives: dict[str, pathlib.Path]) -> RawData:
    # A record is one byte per label feature, then the picture's 3,072: channel, row, column.
    ((filename, path),) = archives.items()
    layout = _CIFAR_LAYOUTS[filename]
    try:
        with tarfile.open(fileobj=io.BytesIO(_unzip(path))) as archive:
            members = {
                pathlib.PurePosixPath(member.name).name: archive.extractfile(member).read()
                for member in archive
                if member.isfile()
            }
    except tarfile.TarError as error:
        raise _damaged(path, f"{error}") from error
    name_files = [name_file for _, name_file in layout.labels.values()]
    for needed in (*layout.files["train"], *layout.files["test"], *name_files):
        if needed not in members:
            raise _damaged(path, f"it does not contain {needed}")

    images, labels = {}, {}
    record_size = len(layout.labels) + 3072
    for split, files in layout.files.items():
        for file in files:
            if len(members[file]) % record_size:
                raise _damaged(path, f"{file} does not consist of records of {record_size} bytes")
        content = np.frombuffer(b"".join(members[file] for file in files), np.uint8)
        records = content.reshape(-1, record_size)
        labels[split] = {
            feature: _in_range(records[:, i], classes, path)
            for i, (feature, (classes, _)) in enumerate(layout.labels.items())
        }
        images[split] = records[:, -3072:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    class_names = {}
    for feature, (classes, name_file) in layout.labels.items():
        lines = members[name_file].decode("utf-8", "replace").splitlines()
        class_names[feature] = [line.strip() for line in lines if line.strip()]
        if not len(class_names[feature]) == len(set(class_names[feature])) == classes:
            raise _damaged(path, f"{name_file} does not contain {classes} different class names")
    return RawData(images, labels, class_names)


def _in_range(labels: np.ndarray, classes: int, path: pathlib.Path) -> np.ndarray:
    if labels.size and labels.max() >= classes:
        raise _damaged(path, f"label {labels.max()} is outside [0, {classes})")
    return labels


READERS: dict[str, Callable[[dict[str, pathlib.Path]], RawData]] = {
    "mnist": _read_mnist,
    "fashion_mnist": _read_mnist,
    "cifar10": _read_cifar,
    "cifar100": _read_cifar,
}
