"""Decoded pictures, kept between starts: used only if their digest is that of what was decoded."""

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

    arrays: dict[str, np.ndarray]  # train_images, train_labels, test_images, test_labels
    sha256: str  # of these: `digests.of_arrays`


def read(cache: Path, names: tuple[str, ...]) -> Decoded | None:
    """What `write` wrote there; None, with a warning if there was something, where it is not so.

    Args:
      cache: a .npz, whose name tells the copy.
      names: of the arrays.
    """
    try:
        # Opened here, because np.load leaves the file open when it is damaged.
        with open(cache, "rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in names}
            sha256, sealed = digests.of_arrays(arrays), str(archive["seal"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # each kind of damage to a zip or NumPy header raises another type
        reason = " ".join(str(error).split())
    else:
        if sealed == _seal(cache, sha256):
            return Decoded(arrays, sha256)
        reason = "its SHA-256 is not that of what was decoded"
    _log.warning("cache file %s is damaged (%s) and made anew", cache, reason)
    return None


def write(cache: Path, decoded: Decoded) -> None:
    """Writes a cache, whole or not at all; that it cannot be written is only a warning."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix="writing-") as folder:
            whole = Path(folder, cache.name)
            np.savez(whole, **decoded.arrays, seal=_seal(cache, decoded.sha256))
            os.replace(whole, cache)
    except OSError as error:
        _log.warning(
            "--cache_dir=%s cannot be written (%s): pictures will be decoded at every start",
            cache.parent,
            error,
        )


def _seal(cache: Path, sha256: str) -> str:
    """Content and name together, so that another copy's cache under this name is noticed."""
    return f"{sha256} {cache.name}"
