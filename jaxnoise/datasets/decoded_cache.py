"""A cache of decoded pictures, so that a later start need not decode them again.

A cache file is used only if its digest is that of the pictures when they were decoded.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnoise.datasets import digests

_log = logging.getLogger(__name__)


class Decoded(NamedTuple):
    """Pictures and labels of a copy."""

    arrays: dict[str, np.ndarray]  # for each split, as in train_images, train_labels
    sha256: str  # of these: `digests.of_arrays`


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
            sha256, sealed = digests.of_arrays(arrays), str(archive["seal"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # damage to a zip file or a NumPy header raises many types
        reason = " ".join(str(error).split())
    else:
        if sealed == _seal(cache, sha256):
            return Decoded(arrays, sha256)
        reason = "its SHA-256 is not the one recorded when it was written"
    _log.warning("cache file %s is damaged (%s) and will be rebuilt", cache, reason)
    return None


def write(cache: Path, decoded: Decoded) -> None:
    """Writes a cache file, whole or not at all; only warns if it cannot be written."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix="writing-") as folder:
            whole = Path(folder, cache.name)
            np.savez(whole, **decoded.arrays, seal=_seal(cache, decoded.sha256))
            os.replace(whole, cache)
    except OSError as error:
        _log.warning(
            "--cache_dir=%s cannot be written (%s): pictures will be decoded again at every start",
            cache.parent,
            error,
        )


def _seal(cache: Path, sha256: str) -> str:
    """Content and file name together: the cache of another copy under this name is then noticed."""
    return f"{sha256} {cache.name}"
