"""Decoder for the pictures of class folders, which must all have the same size and mode."""

from pathlib import Path

import numpy as np
from PIL import Image

from jaxnoise.config import InputError
from jaxnoise.config.class_folders import ClassFolders
from jaxnoise.datasets import splits

FORMATS = ("PNG", "JPEG", "BMP", "PPM")
_MODES = {"L": "grey", "RGB": "RGB"}
_ALLOWED = "allowed are 8-bit grey (mode L) or RGB pictures from 28x28 to 32x32, all of one kind"


def train_and_test(found: ClassFolders) -> dict[str, tuple[Path, ...]]:
    """Returns the files of the train and the test split, each in the order of `found`.

    If there are no folders train and test, a fifth of each class, chosen by `splits.stratified`,
    is the test split.

    Raises:
      InputError: a class has fewer than 5 pictures, which have no fifth.
    """
    if "" not in found.files:
        return found.files
    paths = found.files[""]
    labels = np.array(found.labels(paths))
    for name, count in zip(found.classes, np.bincount(labels), strict=True):
        if count < 5:
            raise InputError(
                f"{found.flag}: class {name} has {count} pictures; allowed are 5 or more (a fifth "
                "becomes the test set), or separate folders train and test"
            )
    train, test = splits.stratified(labels, ratio=0.2, num_classes=len(found.classes))
    return {
        split: tuple(paths[i] for i in sorted(index))
        for split, index in (("train", train), ("test", test))
    }


def decode(found: ClassFolders, chosen: dict[str, tuple[Path, ...]]) -> dict[str, np.ndarray]:
    """Decodes all pictures of the train and test splits, in the order of their files.

    Pictures are used as stored: they are not scaled or converted, and EXIF rotation is ignored.

    Args:
      chosen: the result of `train_and_test`.

    Returns:
      train_images, test_images, uint8 (N, H, W, C), H and W in 28..32, C 1 or 3; and train_labels,
      test_labels, int32 (N,) in [0, K).

    Raises:
      InputError: a file is not a picture, or its size or mode is not allowed or differs from that
        of the first picture; the message names the file.
    """
    first = chosen["train"][0]
    kind = _kind(_decoded(found.flag, first))
    arrays = {}
    for split, paths in chosen.items():
        pictures = []
        for path in paths:
            image = _decoded(found.flag, path)
            if _kind(image) != kind:
                raise InputError(
                    f"{found.flag}: {path} is {_kind(image)}, {first} is {kind}; {_ALLOWED}"
                )
            pictures.append(np.asarray(image).reshape(image.height, image.width, -1))
        arrays[f"{split}_images"] = np.stack(pictures)
        arrays[f"{split}_labels"] = np.array(found.labels(paths), np.int32)
    return arrays


def _decoded(flag: str, path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as image:
            (width, height), mode = image.size, image.mode
            fits = 28 <= width <= 32 and 28 <= height <= 32 and mode in _MODES
            if fits:
                image.load()
    except Exception as error:  # each kind of damage raises a different type
        reason = " ".join(str(error).split())
        raise InputError(
            f"{flag}: {path} cannot be read as a picture ({reason}); allowed are "
            f"{', '.join(FORMATS)}"
        ) from error
    if not fits:
        raise InputError(f"{flag}: {path} is {_kind(image)}; {_ALLOWED}")
    return image


def _kind(image: Image.Image) -> str:
    """Size and mode in words, height first as in array shapes."""
    return f"{image.height}x{image.width} {_MODES.get(image.mode, f'of mode {image.mode}')}"
