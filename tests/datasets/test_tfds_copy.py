"""Prepared copies: what fits is decoded bit by bit, what does not ends in a clear error."""

import json
import os
import re
import shutil
import types

import numpy as np
import pytest
import synthetic
import tensorflow_datasets as tfds
from PIL import Image
from places import REAL

from jaxnoise.config import InputError
from jaxnoise.datasets import prepare, tfds_copy

LABELS = np.arange(30) % 5


def open_copy(data_dir, name="toy"):
    return tfds_copy.open_copy(name, data_dir=data_dir, manual_dir=None)


def open_error(data_dir, name="toy"):
    with pytest.raises(InputError) as error:
        open_copy(data_dir, name)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("wrong", ["tfds/mnist", "tfds/mnist/3.0.1", "."])
def test_a_directory_one_level_off_is_told_where_the_copy_is(wrong, tmp_path, monkeypatch):
    def out_of_reach(*_, **__):
        raise InputError("--dataset=mnist: out of reach")

    synthetic.write_mnist(tmp_path / "raw")
    right = tmp_path / "tfds"
    tfds_copy.open_copy("mnist", data_dir=right, manual_dir=tmp_path / "raw")
    monkeypatch.setattr(prepare, "prepare", out_of_reach)
    said = open_error(tmp_path / wrong, "mnist")
    assert said == f"--dataset=mnist: out of reach (there is a copy in --data_dir={right})"
    elsewhere = tmp_path / "tfds" / "mnist" / "3.0.1" / "far"
    assert open_error(elsewhere, "mnist") == "--dataset=mnist: out of reach"


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (28, 32, 1), (32, 32, 3), (16, 16, 3), (128, 128, 1)]
)
def test_pictures_are_decoded_bit_by_bit(tmp_path, shape):
    images = synthetic.pictures(30, shape)
    synthetic.write_copy(tmp_path, images, LABELS)
    copy = open_copy(tmp_path)
    for split in ("train", "test"):
        decoded, labels = tfds_copy.decode(copy, split)
        assert decoded.dtype == np.uint8 and decoded.shape == (30, *shape)
        assert labels.dtype == np.int32 and labels.shape == (30,)
        order = decoded[:, 0, 0, 0]
        assert sorted(order) == list(range(30))
        np.testing.assert_array_equal(decoded, images[order])
        np.testing.assert_array_equal(labels, LABELS[order])


def test_pictures_are_what_tfds_itself_decodes(tmp_path):
    synthetic.write_copy(tmp_path, synthetic.pictures(30, (32, 32, 3)), LABELS)
    copy = open_copy(tmp_path)
    decoded, labels = tfds_copy.decode(copy, "train")
    for i, example in enumerate(copy.as_data_source("train")):
        np.testing.assert_array_equal(decoded[i], example["image"])
        assert labels[i] == example["label"]


def test_palette_and_jpeg_pictures_are_read(tmp_path):
    flat = np.full((30, 32, 32, 3), 128, np.uint8)  # a flat grey survives both encodings
    synthetic.write_copy(tmp_path / "gif", flat, LABELS, encode_format="GIF")
    synthetic.write_copy(tmp_path / "jpeg", flat, LABELS, encode_format="JPEG")
    for folder in ("gif", "jpeg"):
        decoded, _ = tfds_copy.decode(open_copy(tmp_path / folder), "train")
        np.testing.assert_array_equal(decoded, flat)


@pytest.mark.parametrize("name", ["nope", "toy", "../mnist", "mnist:3.0.1", "web:mnist", "a b", ""])
def test_unknown_data_set(tmp_path, name):
    message = open_error(tmp_path, name)
    assert message.startswith(f"--dataset={name} is unknown; allowed are digits, mnist, fashion_mn")


def test_unknown_configuration(tmp_path):
    message = open_error(tmp_path, "emnist/nope")
    assert message.startswith("--dataset=emnist/nope: TFDS cannot open it")


def test_data_dir_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    assert open_error(tmp_path / "file") == f"--data_dir={tmp_path}/file is not a folder"


@pytest.mark.parametrize("name", ["kmnist", "emnist/balanced"])
def test_unprepared_set_that_only_tensorflow_prepares(tmp_path, name):
    message = open_error(tmp_path, name)
    assert message.startswith(f"--dataset={name}: there is no copy in --data_dir={tmp_path}")
    assert message.endswith(f"tfds build {name} --data_dir={tmp_path} --file_format=array_record")


FEATURES = {
    "image": tfds.features.Image(shape=(28, 28, 1)),
    "label": tfds.features.ClassLabel(num_classes=10),
}


@pytest.mark.parametrize(
    ("features", "what"),
    [
        ({"image": FEATURES["image"]}, "it has no feature `label`"),
        ({"label": FEATURES["label"]}, "it has no feature `image`"),
        (
            FEATURES | {"label": tfds.features.Scalar(np.int64)},
            "its `label` is not of type ClassLabel",
        ),
        (FEATURES | {"image": tfds.features.Text()}, "its `image` is not of type Image"),
        (
            FEATURES | {"image": tfds.features.Image(shape=(28, 28, 4))},
            "its pictures are uint8 28x28x4",
        ),
        (
            FEATURES | {"image": tfds.features.Image(shape=(28, 28, 1), dtype=np.uint16)},
            "its pictures are uint16 28x28x1",
        ),
    ],
)
def test_set_that_does_not_fit(tmp_path, features, what):
    synthetic.write_copy(
        tmp_path, synthetic.pictures(3, (28, 28, 1)), LABELS[:3], features=features
    )
    assert open_error(tmp_path) == (
        f"--dataset=toy is not supported: {what}; required are a grey or RGB uint8 `image` from "
        "16x16 to 128x128 and a class `label`"
    )


@pytest.mark.parametrize(
    ("shape", "size"),
    [((None, None, 3), "anyxanyx3"), ((15, 16, 1), "15x16x1"), ((128, 129, 3), "128x129x3")],
)
def test_sizes_that_do_not_fit_are_refused_with_the_way_out(tmp_path, shape, size):
    features = FEATURES | {"image": tfds.features.Image(shape=shape)}
    images = synthetic.pictures(3, [side or 28 for side in shape])
    synthetic.write_copy(tmp_path, images, LABELS[:3], features=features)
    assert open_error(tmp_path) == (
        f"--dataset=toy is not supported: its pictures are uint8 {size}; required are a grey or "
        "RGB uint8 `image` from 16x16 to 128x128 and a class `label`; --image_size brings others "
        "to one size"
    )
    tfds_copy.open_copy("toy", data_dir=tmp_path, manual_dir=None, any_size=True)


def test_other_channels_are_refused_at_any_size(tmp_path):
    features = FEATURES | {"image": tfds.features.Image(shape=(28, 28, 4))}
    images = synthetic.pictures(3, (28, 28, 4))
    synthetic.write_copy(tmp_path, images, LABELS[:3], features=features)
    with pytest.raises(
        InputError, match="uint8 28x28x4; required are a grey or RGB uint8 `image` and a"
    ):
        tfds_copy.open_copy("toy", data_dir=tmp_path, manual_dir=None, any_size=True)


@pytest.mark.parametrize(("present", "missing"), [("train", "test"), ("test", "train")])
def test_set_without_a_split(tmp_path, present, missing):
    images = synthetic.pictures(30, (28, 28, 1))
    synthetic.write_copy(tmp_path, images, LABELS, splits=(present,))
    assert open_error(tmp_path) == (
        f"--dataset=toy is not supported: it has no {missing} split, only {present}; train and "
        "test are required"
    )


@pytest.fixture
def toy(tmp_path):
    """The folder of a copy of five classes, for a test to damage."""
    images = synthetic.pictures(30, (28, 28, 1))
    return synthetic.write_copy(tmp_path, images, LABELS, num_classes=5)


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_copy_that_only_tensorflow_reads(tmp_path, toy):
    replace_in(toy / "dataset_info.json", '"array_record"', '"tfrecord"')
    message = open_error(tmp_path)
    assert message == (
        f"--data_dir={tmp_path}: its copy of toy is in the format tfrecord, which only TensorFlow "
        "reads; allowed is another folder, with an array_record copy"
    )
    # For a set that can be prepared here, an empty folder is a way out too.
    mnist = tmp_path / "mnist" / "3.0.1"
    shutil.copytree(toy, mnist)
    replace_in(mnist / "dataset_info.json", '"name": "toy"', '"name": "mnist"')
    replace_in(mnist / "dataset_info.json", '"1.0.0"', '"3.0.1"')
    assert open_error(tmp_path, "mnist").endswith("copy (an empty folder will get one)")


def test_copy_without_its_description(tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    message = open_error(tmp_path, "mnist")
    assert message == f"damaged copy {folder}: TFDS's dataset_info.json is missing; delete it"


def test_copy_with_a_damaged_description(tmp_path, toy):
    info = toy / "dataset_info.json"
    info.write_text(info.read_text()[:-20])
    assert f"--dataset=toy: TFDS cannot open it in --data_dir={tmp_path}" in open_error(tmp_path)


def record_file(folder, split):
    (path,) = folder.glob(f"toy-{split}.array_record*")
    return path


def decode_error(data_dir, path):
    with pytest.raises(InputError) as error:
        tfds_copy.decode(open_copy(data_dir), "train")
    message = str(error.value)
    assert message.startswith(f"damaged data file {path}")
    assert message.endswith("; delete the copy and prepare it again")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("how", ["truncated", "empty"])
def test_damaged_record_file(tmp_path, toy, how):
    path = record_file(toy, "train")
    os.truncate(path, path.stat().st_size // 2 if how == "truncated" else 0)
    decode_error(tmp_path, path)


def test_damaged_record_is_named(tmp_path, toy):
    path = record_file(toy, "train")
    content = path.read_bytes()
    at = -1
    for _ in range(4):
        at = content.index(b"\x89PNG", at + 1)
    at += 40  # inside the fourth picture
    path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
    assert f"{path}, record 3: " in decode_error(tmp_path, path)


def test_picture_that_is_none_is_named(tmp_path, monkeypatch):
    def save(image, file, *_, save=Image.Image.save):
        save(image, file, "PNG")
        if image.getpixel((0, 0)) == 7:
            file.seek(0)
            file.write(b"not a picture")

    monkeypatch.setattr(Image.Image, "save", save)
    folder = synthetic.write_copy(tmp_path, synthetic.pictures(30, (28, 28, 1)), LABELS)
    path = record_file(folder, "train")
    message = decode_error(tmp_path, path)
    assert re.search(r", record \d+: cannot identify image file", message)


def test_file_and_record_of_a_sample():
    info = types.SimpleNamespace(filepaths=["a", "b", "c"], shard_lengths=[3, 0, 2])
    found = [tfds_copy._place(info, i) for i in range(5)]
    assert found == [("a", 0), ("a", 1), ("a", 2), ("c", 0), ("c", 1)]


def test_label_out_of_range(tmp_path, toy):
    replace_in(toy / "features.json", '"numClasses": "5"', '"numClasses": "4"')
    (toy / "label.labels.txt").write_text("0\n1\n2\n3\n")
    message = decode_error(tmp_path, record_file(toy, "train"))
    assert re.search(r", record \d+: label 4 is outside \[0, 4\);", message)


def test_picture_of_another_size_than_described(tmp_path, toy):
    features = json.loads((toy / "features.json").read_text())
    features["featuresDict"]["features"]["image"]["image"]["shape"]["dimensions"][0] = "30"
    (toy / "features.json").write_text(json.dumps(features))
    message = decode_error(tmp_path, record_file(toy, "train"))
    assert "cannot reshape array of size 784 into shape (30,28,1)" in message


@pytest.mark.parametrize("told", [29, 31])
def test_another_number_of_records_than_described(told, tmp_path, toy):
    replace_in(toy / "dataset_info.json", '"30"', f'"{told}"')
    message = decode_error(tmp_path, record_file(toy, "train"))
    assert f": 30 records, but dataset_info.json lists {told};" in message


def test_other_records_than_described(tmp_path, toy):
    size = int(open_copy(tmp_path).info.splits["train"].num_bytes)
    replace_in(toy / "dataset_info.json", f'"{size}"', f'"{size + 1}"')
    message = decode_error(tmp_path, record_file(toy, "train"))
    assert f": {size} bytes of records, but dataset_info.json lists {size + 1};" in message


def test_labels_that_a_set_has_not(tmp_path, toy):
    with pytest.raises(InputError, match=f"^{toy}: its samples have no feature `worse_label`$"):
        tfds_copy.read_labels(open_copy(tmp_path), "train", ["label", "worse_label"])


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real copies are not on this machine")
@pytest.mark.parametrize(
    ("name", "shape"), [("fashion_mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))]
)
def test_real_test_split(name, shape):
    images, labels = tfds_copy.decode(open_copy(REAL, name), "test")
    assert images.shape == (10000, *shape)
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 1000))
