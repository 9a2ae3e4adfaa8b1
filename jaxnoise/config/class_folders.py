"""A user's own pictures, in one folder per class: the list of files, and a digest of them.

--dataset=folder:PATH is PATH/train/CLASS/… and PATH/test/CLASS/…, or PATH/CLASS/… alone. Nothing is
decoded here (see `class_pictures`), so that a run's name, which depends on the files' content, is
known at once.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jaxnoise.config.flags import InputError

PREFIX = "folder:"
SPLITS = ("train", "test")


class ClassFolders(NamedTuple):
    """The files of a folder. Classes are sorted by name, files by class and then by name."""

    flag: str  # its name in error messages
    root: Path
    classes: tuple[str, ...]
    files: dict[str, tuple[Path, ...]]  # by split; without splits, all under ""

    @property
    def name(self) -> str:
        return name(self.root)

    def labels(self, paths: Iterable[Path]) -> list[int]:
        """The class of each file, in [0, K)."""
        numbers = {name: i for i, name in enumerate(self.classes)}
        return [numbers[path.parent.name] for path in paths]

    def sha256(self) -> str:
        """64 hexadecimal digits over splits, names and contents of all files, not over the path.

        Reading 10,000 small files takes 0.2 s if they have been read before.

        Raises:
          InputError: a file cannot be read.
        """
        sha = hashlib.sha256()
        for split, paths in self.files.items():
            for file, path in zip(names(paths), paths, strict=True):
                try:
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                except OSError as error:
                    raise InputError(f"{self.flag}: {path}: {error.strerror}") from error
                sha.update(f"{content} {split} {file!r}\n".encode())
        return sha.hexdigest()


def names(paths: Iterable[Path]) -> tuple[str, ...]:
    """Files as shown to a user, relative to the folder with the classes: CLASS/FILE."""
    return tuple(f"{path.parent.name}/{path.name}" for path in paths)


def root(dataset: str, data_dir: str | os.PathLike | None) -> Path:
    """The path of folder:PATH; a relative PATH starts in `data_dir`, else in the working folder."""
    path = os.path.expanduser(dataset.removeprefix(PREFIX))
    return Path(os.path.abspath(os.path.join(os.path.expanduser(data_dir or ""), path)))


def numbers(names: Iterable[str]) -> bool:
    """Whether classes are named by numbers alone."""
    return all(name.isascii() and name.isdigit() for name in names)


def name(root: Path) -> str:
    """A word that can be a folder's name: `folder_` and the last part of the path."""
    return "folder_" + re.sub(r"[^\w.-]+", "_", root.name)[:60]


def find(dataset: str, data_dir: str | os.PathLike | None) -> ClassFolders:
    """Lists the files of folder:PATH; ignores hidden files and files beside the class folders.

    Raises:
      InputError: there is no such folder, it has fewer than two classes, one of them is empty or
        holds folders, or the classes of train and test are not the same.
    """
    flag, top = f"--dataset={dataset}", root(dataset, data_dir)
    if dataset == PREFIX:
        raise InputError(f"{flag}: allowed is folder:PATH, a folder with one folder per class")
    if not os.path.isdir(top):  # pathlib raises where a name is too long
        raise InputError(f"{flag}: there is no folder {top}")
    there = [split for split in SPLITS if _is_split(flag, top / split)]
    if len(there) == 1:
        (missing,) = set(SPLITS) - set(there)
        raise InputError(f"{flag}: {top} has a folder {there[0]} with classes, but no {missing}")
    classes = {split: _classes(flag, top / split) for split in there or [""]}
    for split, found in classes.items():
        if len(found) < 2:
            raise InputError(
                f"{flag}: class folders in {top / split}: {len(found)}; at least two are needed"
            )
    if there and (differing := sorted(set(classes["train"]) ^ set(classes["test"]))):
        only = "train" if differing[0] in classes["train"] else "test"
        raise InputError(
            f"{flag}: class {differing[0]} is only in {top / only}; train and test need the same "
            "classes"
        )
    files = {
        split: tuple(path for name in found for path in _files(flag, top / split / name))
        for split, found in classes.items()
    }
    return ClassFolders(flag, top, next(iter(classes.values())), files)


def _is_split(flag: str, folder: Path) -> bool:
    """Whether it holds folders; a class that happens to have this name holds pictures."""
    return folder.is_dir() and bool(_classes(flag, folder))


def _classes(flag: str, folder: Path) -> tuple[str, ...]:
    names = [path.name for path in _entries(flag, folder) if path.is_dir()]
    if numbers(names):
        names.sort(key=int)  # class 2 before class 10
    return tuple(names)


def _files(flag: str, folder: Path) -> list[Path]:
    paths = _entries(flag, folder)
    if not paths:
        raise InputError(f"{flag}: no images in {folder}; every class needs some")
    for path in paths:
        if not path.is_file():
            raise InputError(f"{flag}: {path} is not a file; allowed in a class folder are images")
    return paths


def _entries(flag: str, folder: Path) -> list[Path]:
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        "".join(path.name for path in paths).encode()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "a name in it is not UTF-8"
        raise InputError(f"{flag}: {folder} cannot be read: {reason}") from error
    return paths
