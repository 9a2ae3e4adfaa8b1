"""The labels of CIFAR-10N and CIFAR-100N, from the files that their authors published.

Source: Wei et al., "Learning with Noisy Labels Revisited" (2022, https://arxiv.org/abs/2110.12088);
files: https://github.com/UCSC-REAL/cifar-10-100n, of which those read here were seen on 2026-11-27.
"""

import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnoise.config import InputError
from jaxnoise.noise_files import pickled_arrays

_log = logging.getLogger("jaxnoise")

_ADDRESS = "https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/"


class _Published(NamedTuple):
    file: str  # in the order of the original files of CIFAR
    ordered: str  # the same in the order of TFDS
    sha256: str  # of `file`


_FILES = {
    "cifar10": _Published(
        "CIFAR-10_human.pt",
        "CIFAR-10_human_ordered.npy",
        "873e69c39cb9b5e97fb6bae2d60bb59b38a5cbc31d2b868f7903dcb2b9dd2310",
    ),
    "cifar100": _Published(
        "CIFAR-100_human.pt",
        "CIFAR-100_human_ordered.npy",
        "bd2d80409754d420292d622e15e25248ba21e37d27429efac49c8da723f44394",
    ),
}
# The name that CIFAR-100_human.pt has for what is noise_label elsewhere, its paper included.
_OTHER_NAMES = {"noisy_label": "noise_label"}


def find(name: str, manual_dir: Path | None, data_dir: Path) -> Path | None:
    """The file of `cifar10` or `cifar100` in a folder of the user's, or among our downloads.

    Both the .pt and the .npy file will do; in `manual_dir`, they may be in a folder `cifar10_n` or
    `cifar100_n`.
    """
    published = _FILES[name]
    folders = [] if manual_dir is None else [manual_dir / f"{name}_n", manual_dir]
    for folder in (*folders, _downloads(data_dir)):
        for file in (published.file, published.ordered):
            if (folder / file).is_file():
                return folder / file
    return None


def download(name: str, data_dir: Path) -> Path:
    """Downloads the .pt file of `cifar10` or `cifar100` into the TFDS directory `data_dir`.

    Raises:
      InputError: it cannot be reached or written, or is not the file that was published.
    """
    import requests  # 44 ms of every start, which this one alone needs

    published, folder = _FILES[name], _downloads(data_dir)
    address, path = _ADDRESS + published.file, folder / published.file
    told = f"set --manual_dir to a folder with {published.file}, from {_ADDRESS}"
    try:
        with requests.get(address, timeout=60) as response:
            response.raise_for_status()
            content = response.content
    except requests.RequestException as error:
        raise InputError(f"cannot reach {address} ({type(error).__name__}); {told}") from error
    if _sha256(content) != published.sha256:
        raise InputError(f"{address} is another file than was published; {told}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="writing-") as writing:
            whole = Path(writing, published.file)
            whole.write_bytes(content)
            os.replace(whole, path)
    except OSError as error:
        raise InputError(f"--data_dir={data_dir}: cannot be written: {error}") from error
    _log.info("downloaded %s to %s", address, folder)
    return path


def read(path: Path) -> dict[str, np.ndarray]:
    """The labels by the names of --human_labels, and `clean_label`, int (50000,) each.

    Raises:
      InputError: the file is damaged, or has no clean labels.
    """
    reader = pickled_arrays.read_torch if path.suffix == ".pt" else pickled_arrays.read_numpy
    try:
        labels = {_OTHER_NAMES.get(name, name): array for name, array in reader(path).items()}
        if "clean_label" not in labels:
            raise ValueError("it has no clean_label")
    except Exception as error:  # formats and kinds of damage raise different types
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    return labels


def _downloads(data_dir: Path) -> Path:
    return data_dir / "downloads" / "cifar_n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
