"""Reading and writing single files: written whole or not at all, never trusted when read.

A file may have been cut short, edited or made by another program.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise.config import InputError


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises OSError or ValueError if there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError(f"a {type(document).__name__}, not an object with names")
    return document


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file .npz: all, or those of `names` that it has.

    Raises:
      InputError: it is missing or damaged.
    """
    try:
        # Opened here, because np.load leaves the file open when it is damaged.
        with open(path, "rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in archive if names is None or name in names}
    except Exception as error:  # each kind of damage to a zip or NumPy header raises another type
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read: {reason}") from error
    return arrays


def check_shapes(path: Path, arrays: dict[str, np.ndarray], shapes: dict[str, tuple]) -> None:
    """Raises InputError if one of these arrays is missing, of another shape, or not of numbers."""
    for name, shape in sorted(shapes.items()):
        if name not in arrays:
            raise InputError(f"{path}: has no array {name}")
        array = arrays[name]
        if array.shape != shape or array.dtype.kind not in "biuf":
            raise InputError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}; allowed are numbers of "
                f"shape {shape}"
            )
