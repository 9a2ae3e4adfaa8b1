"""Arrays of numbers from the pickles of `torch.save` and `numpy.save`, without running them.

A pickle is a program: it names functions, and what reads it calls them. Here it may name only those
that arrays of numbers are made of, and these are stood in for by functions of this module. So
neither PyTorch nor trust in the file is needed.
"""

import collections
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_TORCH_DTYPES = {
    "ByteStorage": "u1", "CharStorage": "i1", "ShortStorage": "<i2", "IntStorage": "<i4",
    "LongStorage": "<i8", "BoolStorage": "?", "FloatStorage": "<f4", "DoubleStorage": "<f8",
}  # fmt: skip


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Reads a file of `torch.save`: a dictionary of arrays, tensors or lists, or one of them.

    Returns:
      the arrays by name; one that has no name as "".

    Raises:
      ValueError: the file has another format, or contains anything else; the message names it.
      OSError: it cannot be read.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a file of torch.save in the format of PyTorch 1.6 and later")
    with zipfile.ZipFile(path) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("/data.pkl"))
        folder = name.removesuffix("data.pkl")
        return _arrays(io.BytesIO(archive.read(name)), lambda key: archive.read(folder + key))


def read_numpy(path: Path) -> dict[str, np.ndarray]:
    """Reads a file of `numpy.save`: an array of numbers, or a dictionary of arrays or lists.

    Returns, raises: as `read_torch`.
    """
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0,
                  (2, 0): np.lib.format.read_array_header_2_0}.get(version)  # fmt: skip
        if header:
            shape, _, dtype = header(file)
            if dtype.hasobject and shape == ():
                return _arrays(file)
        file.seek(0)
        return _columns(np.lib.format.read_array(file))


def _arrays(file: BinaryIO, storage: Callable[[str], bytes] | None = None) -> dict[str, np.ndarray]:
    try:
        found = _Unpickler(file, storage).load()
    except ValueError:
        raise
    except Exception as error:  # a damaged pickle raises nearly any type
        raise ValueError(f"it is damaged: {' '.join(str(error).split())}") from error
    if isinstance(found, np.ndarray) and found.dtype.hasobject and found.shape == ():
        found = found[()]  # what numpy.save makes of a dictionary
    return _columns(found)


def _columns(found: Any) -> dict[str, np.ndarray]:
    if not isinstance(found, dict):
        found = {"": found}
    columns = {}
    for name, value in found.items():
        array = np.array(value) if isinstance(value, list | tuple) else value
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            what = array.dtype if isinstance(array, np.ndarray) else type(value).__name__
            raise ValueError(f"it contains {name or 'an entry'} of type {what}; {_ALLOWED}")
        columns[str(name)] = array
    return columns


_ALLOWED = "allowed are arrays of numbers"


class _Storage(NamedTuple):
    """A type of storage of PyTorch, by its name."""

    name: str


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, storage: Callable[[str], bytes] | None):
        super().__init__(file, encoding="latin1")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        if found := _STAND_INS.get((module, name)):
            return found
        if module == "torch" and name in _TORCH_DTYPES:
            return _Storage(name)
        raise ValueError(f"it contains {module}.{name}; {_ALLOWED}")

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage, key, _, _ = pid
        if kind != "storage" or not isinstance(storage, _Storage) or self._storage is None:
            raise ValueError(f"it contains {kind!r}; {_ALLOWED}")
        return np.frombuffer(self._storage(f"data/{key}"), _TORCH_DTYPES[storage.name])


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An array, whose content follows."""
    return np.empty(0)


def _scalar(dtype: np.dtype, content: Any) -> np.generic:
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, which pickles of protocol 2 hold as text."""
    return text.encode("latin1")


def _tensor(storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any) -> np.ndarray:
    if offset < 0 or min((*size, *stride), default=0) < 0:
        raise ValueError("it is damaged: a tensor of negative size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= len(storage):
        raise ValueError("it is damaged: a tensor is larger than its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


def _ndarray(*_: Any) -> None:
    raise ValueError(f"it makes an array of no content; {_ALLOWED}")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
}
