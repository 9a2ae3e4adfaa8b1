"""A copy that is not what it was is refused, file by file, and never another."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import synthetic
import tensorflow_datasets as tfds

from jaxnoise.config import InputError
from jaxnoise.datasets import copy_digests, prepare, tfds_copy

LABELS = np.arange(30) % 5
PARTS = ["mnist-train", "mnist-test", "dataset_info.json", "features.json"]
PARTS_OF_TOY = ["toy-train", "toy-test", "dataset_info.json", "features.json", "label.labels.txt"]


def check(data_dir, cache, name="toy"):
    copy = tfds_copy.open_copy(name, data_dir=data_dir, manual_dir=None)
    return copy_digests.check(copy, cache)


def refusal(*arguments):
    with pytest.raises(InputError) as error:
        check(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def harm(folder, part):
    """Changes a byte where a description stays what it says, but for its bytes."""
    (path,) = folder.glob(f"{part}*")
    content = path.read_bytes()
    if path.suffix == ".json":
        path.write_bytes(content + b"\n")
    elif path.suffix == ".txt":
        path.write_bytes(b"x" + content[1:])
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    return path


@pytest.fixture
def own(tmp_path):
    """The folder of a copy prepared here."""
    synthetic.write_mnist(tmp_path / "manual")
    prepare.prepare("mnist", data_dir=tmp_path, manual_dir=tmp_path / "manual")
    (folder,) = (tmp_path / "mnist").iterdir()
    return folder


@pytest.fixture
def foreign(tmp_path):
    """The folder of one prepared by others."""
    features = {
        "image": tfds.features.Image(shape=(28, 28, 1)),
        "label": tfds.features.ClassLabel(names=list("abcde")),
    }
    images = synthetic.pictures(30, (28, 28, 1))
    return synthetic.write_copy(tmp_path, images, LABELS, features=features)


def test_digest_depends_on_content_alone(tmp_path, foreign):
    shutil.copytree(tmp_path / "toy", tmp_path / "b" / "toy")
    images = synthetic.pictures(30, (28, 28, 1), seed=1)
    synthetic.write_copy(tmp_path / "c", images, LABELS)
    places = (tmp_path, tmp_path / "b", tmp_path / "c")
    prints = [check(place, tmp_path / "cache") for place in places]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 16
    assert len(list((tmp_path / "cache").iterdir())) == 3  # each place has a list of its own


def test_sha256sum_reads_the_lists(tmp_path, own, foreign):
    check(tmp_path, tmp_path / "cache")
    (first_read,) = (tmp_path / "cache").iterdir()
    for folder, listing in ((own, copy_digests.LIST), (foreign, first_read)):
        done = subprocess.run(["sha256sum", "-c", listing], cwd=folder, capture_output=True)
        assert done.returncode == 0 and done.stdout.count(b": OK\n") >= 4


@pytest.mark.parametrize("part", PARTS)
def test_change_of_a_copy_prepared_here(part, own, tmp_path):
    assert check(tmp_path, tmp_path / "cache", "mnist") == check(tmp_path, tmp_path, "mnist")
    assert not (tmp_path / "cache").exists()
    path = harm(own, part)
    assert refusal(tmp_path, tmp_path / "cache", "mnist") == (
        f"changed data file {path}: its SHA-256 is not the one recorded when the copy was prepared "
        f"({own / 'SHA256SUMS'}); delete {own} and prepare or download it again"
    )


@pytest.mark.parametrize("part", PARTS_OF_TOY)
def test_change_of_a_copy_prepared_by_others(part, foreign, tmp_path):
    cache = tmp_path / "cache"
    before = check(tmp_path, cache)
    (first_read,) = cache.iterdir()
    os.utime(first_read, (86400 * 365, 86400 * 365))
    assert check(tmp_path, cache) == before
    path = harm(foreign, part)
    for _ in range(2):
        message = refusal(tmp_path, cache)
        assert message.startswith(
            f"changed data file {path}: its SHA-256 is not the one recorded on 1971-01-01, when "
            f"the copy was first read ({first_read}); to use it as it is now, delete "
            f"{first_read}; else replace the copy"
        )
    first_read.unlink()
    assert check(tmp_path, cache) != before
    check(tmp_path, cache)


def test_swapped_record_files(foreign, tmp_path):
    images = synthetic.pictures(30, (28, 28, 1), seed=1)
    other = synthetic.write_copy(tmp_path / "other", images, LABELS)
    check(tmp_path, tmp_path / "cache")
    (path,) = foreign.glob("toy-train*")
    shutil.copy(other / path.name, path)
    assert f"changed data file {path}" in refusal(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"no list", b"\xff\xfe", b"0" * 64 + b"  toy-train\n"])
def test_damaged_list(content, foreign, tmp_path):
    check(tmp_path, tmp_path / "cache")
    (first_read,) = (tmp_path / "cache").iterdir()
    first_read.write_bytes(content)
    assert f"delete {first_read}" in refusal(tmp_path, tmp_path / "cache")


def test_missing_files(foreign, tmp_path):
    check(tmp_path, tmp_path / "cache")
    for part, said in (("label.labels.txt", "missing"), ("toy-test", "cannot read")):
        (path,) = foreign.glob(f"{part}*")
        path.rename(path.with_name("elsewhere"))
        assert refusal(tmp_path, tmp_path / "cache").startswith(f"{said} data file {path}: ")
        path.with_name("elsewhere").rename(path)


def test_cache_that_cannot_be_written_is_only_a_warning(foreign, tmp_path, caplog):
    (tmp_path / "file").touch()
    check(tmp_path, tmp_path / "file" / "below")
    assert f"--cache_dir={tmp_path}/file/below cannot be written" in caplog.text
    assert f"later changes to {foreign} will not be noticed" in caplog.text
