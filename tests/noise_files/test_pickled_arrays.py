"""Pickles of arrays are read; one that would run anything else is refused by the name of it."""

import collections
import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from jaxnoise.noise_files import pickled_arrays

LABELS = np.array([3, 1, 4, 1, 5, 9, 2, 6])


def as_torch_saves(path, content, pickler=pickle.Pickler, storages=()):
    """Writes what `torch.save` writes of Python objects and arrays: a zip file with a pickle."""
    pickled = io.BytesIO()
    pickler(pickled, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        archive.writestr("archive/version", "3\n")
        for i, storage in enumerate(storages):
            archive.writestr(f"archive/data/{i}", storage.tobytes())
    return path


@pytest.mark.parametrize("dtype", ["<i8", ">i4", "u1", "?", "<f8"])
def test_arrays_in_a_dictionary_are_read(tmp_path, dtype):
    labels = LABELS.astype(dtype)
    content = {"clean_label": labels, "noisy": labels.reshape(2, 4), "list": [1, 2, 3]}
    found = pickled_arrays.read_torch(as_torch_saves(tmp_path / "x.pt", content))
    assert list(found) == list(content)
    np.testing.assert_array_equal(found["clean_label"], labels)
    np.testing.assert_array_equal(found["noisy"], labels.reshape(2, 4))
    np.testing.assert_array_equal(found["list"], [1, 2, 3])


@pytest.mark.parametrize("content", [LABELS, LABELS.tolist(), tuple(LABELS), [*LABELS]])
def test_one_without_a_name_is_read(tmp_path, content):
    found = pickled_arrays.read_torch(as_torch_saves(tmp_path / "x.pt", content))
    np.testing.assert_array_equal(found[""], LABELS)


def test_what_numpy_saves_of_a_dictionary_is_read(tmp_path):
    content = {"clean_label": [*LABELS], "noise_label": LABELS}  # scalars of NumPy, and an array
    np.save(tmp_path / "x.npy", content, allow_pickle=True)
    found = pickled_arrays.read_numpy(tmp_path / "x.npy")
    for name in content:
        np.testing.assert_array_equal(found[name], LABELS)
    np.save(tmp_path / "y.npy", LABELS)
    np.testing.assert_array_equal(pickled_arrays.read_numpy(tmp_path / "y.npy")[""], LABELS)


class Tensors(pickle.Pickler):
    """Pickles `Storage` as PyTorch does: beside the pickle, by number."""

    def persistent_id(self, what):
        if isinstance(what, Storage):
            return "storage", what.kind, what.key, "cpu", what.size
        return None


Storage = collections.namedtuple("Storage", "kind key size")


class Tensor:
    def __init__(self, *made_of):
        self.made_of = made_of

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.made_of


@pytest.fixture
def long_storage(monkeypatch):
    """A module torch with the two names that a file of tensors refers to."""
    for name in ("torch", "torch._utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    def _rebuild_tensor_v2():
        pass

    kind = type("LongStorage", (), {"__module__": "torch"})
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    monkeypatch.setattr(sys.modules["torch"], "LongStorage", kind, raising=False)
    monkeypatch.setattr(
        sys.modules["torch._utils"], "_rebuild_tensor_v2", _rebuild_tensor_v2, raising=False
    )
    return kind


def test_tensors_are_read_by_their_offset_and_strides(tmp_path, long_storage):
    storage = Storage(long_storage, "0", 8)
    tensor = Tensor(storage, 2, (3, 2), (1, 3), False, collections.OrderedDict())
    path = as_torch_saves(tmp_path / "x.pt", {"noisy": tensor}, Tensors, [LABELS])
    found = pickled_arrays.read_torch(path)["noisy"]
    np.testing.assert_array_equal(found, LABELS[2:].reshape(2, 3).T)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(6, (3,), (1,)), (0, (2, 5), (5, 1)), (-1, (2,), (1,)), (4, (2,), (-4,)), (0, (9,), (1,))],
)
def test_a_tensor_of_more_than_there_is_is_damage(tmp_path, long_storage, offset, size, stride):
    tensor = Tensor(Storage(long_storage, "0", 8), offset, size, stride, False, None)
    path = as_torch_saves(tmp_path / "x.pt", tensor, Tensors, [LABELS])
    with pytest.raises(ValueError, match="^it is damaged: a tensor"):
        pickled_arrays.read_torch(path)


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (Evil(os.system, "touch it"), f"{os.name}.system"),
        (Evil(eval, "1"), "eval"),
        (Evil(np.load, "x"), "load"),
        ({"noisy": LABELS, "more": types.SimpleNamespace(a=1)}, "SimpleNamespace"),
        (Evil(getattr, LABELS, "size"), "getattr"),
    ],
)
def test_what_would_run_anything_is_refused_by_name(tmp_path, monkeypatch, content, name):
    monkeypatch.chdir(tmp_path)
    path = as_torch_saves(tmp_path / "x.pt", content)
    with pytest.raises(ValueError, match=f"^it contains .*{name}; allowed are arrays of numbers$"):
        pickled_arrays.read_torch(path)
    np.save(tmp_path / "x.npy", np.array(content, object), allow_pickle=True)
    with pytest.raises(ValueError, match=f"^it contains .*{name}; allowed are arrays of numbers$"):
        pickled_arrays.read_numpy(tmp_path / "x.npy")
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"noisy": "0123"}, "it contains noisy of type str; "),
        ({"noisy": np.array(["a"])}, "it contains noisy of type <U1; "),
        ({"noisy": np.array([None, 1])}, "it contains noisy of type object; "),
        ("text", "it contains an entry of type str; "),
        (Evil(np.ndarray, (10**12,)), "it makes an array of no content; "),
    ],
)
def test_what_is_not_numbers_is_refused(tmp_path, content, said):
    path = as_torch_saves(tmp_path / "x.pt", content)
    with pytest.raises(ValueError, match=f"^{said}allowed are arrays of numbers$"):
        pickled_arrays.read_torch(path)


def test_damaged_files_are_errors(tmp_path):
    path = as_torch_saves(tmp_path / "x.pt", LABELS)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    for length in range(0, len(pickled), 7):
        with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
            archive.writestr("archive/data.pkl", pickled[:length])
        with pytest.raises(ValueError, match="^it "):
            pickled_arrays.read_torch(tmp_path / "y.pt")
    path.write_bytes(pickled)  # what PyTorch before 1.6 wrote
    with pytest.raises(ValueError, match="not a file of torch.save in the format of PyTorch 1.6"):
        pickled_arrays.read_torch(path)


def test_what_pytorch_itself_saves_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    content = {
        "a": torch.tensor(LABELS),
        "b": torch.tensor(LABELS)[2:].reshape(2, 3).T,
        "c": LABELS,
    }
    torch.save(content, tmp_path / "x.pt")
    found = pickled_arrays.read_torch(tmp_path / "x.pt")
    for name, value in content.items():
        np.testing.assert_array_equal(found[name], np.asarray(value))
