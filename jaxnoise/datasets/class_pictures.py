"""Decoder for the pictures of class folders: of one mode, and of one size or brought to one."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from jaxnoise.config import IMAGE_SIDES, IMAGE_SIZES, InputError
from jaxnoise.config.class_folders import ClassFolders
from jaxnoise.datasets.resizing import Resizing

FORMATS = ("PNG", "JPEG", "BMP", "PPM")
_MODES = {"L": "grey", "RGB": "RGB"}
_ALLOWED = "allowed are 8-bit grey (mode L) or RGB pictures"


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


def decode(
    found: ClassFolders, chosen: dict[str, tuple[Path, ...]], resizing: Resizing | None = None
) -> dict[str, np.ndarray]:
    """Decodes all pictures of all splits, in the order of their files.

    Without `resizing`, pictures are used as stored. Colours are not converted, and EXIF rotation is
    ignored.

    Args:
      chosen: the result of `by_split`.
      resizing: brings all pictures, of any size, to one.

    Returns:
      for each split SPLIT_images, uint8 (N, H, W, C), H and W in IMAGE_SIDES, C 1 or 3, and
      SPLIT_labels, int32 (N,) in [0, K).

    Raises:
      InputError: a file is not a picture, or its size or mode is not allowed or differs from that
        of the first picture; the message names the file.
    """
    first_path = chosen["train"][0]
    first = _decoded(found.flag, first_path, resizing)
    arrays = {}
    for split, paths in chosen.items():
        pictures = []
        for path in paths:
            image = _decoded(found.flag, path, resizing)
            of_one_size = resizing or image.size == first.size
            if image.mode != first.mode or not of_one_size:
                raise InputError(
                    f"{found.flag}: {path} is {_kind(image)}, {first_path} is {_kind(first)}; "
                    f"{_allowed(resizing, size_is_wrong=not of_one_size)}"
                )
            picture = resizing(image) if resizing else image
            pictures.append(np.asarray(picture).reshape(picture.height, picture.width, -1))
        arrays[f"{split}_images"] = np.stack(pictures)
        arrays[f"{split}_labels"] = np.array(found.labels(paths), np.int32)
    return arrays


def _decoded(flag: str, path: Path, resizing: Resizing | None) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as image:
            low, high = IMAGE_SIDES
            sized = resizing or all(low <= side <= high for side in image.size)
            fits = sized and image.mode in _MODES
            if fits:
                image.load()
    except Exception as error:  # each kind of damage raises a different type
        reason = " ".join(str(error).split())
        raise InputError(
            f"{flag}: {path} cannot be read as a picture ({reason}); allowed are "
            f"{', '.join(FORMATS)}"
        ) from error
    if not fits:
        allowed = _allowed(resizing, size_is_wrong=not sized)
        raise InputError(f"{flag}: {path} is {_kind(image)}; {allowed}")
    return image


def _allowed(resizing: Resizing | None, *, size_is_wrong: bool) -> str:
    if resizing:
        return f"{_ALLOWED}, all of one mode"
    remedy = ", and --image_size, which brings all to one size" if size_is_wrong else ""
    return f"{_ALLOWED} from {IMAGE_SIZES}, all of one kind{remedy}"


def _kind(image: Image.Image) -> str:
    """Size and mode in words, height first as in array shapes."""
    return f"{image.height}x{image.width} {_MODES.get(image.mode, f'of mode {image.mode}')}"
