"""Data sets as a user gets them: digits, the cache, the split."""

import logging
import os
import pathlib
import shutil

import numpy as np
import pytest
import sklearn.datasets
import synthetic
from places import REAL

from jaxnoise import data
from jaxnoise.config import InputError
from jaxnoise.datasets import splits, tfds_copy

LABELS = np.arange(30) % 5


@pytest.fixture
def copy_dir(tmp_path):
    """A TFDS directory with the set `toy` of five classes."""
    images = synthetic.pictures(30, (28, 28, 1))
    synthetic.write_copy(tmp_path / "tfds", images, LABELS, num_classes=5)
    return tmp_path / "tfds"


@pytest.fixture
def decoded(monkeypatch):
    """The splits that were decoded, as opposed to taken from the cache."""
    splits, decode = [], tfds_copy.decode
    monkeypatch.setattr(
        tfds_copy,
        "decode",
        lambda copy, split, *how: splits.append(split) or decode(copy, split, *how),
    )
    return splits


def assert_equal(one, other):
    assert (one.name, one.version, one.class_names) == (
        other.name,
        other.version,
        other.class_names,
    )
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


# digits


def test_digits_need_no_files_and_fit_every_net(monkeypatch):
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nonexistent")
    digits = data.load("digits")
    assert digits.num_classes == 10
    assert digits.class_names == tuple("0123456789")
    for images, labels in (
        (digits.train_images, digits.train_labels),
        (digits.test_images, digits.test_labels),
    ):
        assert images.dtype == np.uint8 and images.shape == (len(labels), 28, 28, 1)
        assert labels.dtype == np.int32
        assert images.max() == 255 and images.min() == 0
        assert set(labels) == set(range(10))
    assert_equal(digits, data.load("digits"))


def test_a_fifth_of_each_digit_is_for_testing():
    digits = data.load("digits")
    in_train, in_test = np.bincount(digits.train_labels), np.bincount(digits.test_labels)
    assert in_train.sum() + in_test.sum() == 1797
    np.testing.assert_array_equal(in_test, (in_train + in_test) // 5)


def test_digits_are_enlarged_threefold_within_a_black_margin():
    digits, bunch = data.load("digits"), sklearn.datasets.load_digits()
    train, test = splits.stratified(bunch.target, ratio=0.2, num_classes=10)
    images = np.zeros((1797, 28, 28, 1), np.uint8)
    images[train], images[test] = digits.train_images, digits.test_images
    # Of each 3×3 block, bilinear interpolation leaves the middle pixel as it was.
    np.testing.assert_array_equal(
        images[:, 3:26:3, 3:26:3, 0], np.round(bunch.images / 16 * 255).astype(np.uint8)
    )
    margin = np.ones((28, 28), bool)
    margin[2:26, 2:26] = False
    assert not images[:, margin].any()


# The cache


def test_second_load_decodes_nothing_and_is_equal(tmp_path, copy_dir, decoded, capfd):
    first = data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    assert decoded == ["train", "test"]
    second = data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    assert decoded == ["train", "test"]
    assert_equal(first, second)
    assert first.num_classes == 5 and first.version == "1.0.0"
    assert first.train_images.shape == (30, 28, 28, 1) and first.train_labels.dtype == np.int32
    kept = sorted(path.suffix for path in (tmp_path / "cache").iterdir())
    assert kept == [".npz", ".sha256"]
    assert first.sha256 == second.sha256
    assert capfd.readouterr() == ("", "")


def test_splits_that_are_not_used_are_told(tmp_path, caplog):
    images = synthetic.pictures(30, (28, 28, 1))
    splits_there = ("train", "validation", "extra", "test")
    synthetic.write_copy(tmp_path / "tfds", images, LABELS, num_classes=5, splits=splits_there)
    caplog.set_level("INFO", "jaxnoise")
    for _ in range(2):
        caplog.clear()
        dataset = data.load("toy", data_dir=tmp_path / "tfds", cache_dir=tmp_path / "cache")
        assert caplog.messages.count("of toy, not used are the splits extra, validation") == 1
    assert len(dataset.train_labels) == 30 and dataset.valid_size == 0


def test_the_same_copy_elsewhere_is_a_cache_hit(tmp_path, copy_dir, decoded):
    data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    shutil.copytree(copy_dir, tmp_path / "elsewhere")
    data.load("toy", data_dir=tmp_path / "elsewhere", cache_dir=tmp_path / "cache")
    assert decoded == ["train", "test"]


def test_a_changed_copy_is_not_trained_on_until_its_first_reading_is_forgotten(
    tmp_path, copy_dir, decoded
):
    first = data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    shutil.rmtree(copy_dir)
    images = synthetic.pictures(30, (28, 28, 1), seed=1)
    synthetic.write_copy(copy_dir, images, LABELS, num_classes=5)
    with pytest.raises(InputError, match="changed data file .*array_record"):
        data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    (listing,) = (tmp_path / "cache").glob("*.sha256")
    listing.unlink()
    second = data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    assert decoded == ["train", "test"] * 2
    assert (first.train_images != second.train_images).any()
    assert first.sha256 != second.sha256


def test_a_copy_damaged_later_is_not_hidden_by_the_cache(tmp_path, copy_dir):
    data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    (path,) = copy_dir.rglob("*test.array_record*")
    os.truncate(path, path.stat().st_size // 2)
    for _ in range(2):
        with pytest.raises(InputError, match=f"changed data file {path}"):
            data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")


def test_labels_of_a_changed_copy_are_not_read(tmp_path, copy_dir):
    folders = {"data_dir": copy_dir, "cache_dir": tmp_path / "cache"}
    labels = data.load_labels("toy", ["label"], **folders)["label"]
    np.testing.assert_array_equal(labels, data.load("toy", **folders).train_labels)
    (path,) = copy_dir.rglob("*train.array_record*")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match=f"changed data file {path}"):
        data.load_labels("toy", ["label"], **folders)


def edit(arrays):
    arrays["train_images"][0, 0, 0, 0] ^= 1


def swap(arrays):
    """Two arrays of the same shape and dtype."""
    arrays["train_images"], arrays["test_images"] = arrays["test_images"], arrays["train_images"]


def widen(arrays):
    arrays["train_labels"] = arrays["train_labels"].astype(np.int64)


def leave_out(arrays):
    del arrays["test_labels"]


EDITS = {"edited": edit, "swapped": swap, "of another dtype": widen, "incomplete": leave_out}
HARMS = ["empty", "truncated", "flipped", "short", "foreign", "of another copy", *EDITS]


@pytest.mark.parametrize("how", HARMS)
def test_a_damaged_cache_is_made_anew(tmp_path, copy_dir, decoded, caplog, how):
    first = data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.npz")
    content = bytearray(path.read_bytes())
    if how in EDITS:  # a whole archive, with its checksums
        with np.load(path) as archive:
            arrays = dict(archive)
        EDITS[how](arrays)
        np.savez(path, **arrays)
    elif how == "of another copy":
        images = synthetic.pictures(30, (28, 28, 1), seed=1)
        synthetic.write_copy(tmp_path / "other", images, LABELS, num_classes=5)
        data.load("toy", data_dir=tmp_path / "other", cache_dir=tmp_path / "elsewhere")
        (other,) = (tmp_path / "elsewhere").glob("*.npz")
        other.replace(path)
        decoded.clear()
        decoded += ["train", "test"]
    else:
        short = content.replace(b"(30, 28, 28, 1)", b"(20, 28, 28, 1)", 1)
        assert short != content
        content[len(content) // 3] ^= 1  # a grey level of a training picture
        damaged = {
            "empty": b"",
            "truncated": content[: len(content) // 2],
            "flipped": content,
            "short": short,
            "foreign": b"not an archive",
        }
        path.write_bytes(damaged[how])
    with caplog.at_level(logging.WARNING, "jaxnoise"):
        second = data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    (warning,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert f"cache file {path} is damaged" in warning.getMessage()
    assert decoded == ["train", "test"] * 2
    assert_equal(first, second)
    data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    assert decoded == ["train", "test"] * 2


def test_a_cache_that_cannot_be_written_is_only_a_warning(tmp_path, copy_dir, decoded, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "jaxnoise"):
        data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "file" / "cache")
    assert f"--cache_dir={tmp_path}/file/cache cannot be written" in caplog.text
    assert decoded == ["train", "test"]


def test_an_interrupted_write_leaves_no_cache(tmp_path, copy_dir, monkeypatch):
    def interrupt(file, **arrays):
        pathlib.Path(file).write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.load("toy", data_dir=copy_dir, cache_dir=tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".sha256"]


def test_default_folders_follow_the_environment(tmp_path, copy_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(copy_dir))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    data.load("toy")
    assert len(list((tmp_path / "xdg" / "jaxnoise").glob("toy-1.0.0-*.npz"))) == 1

    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    copy_dir.rename(tmp_path / "tensorflow_datasets")
    data.load("toy")
    assert len(list((tmp_path / ".cache" / "jaxnoise").glob("toy-1.0.0-*.npz"))) == 1


def test_a_set_that_can_be_prepared_is_prepared_once(tmp_path, decoded, caplog):
    content = synthetic.write_mnist(tmp_path / "manual")
    folders = {
        "data_dir": tmp_path / "tfds",
        "manual_dir": tmp_path / "manual",
        "cache_dir": tmp_path / "cache",
    }
    with caplog.at_level(logging.INFO, "jaxnoise"):
        first = data.load("mnist", **folders)
    assert f"preparing mnist 3.0.1 in {tmp_path / 'tfds'}, once" in caplog.text
    order = first.test_images[:, 0, 0, 0]
    np.testing.assert_array_equal(first.test_images, content["test"][0][order])
    np.testing.assert_array_equal(first.test_labels, content["test"][1][order])
    shutil.rmtree(tmp_path / "manual")
    assert_equal(first, data.load("mnist", **folders))
    assert decoded == ["train", "test"]


def test_cifar100_is_loaded_with_its_fine_labels(tmp_path):
    content = synthetic.write_cifar(tmp_path / "manual", "cifar100")
    dataset = data.load(
        "cifar100",
        data_dir=tmp_path / "tfds",
        manual_dir=tmp_path / "manual",
        cache_dir=tmp_path / "cache",
    )
    order = dataset.train_images[:, 0, 0, 0]
    np.testing.assert_array_equal(dataset.train_labels, content["train"][1][order])
    assert dataset.num_classes == 100 and dataset.class_names[42] == "fine_42"


# The validation split


def unbalanced_labels():
    rng = np.random.default_rng(0)
    return rng.permutation(np.repeat(np.arange(7), [40, 11, 101, 25, 9, 1, 64]))


@pytest.mark.parametrize("ratio", [0.05, 0.1, 0.29, 0.5, 0.999])
def test_each_class_gives_its_share(ratio):
    labels = unbalanced_labels()
    train, valid = splits.stratified(labels, ratio=ratio, num_classes=7)
    counts = np.bincount(labels)
    np.testing.assert_array_equal(
        np.bincount(labels[valid], minlength=7), [int(ratio * count) for count in counts]
    )
    np.testing.assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(len(labels)))


def test_the_first_of_each_class_in_one_shuffled_order_are_validation():
    """All of 1..N in one shuffled order; within a class, validation comes before training."""
    labels = unbalanced_labels()
    small = splits.stratified(labels, ratio=0.1, num_classes=7)
    large = splits.stratified(labels, ratio=0.4, num_classes=7)
    assert set(small[1]) < set(large[1])
    for label in range(7):
        shuffled = [
            np.concatenate([valid[labels[valid] == label], train[labels[train] == label]])
            for train, valid in (small, large)
        ]
        np.testing.assert_array_equal(*shuffled)


def test_the_split_is_the_same_in_every_run():
    labels = np.arange(20) % 2
    train, valid = splits.stratified(labels, ratio=0.25, num_classes=2)
    # Golden: every number that was ever published depends on it.
    assert valid.tolist() == [18, 1, 19, 8]
    assert train[:4].tolist() == [10, 17, 6, 13]
    again = splits.stratified(labels, ratio=0.25, num_classes=2)
    np.testing.assert_array_equal(train, again[0])


@pytest.mark.parametrize(("ratio", "sizes"), [(0.01, (20, 0)), (1.0, (0, 20))])
def test_an_empty_part_is_refused(ratio, sizes):
    with pytest.raises(InputError) as error:
        splits.stratified(np.arange(20) % 2, ratio=ratio, num_classes=2)
    assert str(error.value).startswith(
        f"--validation_ratio={ratio} leaves {sizes[0]} samples for training and {sizes[1]} for "
        "validation"
    )


@pytest.mark.parametrize("samples", [1, 20])
def test_ratio_0_leaves_all_for_training(samples):
    train, valid = splits.stratified(np.arange(samples) % 2, ratio=0.0, num_classes=2)
    assert sorted(train) == list(range(samples)) and len(valid) == 0
    assert train.dtype == valid.dtype == np.int64


# Real data


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real copies are not on this machine")
def test_real_fashion_mnist(tmp_path):
    dataset = data.load("fashion_mnist", data_dir=REAL, cache_dir=tmp_path)
    assert dataset.version == "3.0.1"
    assert dataset.train_images.shape == (60000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(dataset.train_labels), np.full(10, 6000))
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), np.full(10, 1000))
    assert dataset.class_names[9] == "Ankle boot"
    # The mean and standard deviation in common use for normalizing Fashion-MNIST.
    assert dataset.train_images.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert dataset.train_images.std() / 255 == pytest.approx(0.3530, abs=1e-4)
