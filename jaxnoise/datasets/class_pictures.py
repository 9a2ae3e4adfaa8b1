"""Decoder for the pictures of class folders, which must all have the same size and mode."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from jaxnoise.config import InputError
from jaxnoise.config.class_folders import ClassFolders

FORMATS = ("PNG", "JPEG", "BMP", "PPM")
_MODES = {"L": "grey", "RGB": "RGB"}
_ALLOWED = "allowed are 8-bit grey (mode L) or RGB pictures from 28x28 to 32x32, all of one kind"


def by_split(found: ClassFolders, seed: int) -> dict[str, tuple[Path, ...]]:
    """Returns the files of train, test and perhaps valid, each in the order of `found`.

    Without folders train and test, a picture is in the test split if `is_test`. Its side then
    depends on nothing but its content and the seed: not on its name or class, nor on any other
    picture. Equal pictures are on one side.

    Raises:
      InputError: a class has no picture on one side.
    """
    if "" not in found.files:
        return found.files
    chosen: dict[str, list[Path]] = {"train": [], "test": []}
    for path in found.files[""]:
        chosen["test" if is_test(found.digests[path], seed) else "train"].append(path)
    for split, paths in chosen.items():
        there = {path.parent.name for path in paths}
        for name in (name for name in found.classes if name not in there):
            its = [path for path in found.files[""] if path.parent.name == name]
            different = len({found.digests[path] for path in its})
            raise InputError(
                f"{found.flag}: class {name} has no {split} picture: each picture becomes one of "
                f"the test set by chance, 1 in 5, and this class has {different} different "
                f"(--split_seed={seed}); allowed are more pictures, another --split_seed, or "
                "separate folders train and test"
            )
    return {split: tuple(paths) for split, paths in chosen.items()}


def is_test(digest: str, seed: int) -> bool:
    """Whether SHA-256 of `SEED DIGEST`, as a fraction in [0, 1), is below 0.2.

    Args:
      digest: SHA-256 of the picture's file, 64 hexadecimal digits.
    """
    fraction = int(hashlib.sha256(f"{seed} {digest}".encode()).hexdigest(), 16) / 2**256
    return fraction < 0.2


def decode(found: ClassFolders, chosen: dict[str, tuple[Path, ...]]) -> dict[str, np.ndarray]:
    """Decodes all pictures of all splits, in the order of their files.

    Pictures are used as stored: they are not scaled or converted, and EXIF rotation is ignored.

    Args:
      chosen: the result of `by_split`.

    Returns:
      for each split SPLIT_images, uint8 (N, H, W, C), H and W in 28..32, C 1 or 3, and
      SPLIT_labels, int32 (N,) in [0, K).

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
