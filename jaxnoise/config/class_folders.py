"""A user's own pictures, in one folder per class: the list of files, and a digest of them.

--dataset=folder:PATH is PATH/train/CLASS/… and PATH/test/CLASS/…, perhaps with PATH/val/CLASS/…, or
PATH/CLASS/… alone. Nothing is decoded here (see `class_pictures`), so that a run's name, which
depends on the files' content, is known at once.
"""

import dataclasses
import functools
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxnoise.config.flags import InputError

PREFIX = "folder:"
# Names of folders, in any letter case, and the split that each of them holds.
SPLIT_FOLDERS = {
    "train": "train", "test": "test", "val": "valid", "valid": "valid", "validation": "valid",
}  # fmt: skip
_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm"}
# What operating systems leave in folders and in archives of folders, beside hidden files.
_LEFT_BEHIND = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclasses.dataclass(frozen=True)
class ClassFolders:
    """The files of a folder. Classes are sorted by name, files by class and then by name."""

    flag: str  # its name in error messages
    root: Path
    classes: tuple[str, ...]
    # By split: train, test and perhaps valid; where classes stand alone, all under "".
    files: dict[str, tuple[Path, ...]]
    unused: tuple[Path, ...]  # pictures and folders in places where none is read

    @property
    def name(self) -> str:
        return name(self.root)

    def labels(self, paths: Iterable[Path]) -> list[int]:
        """The class of each file, in [0, K)."""
        numbers = {name: i for i, name in enumerate(self.classes)}
        return [numbers[path.parent.name] for path in paths]

    @functools.cached_property
    def digests(self) -> dict[Path, str]:
        """The SHA-256 of each file's content; reading 10,000 small files again takes 0.2 s.

        Raises:
          InputError: a file cannot be read.
        """
        found = {}
        for path in (path for paths in self.files.values() for path in paths):
            try:
                found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise InputError(f"{self.flag}: {path}: {error.strerror}") from error
        return found

    def sha256(self) -> str:
        """64 hexadecimal digits over splits, names and contents of all files, not over the path.

        Raises:
          InputError: a file cannot be read.
        """
        sha = hashlib.sha256()
        for split, paths in self.files.items():
            if not split:
                # An earlier version chose other test pictures: its runs are other runs.
                sha.update(b"test pictures by content\n")
            for file, path in zip(names(paths), paths, strict=True):
                sha.update(f"{self.digests[path]} {split} {file!r}\n".encode())
        return sha.hexdigest()


def names(paths: Iterable[Path]) -> tuple[str, ...]:
    """Files as shown to a user, relative to the folder with the classes: CLASS/FILE."""
    return tuple(f"{path.parent.name}/{path.name}" for path in paths)


def root(dataset: str, data_dir: str | os.PathLike | None) -> Path:
    """The path of folder:PATH; a relative PATH starts in `data_dir`, else in the working folder.

    An absolute PATH that is not there any more is looked for in `data_dir` by its last part.
    """
    path, start = (os.path.expanduser(x or "") for x in (dataset.removeprefix(PREFIX), data_dir))
    moved = os.path.join(start, os.path.basename(path.rstrip("/")))
    if data_dir and os.path.isabs(path) and not os.path.isdir(path) and os.path.isdir(moved):
        path = os.path.abspath(moved)
    return Path(os.path.abspath(os.path.join(start, path)))


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
        holds folders, two of them have one name, a split is missing or there twice, or the classes
        of the splits are not the same.
    """
    flag, top = f"--dataset={dataset}", root(dataset, data_dir)
    if dataset == PREFIX:
        raise InputError(f"{flag}: allowed is folder:PATH, a folder with one folder per class")
    if not os.path.isdir(top):  # pathlib raises where a name is too long
        raise InputError(f"{flag}: there is no folder {top}")
    splits = _splits(flag, top)
    folders = splits or {"": top}
    classes = {split: _classes(flag, folder) for split, folder in folders.items()}
    for split, found in classes.items():
        _check_classes(flag, folders[split], found)
    of_all = next(iter(classes.values()))
    for split, found in classes.items():
        if differing := sorted(set(of_all) ^ set(found)):
            only = folders["train" if differing[0] in of_all else split]
            raise InputError(
                f"{flag}: class {differing[0]} is only in {only}; {folders['train'].name} and "
                f"{folders[split].name} need the same classes"
            )
    files = {
        split: tuple(path for name in found for path in _files(flag, folders[split] / name))
        for split, found in classes.items()
    }
    beside = [path for path in _entries(flag, top) if splits and path not in splits.values()]
    unused = [path for path in beside if path.is_dir() or path.name.lower() in SPLIT_FOLDERS]
    for path in (*beside, *(path for x in folders.values() for path in _entries(flag, x))):
        if path.suffix.lower() in _PICTURES and path.is_file():
            unused.append(path)
    return ClassFolders(flag, top, of_all, files, tuple(unused))


def _splits(flag: str, top: Path) -> dict[str, Path]:
    """The folders train, test and, if there is one, valid; empty where classes stand alone.

    A folder of such a name that holds no folders is a class, unless another one does.
    """
    named: dict[str, list[Path]] = {"train": [], "test": [], "valid": []}
    for path in _entries(flag, top):
        if path.name.lower() in SPLIT_FOLDERS and path.is_dir():
            named[SPLIT_FOLDERS[path.name.lower()]].append(path)
    with_classes = [path for paths in named.values() for path in paths if _classes(flag, path)]
    if not with_classes:
        return {}
    for paths in named.values():
        if len(paths) > 1:
            raise InputError(
                f"{flag}: {top} has the folders {paths[0].name} and {paths[1].name}; allowed is one"
            )
    for split in ("train", "test"):
        if not set(named[split]) & set(with_classes):
            there = " and a folder ".join(path.name for path in with_classes)
            raise InputError(
                f"{flag}: {top} has a folder {there} with classes, but no {split}; allowed are "
                "train and test, with or without val, or classes alone"
            )
    return {split: paths[0] for split, paths in named.items() if paths}


def _check_classes(flag: str, folder: Path, classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise InputError(
            f"{flag}: class folders in {folder}: {len(classes)}; at least two are needed"
        )
    spelled: dict[str, str] = {}
    for name in classes:
        if spelled.setdefault(unicodedata.normalize("NFC", name), name) != name:
            raise InputError(
                f"{flag}: {folder} has two folders {name}, in two Unicode spellings; allowed is one"
            )


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
            raise InputError(
                f"{flag}: {path} is not a file; allowed in a class folder are images (if "
                f"{path.name} is a class, PATH is {folder})"
            )
    return paths


def _entries(flag: str, folder: Path) -> list[Path]:
    """What is in a folder, sorted, without what nobody put there."""
    try:
        paths = sorted(
            path
            for path in folder.iterdir()
            if not path.name.startswith(".") and path.name.lower() not in _LEFT_BEHIND
        )
        "".join(path.name for path in paths).encode()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "a name in it is not UTF-8"
        raise InputError(f"{flag}: {folder} cannot be read: {reason}") from error
    for path in paths:
        if path.is_symlink() and not path.exists():  # perhaps a class or a split
            raise InputError(f"{flag}: {path} is a link to {os.readlink(path)}, which is not there")
    return paths
