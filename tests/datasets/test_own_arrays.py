"""Arrays of a user's own: their names, what is refused, and the file that keeps them."""

import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from places import ROOT

import jaxnoise
from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.datasets.resizing import Resizing
from jaxnoise.labels import noisy_dataset


def given(channels=None, sides=(16, 20), classes=3):
    """30 random pictures for training and 12 for testing, of labels in turn."""
    rng, last = np.random.default_rng(0), () if channels is None else (channels,)
    arrays = {}
    for split, number in (("train", 30), ("test", 12)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (number, *sides, *last), dtype=np.uint8)
        arrays[f"y_{split}"] = np.arange(number) % classes
    return arrays


def made(**changed):
    return jaxnoise.Arrays(**given() | changed)


def validation():
    return {"x_valid": given()["x_test"][:9], "y_valid": given()["y_test"][:9]}


@pytest.mark.parametrize(("step", "told"), [(3, False), (16, True), (255, True)])
def test_dark_images_are_told(step, told, caplog):
    """As scikit-learn's digits are, of values from 0 to 16, and masks."""
    images = {name: of // step for name, of in given().items() if name.startswith("x")}
    with caplog.at_level(logging.WARNING, "jaxnoise"):
        made(**images)
    top = 255 // step
    assert (f"above {top}, and white is 255; of values from 0 to {top}, np." in caplog.text) == told


# The name


def test_equal_content_has_one_name_whatever_holds_it():
    arrays = given()
    first = made(name="a-B_9")
    assert re.fullmatch("arrays:a-B_9@[0-9a-f]{16}", first.dataset)
    Config(dataset=first.dataset)
    for same in (
        {"x_train": arrays["x_train"][..., None]},
        {"x_train": np.asfortranarray(arrays["x_train"])},
        {"x_train": np.concatenate([arrays["x_train"]] * 2)[:30]},
        {"y_train": arrays["y_train"].astype(np.uint8), "y_test": arrays["y_test"].tolist()},
        {"class_names": ["0", "1", "2"]},
    ):
        assert made(name="a-B_9", **same).dataset == first.dataset


def test_any_other_content_has_another_name():
    arrays, rng = given(), np.random.default_rng(1)
    found = [made().dataset, made(name="other").dataset]
    for split in ("train", "test"):
        images = arrays[f"x_{split}"]
        for _ in range(10):  # one pixel, by one bit
            other = images.copy()
            other[tuple(rng.integers(0, images.shape))] ^= 1
            found.append(made(**{f"x_{split}": other}).dataset)
        other = arrays[f"y_{split}"].copy()
        other[-1] = (other[-1] + 1) % 3
        found.append(made(**{f"y_{split}": other}).dataset)
        reverse = {name: arrays[name][::-1] for name in (f"x_{split}", f"y_{split}")}
        found.append(made(**reverse).dataset)
    found.append(made(class_names=["a", "b", "c"]).dataset)
    found.append(made(class_names=["b", "a", "c"]).dataset)
    found.append(made(**validation()).dataset)
    found.append(jaxnoise.Arrays(**given(sides=(20, 16))).dataset)
    assert len({*found}) == len(found)
    configs = [Config(dataset=name) for name in found]
    assert len({config.fingerprint for config in configs}) == len(found)
    # Tables name data sets by this word.
    assert len({config.dataset_name for config in configs}) == len(found)
    assert all(re.fullmatch(r"[\w@-]+", config.dataset_name) for config in configs)


def test_the_name_decides_no_default():
    """`mnist` in the name of another data set brings MNIST's losses; here it is the user's word."""
    config = Config(dataset="arrays:cifar100_mnist@0123456789abcdef", loss="sce")
    assert config.network == "lenet"
    own = Config(dataset="folder:x", loss="sce")
    assert config.loss_settings == own.loss_settings


def test_later_changes_of_the_arrays_do_not_matter(tmp_path):
    arrays = given()
    kept = jaxnoise.Arrays(**arrays)
    arrays["x_train"][:] = 0
    arrays["y_train"][:] = 0
    dataset = data.load(kept.keep(tmp_path), cache_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images[..., 0], given()["x_train"])
    np.testing.assert_array_equal(dataset.train_labels, given()["y_train"])


@pytest.mark.parametrize(
    "dataset",
    [
        "arrays:", "arrays:x", "arrays:@0123456789abcdef", "arrays:x@0123", "arrays:x/y",
        "arrays:x@0123456789ABCDEF", "arrays:../x@0123456789abcdef", "arrays:x@0123456789abcdef0",
    ],
)  # fmt: skip
def test_other_spellings_are_refused(dataset):
    with pytest.raises(InputError, match=r"^--dataset=arrays:.*allowed is arrays:NAME@DIGEST"):
        Config(dataset=dataset)


def test_it_takes_no_jax():
    told = subprocess.run(
        [sys.executable, "-c", "import sys, jaxnoise; jaxnoise.Arrays; print(*sys.modules)"],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert not {"jax", "tensorflow_datasets"} & set(told.stdout.split())


# What is refused

X = given()["x_train"]
Y = given()["y_train"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"x_train": X / 255},
            "x_train is float64 of shape (30, 16, 20); allowed is uint8 in [0, 255]; of values in "
            "[0, 1], np.rint(255 * x_train).astype(np.uint8) makes it",
        ),
        (
            {"x_test": X.astype(int)},
            "x_test is int64 of shape (30, 16, 20); allowed is uint8 in [0, 255]; of values in "
            "[0, 255], x_test.astype(np.uint8) makes it",
        ),
        (
            {"x_train": X > 0},
            "x_train is bool of shape (30, 16, 20); allowed is uint8 in [0, 255]",
        ),
        (
            {"x_train": X[:, :15]},
            "x_train is uint8 of shape (30, 15, 20); allowed is (N, H, W) or (N, H, W, C), with N "
            "at least 1, H and W from 16 to 128, and C 1 or 3",
        ),
        (
            {"x_train": X.repeat(7, axis=2)},
            "x_train is uint8 of shape (30, 16, 140); allowed is (N, H, W) or",
        ),
        (
            {"x_train": X[:, None].repeat(3, axis=1)},
            "C 1 or 3; np.moveaxis(x_train, 1, 3) puts the channels last",
        ),
        ({"x_train": X[..., None].repeat(2, axis=3)}, "of shape (30, 16, 20, 2); allowed is"),
        ({"x_train": X.reshape(30, -1)}, "of shape (30, 320); allowed is (N, H, W)"),
        ({"x_test": X[:0], "y_test": Y[:0]}, "x_test is uint8 of shape (0, 16, 20); allowed is"),
        ({"x_test": X[:12, :, :16]}, "x_test has images of shape (16, 16, 1); allowed is (16, 20"),
        ({"x_train": [[1, 2], [3]]}, "x_train is no array ("),
        ({"x_train": None}, "x_train is object of shape (); allowed is uint8"),
        (
            {"y_train": Y.astype(float)},
            "y_train is float64 of shape (30,); allowed are whole numbers (int or uint) of shape "
            "(30,), one for each image",
        ),
        ({"y_test": Y[:12] > 0}, "y_test is bool of shape (12,); allowed are whole numbers"),
        ({"y_train": Y[:29]}, "y_train is int64 of shape (29,); allowed are whole numbers"),
        ({"y_train": Y[:, None]}, "one for each image; y_train[:, 0] makes it"),
        (
            {"y_train": np.eye(3, dtype=int)[Y]},
            "one for each image; if they are one-hot, y_train.argmax(axis=1) makes it",
        ),
        ({"y_train": np.array(list("abc"))[Y]}, "y_train is <U1 of shape (30,); allowed are whole"),
        ({"y_train": Y - 1}, "y_train has the label -1; allowed is 0 to 1"),
        ({"y_test": Y[:12] + 1}, "y_test has the label 3; allowed is 0 to 2"),
        ({"y_train": Y, "class_names": "ab"}, "class_names='ab': allowed are two or more diff"),
        ({"y_train": Y, "class_names": ["a", "b"]}, "y_train has the label 2; allowed is 0 to 1"),
        (
            {"y_train": Y + 1},
            "y_train: no label is 0; allowed are labels from 0 to 3, each of them on one image or "
            "more; of labels from 1 on, y_train - 1 makes them",
        ),
        ({"y_train": Y * 2}, "y_train: no label is 1; allowed are labels from 0 to 4, each"),
        ({"y_train": Y * 10**9}, "y_train: no label is 1; allowed are labels from 0 to 2000000000"),
        (
            {"y_train": Y.astype(np.uint64) << np.uint64(62)},
            "y_train: no label is 1; allowed are labels from 0",
        ),
        ({"class_names": list("abcd")}, "y_train: no label is 3; allowed are labels from 0 to 3"),
        ({"y_train": Y * 0, "y_test": Y[:12] * 0}, "y_train: all labels are 0; allowed are"),
        ({"class_names": ["a", "a", "b"]}, "class_names=['a', 'a', 'b']: allowed are two or more"),
        ({"class_names": ["a", " ", "b"]}, "class_names=['a', ' ', 'b']: allowed are two or"),
        ({"class_names": ["a", "\ud800", "b"]}, "none of them empty or with control characters"),
        ({"class_names": [0, 1, 2]}, "class_names=[0, 1, 2]: allowed are two or more different t"),
        ({"class_names": 3}, "class_names=3: allowed are two or more different texts"),
        ({"name": "my data"}, "name='my data': allowed is a word of 1 to 60 ASCII letters, digit"),
        ({"name": "../x"}, "name='../x': allowed is a word"),
        ({"name": "x" * 61}, ": allowed is a word of 1 to 60"),
        ({"name": ""}, "name='': allowed is a word"),
        ({"name": None}, "name=None: allowed is a word"),
        ({"x_valid": X}, "x_valid without y_valid: allowed are both, or none"),
        ({"y_valid": Y}, "y_valid without x_valid: allowed are both, or none"),
        ({"x_valid": X[:9], "y_valid": Y[:8]}, "y_valid is int64 of shape (8,); allowed are whole"),
        ({"x_valid": X[:9], "y_valid": Y[:9] + 1}, "y_valid has the label 3; allowed is 0 to 2"),
    ],
)
def test_what_is_no_data_set_is_told_in_one_line(changed, said):
    with pytest.raises(InputError) as refusal:
        made(**changed)
    told = str(refusal.value)
    assert said in told and "\n" not in told
    if not said.startswith(("of shape", "C 1", "one for", "none of", ":")):
        assert told.startswith(said)


# The file


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_what_is_kept_is_read(channels, tmp_path):
    arrays = given(channels)
    kept = jaxnoise.Arrays(**arrays, class_names=["cat", "dög", "elk"], name="pets")
    assert kept.keep(tmp_path) == kept.dataset
    dataset = data.load(kept.dataset, cache_dir=tmp_path)
    shape = (16, 20, channels or 1)
    for split in ("train", "test"):
        images, labels = (getattr(dataset, f"{split}_{x}") for x in ("images", "labels"))
        assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(images, arrays[f"x_{split}"].reshape(-1, *shape))
        np.testing.assert_array_equal(labels, arrays[f"y_{split}"])
    assert dataset.class_names == kept.class_names == ("cat", "dög", "elk")
    assert dataset.valid_size == 0 and dataset.resized == ""
    assert [path.name for path in (tmp_path / "arrays").iterdir()] == [
        f"{kept.dataset.removeprefix('arrays:')}.npz"
    ]


def test_the_digest_is_that_of_other_data_sets(tmp_path):
    digits = data.load("digits")
    parts = (getattr(digits, f"{x}_{y}") for x in ("train", "test") for y in ("images", "labels"))
    kept = jaxnoise.Arrays(*parts)
    assert data.load(kept.keep(tmp_path), cache_dir=tmp_path).sha256 == digits.sha256


def test_nothing_is_written_twice(tmp_path):
    kept = made()
    kept.keep(tmp_path)
    (path,) = (tmp_path / "arrays").iterdir()
    os.utime(path, (1, 1))
    made().keep(tmp_path)
    assert path.stat().st_mtime == 1 and len(list((tmp_path / "arrays").iterdir())) == 1


def damage_bytes(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_size(path):
    path.write_bytes(path.read_bytes()[:1000])


def put_another(path):
    """A whole file, of other arrays."""
    made(class_names=["a", "b", "c"]).keep(path.parents[1])
    (other,) = (x for x in path.parent.iterdir() if x != path)
    other.replace(path)


def put_one_array(path):
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize("harm", [damage_bytes, damage_size, put_another, put_one_array])
def test_damage_is_noticed_and_undone(harm, tmp_path, caplog):
    kept = made()
    kept.keep(tmp_path)
    (path,) = (tmp_path / "arrays").iterdir()
    whole = data.load(kept.dataset, cache_dir=tmp_path)
    harm(path)
    with pytest.raises(InputError) as refusal:
        data.load(kept.dataset, cache_dir=tmp_path)
    told = str(refusal.value)
    assert told.startswith(f"--dataset={kept.dataset}: {path} is damaged (")
    assert "jaxnoise.Arrays(...).keep(cache_dir) writes it anew" in told and "\n" not in told
    with caplog.at_level(logging.WARNING):
        kept.keep(tmp_path)
    assert f"{path} is damaged" in caplog.text
    again = data.load(kept.dataset, cache_dir=tmp_path)
    assert again.sha256 == whole.sha256
    np.testing.assert_array_equal(again.train_images, whole.train_images)


def test_a_missing_file_is_told(tmp_path):
    kept = made()
    with pytest.raises(InputError) as refusal:
        data.load(kept.dataset, cache_dir=tmp_path)
    path = tmp_path / "arrays" / f"{kept.dataset.removeprefix('arrays:')}.npz"
    assert str(refusal.value) == (
        f"--dataset={kept.dataset}: there is no file {path}; in Python, "
        "jaxnoise.Arrays(...).keep(cache_dir) writes it anew from the same arrays, as does "
        "run(config, data=...); allowed is also another --cache_dir, where it is"
    )


@pytest.mark.parametrize("in_the_way", ["arrays", ""])
def test_a_folder_that_cannot_be_written_is_told(in_the_way, tmp_path):
    cache = tmp_path / "cache"
    if in_the_way:
        cache.mkdir()
    (cache / in_the_way).write_text("a file")
    with pytest.raises(InputError, match=rf"^--cache_dir={cache}: .* cannot be written: .*allowed"):
        made().keep(cache)


# As a data set


def test_sizes_are_brought_to_one(tmp_path):
    for channels in (None, 3):
        arrays = given(channels)
        kept = jaxnoise.Arrays(**arrays, **validation() if channels is None else {})
        kept.keep(tmp_path)
        for _ in range(2):  # made, and from the cache
            dataset = data.load(kept.dataset, cache_dir=tmp_path, image_size=32)
            assert dataset.train_images.shape[1:] == (32, 32, channels or 1)
            many = 51 if channels is None else 42
            assert dataset.resized == (
                f"--image_size=32: {many} of {many} images brought to 32x32: {many} of 16x20"
            )
            assert dataset.train_labels[:30].tolist() == arrays["y_train"].tolist()
        expected = np.asarray(Resizing(32)(Image.fromarray(arrays["x_train"][3])))
        np.testing.assert_array_equal(dataset.train_images[3].squeeze(), expected)


def test_a_validation_part_of_its_own_is_used_as_it_is(tmp_path):
    own = validation()
    kept = made(**own)
    kept.keep(tmp_path)
    settings = dict(dataset=kept.dataset, batch_size=4, cache_dir=str(tmp_path))
    what = noisy_dataset.load(Config(**settings))
    assert [int((what.split == i).sum()) for i in range(3)] == [30, 9, 12]
    np.testing.assert_array_equal(what.images[what.split == 1][..., 0], own["x_valid"])
    np.testing.assert_array_equal(what.labels[what.split == 1], own["y_valid"])
    with pytest.raises(InputError, match=r"^--validation_ratio=0.2: .* whose own validation part"):
        noisy_dataset.load(Config(**settings, validation_ratio=0.2))


def test_flip_maps_of_known_classes_are_refused(tmp_path):
    kept = made(name="cifar10")
    kept.keep(tmp_path)
    settings = dict(dataset=kept.dataset, noise_type="flip_noise", noise_rate=0.4, batch_size=4)
    with pytest.raises(InputError, match=r"^--flip_map=paper: not defined for --dataset=arrays:"):
        noisy_dataset.load(Config(**settings, cache_dir=str(tmp_path)))
