"""Folders of pictures and files of labels, as users have them for --dataset=folder:PATH."""

import csv
import pathlib
import zlib

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog", "elk")
rng = np.random.default_rng(0)


def write_class(folder: pathlib.Path, count: int, *, shape=(28, 28), ending="png", first=0):
    """Random pictures that get brighter from one to the next, so that their order can be seen.

    A picture depends on its name and the two folders above it alone, and so does its side in a
    folder without a test set: stored without compression, it has the same bytes everywhere.
    """
    folder.mkdir(parents=True)
    for i in range(count):
        seed = zlib.crc32(f"{folder.parent.name}/{folder.name}/{i}".encode())
        noise = np.random.default_rng(seed).integers(0, 100, shape, dtype=np.uint8)
        pixels = noise + np.uint8(first + 5 * i)
        Image.fromarray(pixels).save(folder / f"{i:02d}.{ending}", compress_level=0)


def write_folder(root: pathlib.Path, counts=(10, 5, 20), **how) -> pathlib.Path:
    for name, count in zip(CLASSES, counts, strict=True):
        write_class(root / name, count, **how)
    return root


def write_splits(root: pathlib.Path, validation: str = "", **how) -> pathlib.Path:
    """train and test; and a folder for validation, if it is named."""
    write_folder(root / "train", **how)
    write_folder(root / "test", (2, 1, 3), **how)
    if validation:
        write_folder(root / validation, (4, 3, 2), **how)
    return root


def write_labels(path: pathlib.Path, labels: dict[str, str], header=("file", "label", "by")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *((*item, "me") for item in labels.items())])
    return str(path)
