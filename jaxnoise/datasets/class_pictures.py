"""Decoding the pictures of class folders, which must all have one size and one mode."""

from pathlib import Path

import numpy as np
from PIL import Image

from jaxnoise.config import InputError
from jaxnoise.config.class_folders import ClassFolders
from jaxnoise.datasets import splits

FORMATS = ("PNG", "JPEG", "BMP", "PPM")
_MODES = {"L": "grey", "RGB": "RGB"}
_ALLOWED = "allowed are 8-bit grey (mode L) or RGB pictures from 28x28 to 32x32, all alike"


def train_and_test(found: ClassFolders) -> dict[str, tuple[Path, ...]]:
    """The files of both splits; without folders train and test, a fifth of each class is test.

    That fifth is picked as in `splits.stratified`; both parts are in the order of `found`.

    Raises:
      InputError: a class is too small to have a fifth.
    """
    if "" not in found.files:
        return found.files
    paths = found.files[""]
    labels = np.array(found.labels(paths))
    for name, count in zip(found.classes, np.bincount(labels), strict=True):
        if count < 5:
            raise InputError(
                f"{found.flag}: class {name} has {count} pictures; needed are 5 or more, of which "
                "a fifth is the test set, or folders train and test"
            )
    train, test = splits.stratified(labels, ratio=0.2, num_classes=len(found.classes))
    return {
        split: tuple(paths[i] for i in sorted(index))
        for split, index in (("train", train), ("test", test))
    }


def decode(found: ClassFolders, chosen: dict[str, tuple[Path, ...]]) -> dict[str, np.ndarray]:
    """Decodes all pictures of train and test, in the order of their files.

    Pictures are taken as they are: not scaled, not converted, not turned by what EXIF says.

    Args:
      chosen: by `train_and_test`.

    Returns:
      train_images, test_images, uint8 (N, H, W, C), H and W in 28..32, C 1 or 3; and train_labels,
      test_labels, int32 (N,) in [0, K).

    Raises:
      InputError: a file is no picture, or has another size or mode than allowed or than the first
        one; the message names the file.
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
    except Exception as error:  # each kind of damage raises another type
        reason = " ".join(str(error).split())
        raise InputError(
            f"{flag}: {path} cannot be read as a picture ({reason}); allowed are "
            f"{', '.join(FORMATS)}"
        ) from error
    if not fits:
        raise InputError(f"{flag}: {path} is {_kind(image)}; {_ALLOWED}")
    return image


def _kind(image: Image.Image) -> str:
    """Size and mode in words, height first as in shapes of arrays."""
    return f"{image.height}x{image.width} {_MODES.get(image.mode, f'of mode {image.mode}')}"
