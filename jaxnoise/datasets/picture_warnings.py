"""Warnings about class folders that can be used, but may not hold what their owner thinks."""

import functools
import hashlib
import itertools
import logging
from pathlib import Path

import numpy as np

from jaxnoise.config.class_folders import SPLIT_FOLDERS, ClassFolders

_log = logging.getLogger(__name__)


def warn(
    found: ClassFolders, chosen: dict[str, tuple[Path, ...]], arrays: dict[str, np.ndarray]
) -> None:
    """Logs what is not used, classes called as splits are, and equal pictures; a line once only.

    Args:
      chosen: the files of each split, see `class_pictures.by_split`.
      arrays: their pictures, see `class_pictures.decode`.
    """
    if found.unused:
        others = f" and {len(found.unused) - 1} more" if len(found.unused) > 1 else ""
        example = found.unused[0].relative_to(found.root).as_posix()
        _say(f"{found.flag}: not used, since not in a class folder: {example}{others}")
    beside = [path.name for path in found.root.parent.iterdir() if path.is_dir()]
    splits = [name for name in beside if name.lower() in SPLIT_FOLDERS]
    if found.root.name in splits and len(splits) > 1:
        _say(
            f"{found.flag}: {found.root.name} is beside {' and '.join(sorted(splits))[:200]}; "
            f"folder:{found.root.parent} uses these splits, this one alone is split anew"
        )
    for name in found.classes:
        if "" in found.files and name.lower() in SPLIT_FOLDERS:
            _say(
                f"{found.flag}: the folder {name} is taken as a class, since it holds images, not "
                "class folders"
            )
    _warn_of_equal(found, chosen, arrays)


@functools.cache  # a command may load one data set several times
def _say(line: str) -> None:
    _log.warning("%s", line)


def _warn_of_equal(
    found: ClassFolders, chosen: dict[str, tuple[Path, ...]], arrays: dict[str, np.ndarray]
) -> None:
    """Equal pictures on two sides are a leak; in two classes, one of their labels is wrong."""

    def say(pairs: list[tuple[Path, Path]], what: str, so: str) -> None:
        if pairs:
            one, other = (path.relative_to(found.root).as_posix() for path in pairs[0])
            many = f"{len(pairs)} image{'s are' if len(pairs) > 1 else ' is'}"
            _say(f"{found.flag}: {many} {what}, such as {one} and {other}: {so}")

    first: dict[bytes, Path] = {}  # the first file with such pixels
    of_split: dict[str, dict[bytes, Path]] = {split: {} for split in chosen}
    two_classes, again = [], []
    for split, paths in chosen.items():
        for path, image in zip(paths, arrays[f"{split}_images"], strict=True):
            pixels = hashlib.sha256(image).digest()
            if pixels in of_split["train"] and split == "train":
                again.append((of_split["train"][pixels], path))
            of_split[split].setdefault(pixels, path)
            if first.setdefault(pixels, path).parent.name != path.parent.name:
                two_classes.append((first[pixels], path))
    for one, other in itertools.combinations(chosen, 2):
        both = [(x, of_split[other][pixels]) for pixels, x in of_split[one].items()
                if pixels in of_split[other]]  # fmt: skip
        say(both, f"in both {one} and {other}", "accuracies on them are not those on new images")
    if "valid" not in chosen:
        say(again, "in train more than once", "the validation part may hold what is trained on")
    say(two_classes, "in two classes", "one of these labels is wrong")
