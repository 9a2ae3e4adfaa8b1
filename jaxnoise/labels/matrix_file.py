"""Row-stochastic matrices from files, for --noise_matrix and --forward_file."""

import os
from pathlib import Path

import numpy as np

from jaxnoise.config import InputError


def check_size(matrix: np.ndarray, num_classes: int, *, flag: str) -> None:
    """Raises `InputError` if the matrix that a flag names is not num_classes × num_classes."""
    if len(matrix) != num_classes:
        raise InputError(
            f"--{flag}: the matrix is {len(matrix)}x{len(matrix)}; allowed is "
            f"{num_classes}x{num_classes}, the number of classes of the data set"
        )


def read_matrix(path: str, *, flag: str) -> np.ndarray:
    """Reads a row-stochastic matrix from the file that a flag names: float64 (K, K).

    Args:
      path: a .npy file, or a .csv file without a header.
      flag: name of the flag without dashes, for error messages.

    Raises:
      InputError: it cannot be read, is not square, has an entry outside [0, 1], or a row whose sum
        differs from 1 by more than 1e-6 (a tolerance for the rounding of text).
    """
    flag = f"--{flag}={path}"
    file = Path(os.path.expanduser(path))
    if file.suffix not in (".npy", ".csv"):
        raise InputError(f"{flag}: allowed file types are .npy, .csv")
    try:
        with open(file, "rb") as opened:
            if file.suffix == ".npy":  # np.load would take any other file for a pickle
                rows = np.lib.format.read_array(opened)
            else:
                rows = [line.split(",") for line in opened.read().decode().split("\n") if line]
        if isinstance(rows, np.ndarray) and rows.dtype.kind not in "biuf":
            raise ValueError(f"it contains {rows.dtype}, allowed are numbers")
        matrix = np.array(rows, np.float64)
    except Exception as error:  # each kind of damage raises a different type
        raise InputError(f"{flag}: cannot be read: {' '.join(str(error).split())}") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"{flag}: shape {matrix.shape}; allowed is KxK for K classes")
    outside = matrix[~((matrix >= 0) & (matrix <= 1))]
    if len(outside):
        raise InputError(f"{flag}: one entry is {outside[0]:g}; allowed is [0, 1]")
    sums = matrix.sum(axis=1)
    if (np.abs(sums - 1) > 1e-6).any():
        row = int(np.abs(sums - 1).argmax())
        raise InputError(f"{flag}: row {row} sums to {sums[row]:.9g}; allowed is 1")
    return matrix
