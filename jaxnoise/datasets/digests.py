"""SHA-256 digests of files, listed in the format of `sha256sum -c`, and of arrays."""

import hashlib
import os
from pathlib import Path

import numpy as np


def of_file(path: Path) -> str:
    """64 hexadecimal digits; raises OSError if the file cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_arrays(arrays: dict[str, np.ndarray]) -> str:
    """64 hexadecimal digits over names, dtypes, shapes and content."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(np.ascontiguousarray(array))
    return sha.hexdigest()


def as_text(digests: dict[str, str]) -> str:
    """One line per file, as the command sha256sum writes it."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def write(listing: Path, digests: dict[str, str]) -> None:
    """Writes a list of digests, whole or not at all; raises OSError if it cannot be written."""
    partial = listing.with_name(f".{listing.name}.{os.getpid()}.partial")
    partial.write_text(as_text(digests), encoding="utf-8")
    os.replace(partial, listing)


def read(listing: Path) -> dict[str, str]:
    """Reads a list: file name → digest; raises OSError or ValueError if it cannot be read."""
    lines = listing.read_text(encoding="utf-8").splitlines()
    return dict(line.split("  ", 1)[::-1] for line in lines)
