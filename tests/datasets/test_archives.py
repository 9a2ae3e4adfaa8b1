"""Raw archives: what is read is what was written, and every kind of damage is named."""

import gzip

import numpy as np
import pytest
import synthetic

from jaxnoise.config import InputError
from jaxnoise.datasets import archives

CIFAR = {"cifar10": "cifar-10-binary.tar.gz", "cifar100": "cifar-100-binary.tar.gz"}


def read_mnist(folder):
    files = [file for pair in synthetic.IDX_FILES.values() for file in pair]
    return archives.READERS["mnist"]({file: folder / file for file in files})


def test_idx_is_read_as_written(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a.gz").write_bytes(gzip.compress(synthetic.idx(array)))
    np.testing.assert_array_equal(archives.read_idx(tmp_path / "a.gz", rank=3), array)


def test_mnist_is_read_as_written(tmp_path):
    content = synthetic.write_mnist(tmp_path)
    raw_data = read_mnist(tmp_path)
    for split, (images, labels) in content.items():
        np.testing.assert_array_equal(raw_data.images[split], images)
        np.testing.assert_array_equal(raw_data.labels[split]["label"], labels)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_as_written(tmp_path, name):
    content = synthetic.write_cifar(tmp_path, name)
    raw_data = archives.READERS[name]({CIFAR[name]: tmp_path / CIFAR[name]})
    for split, (images, labels) in content.items():
        np.testing.assert_array_equal(raw_data.images[split], images)
        np.testing.assert_array_equal(raw_data.labels[split]["label"], labels)
    if name == "cifar10":
        assert raw_data.class_names == {"label": list(synthetic.CIFAR10_NAMES)}
    else:
        coarse = raw_data.labels["train"]["coarse_label"]
        np.testing.assert_array_equal(coarse, content["train"][1] // 5)
        assert raw_data.class_names["coarse_label"][3] == "coarse_3"
        assert raw_data.class_names["label"][99] == "fine_99"


IMAGES, LABELS = synthetic.IDX_FILES["train"]
ARRAY = np.zeros((3, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (IMAGES, b"", "magic number , expected 00000803"),
        (IMAGES, b"\0\0\x08\x03\0\0", "instead of an array of shape"),
        (IMAGES, synthetic.idx(ARRAY)[:-1], "2367 bytes instead of an array of shape (3, 28, 28)"),
        (IMAGES, synthetic.idx(ARRAY) + b"\0", "instead of an array of shape"),
        (IMAGES, synthetic.idx(ARRAY, dtype_code=9), "magic number 00000903, expected 00000803"),
        (IMAGES, synthetic.idx(np.zeros(3, np.uint8)), "magic number 00000801"),
        (
            IMAGES,
            synthetic.idx(np.zeros((40, 32, 32), np.uint8)),
            "pictures are 32x32, expected 28x28",
        ),
        (LABELS, synthetic.idx(np.zeros(39, np.uint8)), "39 labels for 40 pictures"),
        (LABELS, synthetic.idx(np.full(40, 10, np.uint8)), "label 10 is outside [0, 10)"),
    ],
)
def test_wrong_idx_content_is_named(tmp_path, file, content, message):
    synthetic.write_mnist(tmp_path)
    (tmp_path / file).write_bytes(gzip.compress(content))
    with pytest.raises(InputError) as error:
        read_mnist(tmp_path)
    assert f"damaged data file {tmp_path / file}: " in str(error.value)
    assert message in str(error.value)


def damage_archive(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "flipped":
        content[len(content) // 2] ^= 0xFF
    elif how == "wrong checksum":
        content[-8] ^= 0xFF  # the CRC-32 of a gzip file is the first half of its last eight bytes
    else:
        content = b"<html>not found</html>"
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["truncated", "flipped", "wrong checksum", "no gzip"])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_damaged_archive_is_named(tmp_path, name, how):
    if name == "mnist":
        synthetic.write_mnist(tmp_path)
        path = tmp_path / IMAGES
        damage_archive(path, how)
        with pytest.raises(InputError) as error:
            read_mnist(tmp_path)
    else:
        synthetic.write_cifar(tmp_path, name)
        path = tmp_path / CIFAR[name]
        damage_archive(path, how)
        with pytest.raises(InputError) as error:
            archives.READERS[name]({CIFAR[name]: path})
    assert f"damaged data file {path}: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("cifar-10-batches-bin/data_batch_3.bin", None, "it does not contain data_batch_3.bin"),
        ("cifar-10-batches-bin/batches.meta.txt", None, "it does not contain batches.meta.txt"),
        (
            "cifar-10-batches-bin/test_batch.bin",
            b"\0" * 3072,
            "does not consist of records of 3073 bytes",
        ),
        ("cifar-10-batches-bin/test_batch.bin", b"\x0a" + b"\0" * 3072, "label 10 is outside"),
        (
            "cifar-10-batches-bin/batches.meta.txt",
            b"cat\ndog\n",
            "does not contain 10 different class names",
        ),
        (
            "cifar-10-batches-bin/batches.meta.txt",
            b"cat\n" * 10,
            "does not contain 10 different class names",
        ),
    ],
)
def test_wrong_cifar_content_is_named(tmp_path, member, content, message):
    members, _ = synthetic.cifar_members("cifar10")
    if content is None:
        del members[member]
    else:
        members[member] = content
    path = tmp_path / CIFAR["cifar10"]
    synthetic.write_tar(path, members)
    with pytest.raises(InputError) as error:
        archives.READERS["cifar10"]({path.name: path})
    assert f"damaged data file {path}: " in str(error.value)
    assert message in str(error.value)


def test_a_gzip_file_that_is_no_tar_is_named(tmp_path):
    path = tmp_path / CIFAR["cifar10"]
    path.write_bytes(gzip.compress(b"no tar" * 500))
    with pytest.raises(InputError, match="damaged data file .*cifar-10-binary"):
        archives.READERS["cifar10"]({path.name: path})
