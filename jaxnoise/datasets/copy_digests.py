"""Check that a prepared copy has not changed, by digests of its files.

TFDS itself keeps no checksums of them.
"""

import hashlib
import logging
import time
from pathlib import Path

import tensorflow_datasets as tfds

from jaxnoise.config import InputError
from jaxnoise.datasets import digests

_log = logging.getLogger(__name__)

SPLITS = ("train", "test")
# Lies in the folder of a copy that jaxnoise prepared; `sha256sum -c SHA256SUMS` checks it too.
LIST = "SHA256SUMS"


def record(folder: Path) -> None:
    """Writes the list of digests of a new copy; raises OSError if it cannot be written."""
    paths = sorted(path for path in folder.iterdir() if path.name != LIST)
    digests.write(folder / LIST, {path.name: digests.of_file(path) for path in paths})


def check(copy: tfds.core.DatasetBuilder, cache: Path) -> str:
    """Compares a copy with the digests recorded for it.

    If jaxnoise prepared the copy, they were recorded then, in its folder. Otherwise they are
    recorded when the copy is first read, in the cache, under a name made from the copy's path.
    Reading takes about 0.1 s for 100 MB.

    Returns:
      16 hexadecimal digits that depend on the content of all files read, not on paths or dates.

    Raises:
      InputError: a file is missing or has changed; the message says what to do.
    """
    folder = Path(copy.data_path)
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    name = "-".join([copy.info.full_name.replace("/", "-"), place])
    first_read = cache / f"{name}-first_read.sha256"
    found = {path.name: _digest(path) for path in _files(copy, folder)}
    if (folder / LIST).exists():
        advice = f"delete {folder} and prepare or download it again"
        _compare(folder, found, folder / LIST, "when the copy was prepared", advice)
    elif first_read.exists():
        day = time.strftime("%Y-%m-%d", time.localtime(first_read.stat().st_mtime))
        advice = f"to use it as it is now, delete {first_read}; else replace the copy"
        _compare(folder, found, first_read, f"on {day}, when the copy was first read", advice)
    else:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            digests.write(first_read, found)
        except OSError as error:
            _log.warning(
                "--cache_dir=%s cannot be written (%s): later changes to %s will not be noticed",
                cache,
                error.strerror,
                folder,
            )
    return hashlib.sha256(digests.as_text(found).encode()).hexdigest()[:16]


def _files(copy: tfds.core.DatasetBuilder, folder: Path) -> list[Path]:
    """The record files of both splits, their descriptions, and the class names."""
    records = [Path(path) for split in SPLITS for path in copy.info.splits[split].filepaths]
    described = (folder / "dataset_info.json", folder / "features.json")
    return sorted([*records, *described, *folder.glob("*.labels.txt")])


def _digest(path: Path) -> str:
    try:
        return digests.of_file(path)
    except OSError as error:
        raise InputError(f"cannot read data file {path}: {error.strerror}") from error


def _compare(
    folder: Path, found: dict[str, str], listing: Path, recorded: str, advice: str
) -> None:
    try:
        expected = digests.read(listing)
    except (OSError, ValueError) as error:
        raise InputError(f"{listing}: not a readable list of SHA-256 digests; {advice}") from error
    for name in sorted(found.keys() | expected.keys()):
        if name.endswith(".labels.txt") and name not in found:
            raise InputError(f"missing data file {folder / name}: {listing} lists it; {advice}")
        if name in found and found[name] != expected.get(name):
            raise InputError(
                f"changed data file {folder / name}: its SHA-256 is not the one recorded "
                f"{recorded} ({listing}); {advice}"
            )
