"""A cache of decoded pictures, so that a later start need not decode them again.

A cache file is used only if its digest is that of the pictures when they were decoded.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnoise.datasets import digests
from jaxnoise.datasets.resizing import Resizing

_log = logging.getLogger(__name__)


class Decoded(NamedTuple):
    """Pictures and labels of a copy."""

    arrays: dict[str, np.ndarray]  # for each split, as in train_images, train_labels
    sha256: str  # of these: `digests.of_arrays`
    resized: str = ""  # what --image_size did to the pictures, in words


def decoded(
    name: str,
    folder: Path,
    key: str,
    decode: Callable[[], dict[str, np.ndarray]],
    resizing: Resizing | None,
    names: tuple[str, ...],
) -> Decoded:
    """Returns the cached arrays; if there are none, decodes the pictures and caches them.

    Args:
      name: of the data set, for the log.
      folder: of the cache files.
      key: identifies the copy.
      decode: gives the arrays, and brings pictures to one size by `resizing`, if there is one.
      names: of the arrays.
    """
    size = f"-size_{resizing.size}" if resizing else ""
    cache = folder / f"{key}{size}.npz"
    found = read(cache, names)
    if found is None:
        _log.info("decoding the pictures of %s, once: they are cached in %s", name, folder)
        arrays = decode()
        resized = resizing.in_words() if resizing else ""
        found = Decoded(arrays, digests.of_arrays(arrays), resized)
        write(cache, found)
    return found


def read(cache: Path, names: tuple[str, ...]) -> Decoded | None:
    """Reads what `write` wrote; None if there is no such file or, with a warning, it is damaged.

    Args:
      cache: a .npz file, whose name identifies the copy.
      names: of the arrays.
    """
    try:
        # Opened here because np.load does not close a damaged file.
        with open(cache, "rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in names}
            resized = str(archive["resized"]) if "resized" in archive else ""
            decoded = Decoded(arrays, digests.of_arrays(arrays), resized)
            sealed = str(archive["seal"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # damage to a zip file or a NumPy header raises many types
        reason = " ".join(str(error).split())
    else:
        if sealed == _seal(cache, decoded):
            return decoded
        reason = "its SHA-256 is not the one recorded when it was written"
    _log.warning("cache file %s is damaged (%s) and will be rebuilt", cache, reason)
    return None


def write(cache: Path, decoded: Decoded) -> None:
    """Writes a cache file; only warns if it cannot be written."""
    words = {"resized": decoded.resized} if decoded.resized else {}
    try:
        write_whole(cache, decoded.arrays | words | {"seal": _seal(cache, decoded)})
    except OSError as error:
        _log.warning(
            "--cache_dir=%s cannot be written (%s): pictures will be decoded again at every start",
            cache.parent,
            error,
        )


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a .npz file, whole or not at all; raises OSError if it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="writing-") as folder:
        whole = Path(folder, path.name)
        np.savez(whole, **content)
        os.replace(whole, path)


def _seal(cache: Path, decoded: Decoded) -> str:
    """Content and file name together: the cache of another copy under this name is then noticed."""
    return f"{decoded.sha256} {cache.name} {decoded.resized}".rstrip()
