"""--image_size from files to a run's pictures: what is brought to one size, and what is refused."""

import dataclasses

import numpy as np
import pytest
import synthetic
import tensorflow_datasets as tfds
from own_pictures import write_class, write_folder, write_splits
from PIL import Image

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.datasets.resizing import resized
from jaxnoise.labels import noisy_dataset

LABELS = np.arange(30) % 5


def load(root, cache, **settings):
    return data.load(f"folder:{root}", cache_dir=cache, **settings)


@pytest.fixture
def mixed(tmp_path):
    """41 pictures in train and test: 33 of 28×28, and dogs of 40×30 and 8×100."""
    root = write_splits(tmp_path / "own")
    for split, shape in (("train", (40, 30)), ("test", (8, 100))):
        for path in (root / split / "dog").iterdir():
            path.unlink()
        (root / split / "dog").rmdir()
        write_class(root / split / "dog", 5 if split == "train" else 1, shape=shape)
    return root


def save(root, image, file="train/cat/00.png"):
    image.save(root / file)
    return root


# The range


@pytest.mark.parametrize("shape", [(16, 16), (128, 128, 3), (16, 128), (64, 65, 3)])
def test_pictures_from_16_to_128_pixels_are_used_as_stored(shape, tmp_path):
    dataset = load(write_splits(tmp_path / "own", shape=shape), tmp_path / "cache")
    assert dataset.train_images.shape[1:3] == shape[:2] and dataset.resized == ""


@pytest.mark.parametrize("shape", [(15, 16), (16, 15), (128, 129), (129, 128)])
def test_others_are_refused_with_the_way_out(shape, tmp_path):
    root = write_splits(tmp_path / "own", shape=shape)
    size = f"{shape[0]}x{shape[1]}"
    with pytest.raises(InputError) as refusal:
        load(root, tmp_path / "cache")
    assert str(refusal.value) == (
        f"--dataset=folder:{root}: {root}/train/cat/00.png is {size} grey; allowed are 8-bit grey "
        "(mode L) or RGB pictures from 16x16 to 128x128, all of one kind, and --image_size, which "
        "brings all to one size"
    )
    assert load(root, tmp_path / "cache", image_size=16).train_images.shape == (35, 16, 16, 1)


@pytest.mark.parametrize("size", [15, 129, 0])
def test_sizes_out_of_the_range_are_refused(size):
    with pytest.raises(InputError, match=rf"^--image_size={size}: allowed is \[16, 128\]$"):
        Config(image_size=size)


# Class folders


def test_mixed_sizes_are_refused_with_the_way_out(mixed, tmp_path):
    with pytest.raises(InputError) as refusal:
        load(mixed, tmp_path / "cache")
    assert str(refusal.value) == (
        f"--dataset=folder:{mixed}: {mixed}/train/dog/00.png is 40x30 grey, "
        f"{mixed}/train/cat/00.png is 28x28 grey; allowed are 8-bit grey (mode L) or RGB pictures "
        "from 16x16 to 128x128, all of one kind, and --image_size, which brings all to one size"
    )


def test_mixed_sizes_are_brought_to_one(mixed, tmp_path):
    dataset = load(mixed, tmp_path / "cache", image_size=28)
    assert dataset.resized == (
        "--image_size=28: 6 of 41 images brought to 28x28: 5 of 40x30, 1 of 8x100"
    )
    for images, files, split in (
        (dataset.train_images, dataset.train_files, "train"),
        (dataset.test_images, dataset.test_files, "test"),
    ):
        assert images.dtype == np.uint8 and images.shape == (len(files), 28, 28, 1)
        for image, file in zip(images, files, strict=True):
            expected = resized(Image.open(mixed / split / file), 28)
            np.testing.assert_array_equal(image[..., 0], np.asarray(expected))


def test_validation_pictures_and_drawn_test_pictures_are_too(tmp_path):
    own = load(write_splits(tmp_path / "own", "val"), tmp_path / "c", image_size=16)
    assert own.valid_size == 9 and own.train_images.shape == (44, 16, 16, 1)
    root = write_folder(tmp_path / "alone" / "own", (20, 20, 20))
    before, after = load(root, tmp_path / "c"), load(root, tmp_path / "c", image_size=16)
    assert after.test_files == before.test_files and after.test_images.shape[1:] == (16, 16, 1)


def test_grey_among_coloured_pictures_stays_refused(mixed, tmp_path):
    save(mixed, Image.new("RGB", (50, 50)), "train/cat/01.png")
    with pytest.raises(InputError) as refusal:
        load(mixed, tmp_path / "cache", image_size=28)
    assert str(refusal.value) == (
        f"--dataset=folder:{mixed}: {mixed}/train/cat/01.png is 50x50 RGB, "
        f"{mixed}/train/cat/00.png is 28x28 grey; allowed are 8-bit grey (mode L) or RGB pictures, "
        "all of one mode"
    )


@pytest.mark.parametrize("mode", ["P", "RGBA", "I;16"])
def test_other_modes_stay_refused(mode, mixed, tmp_path):
    save(mixed, Image.new(mode, (50, 50)))
    with pytest.raises(InputError, match=rf"00.png is 50x50 of mode {mode}; .*, all of one mode$"):
        load(mixed, tmp_path / "cache", image_size=28)


def test_rotation_by_exif_stays_ignored(tmp_path):
    root = write_splits(tmp_path / "own", ending="jpg", shape=(20, 40))
    path = root / "train" / "cat" / "00.jpg"
    image = Image.open(path)
    image.load()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(path, exif=exif)
    stored = np.asarray(resized(Image.open(path), 16))
    np.testing.assert_array_equal(
        load(root, tmp_path / "c", image_size=16).train_images[0, ..., 0], stored
    )


def test_pictures_of_the_size_are_the_same_data_and_another_run(tmp_path):
    root = write_splits(tmp_path / "own")
    before, after = load(root, tmp_path / "c"), load(root, tmp_path / "c", image_size=28)
    assert after.resized == "--image_size=28: all images are 28x28 as stored"
    assert after.sha256 == before.sha256
    assert load(root, tmp_path / "c", image_size=29).sha256 != before.sha256
    runs = [Config(dataset=f"folder:{root}", image_size=size) for size in (None, 28, 29)]
    assert len({run.fingerprint for run in runs}) == 3


# The cache


def test_each_size_has_a_cache_of_its_own_with_what_was_done(mixed, tmp_path, monkeypatch):
    first = [load(mixed, tmp_path / "c", image_size=size) for size in (16, 28)]
    assert len({path.name for path in (tmp_path / "c").glob("*-size_*.npz")}) == 2
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it decodes"))
    for size, before in zip((16, 28), first, strict=True):
        again = load(mixed, tmp_path / "c", image_size=size)
        assert (again.sha256, again.resized) == (before.sha256, before.resized)
        np.testing.assert_array_equal(again.train_images, before.train_images)


def test_words_changed_in_the_cache_are_noticed(mixed, tmp_path, caplog):
    first = load(mixed, tmp_path / "c", image_size=28)
    (cache,) = (tmp_path / "c").glob("*.npz")
    with np.load(cache) as archive:
        content = dict(archive) | {"resized": "--image_size=28: all images are 28x28 as stored"}
    np.savez(cache, **content)
    assert load(mixed, tmp_path / "c", image_size=28).resized == first.resized
    assert "is damaged" in caplog.text


def test_caches_without_it_are_as_before(tmp_path):
    """Those of earlier versions are used on, and need not be made anew."""
    dataset = load(write_splits(tmp_path / "own"), tmp_path / "c")
    (cache,) = (tmp_path / "c").glob("*.npz")
    with np.load(cache) as archive:
        arrays = {f"{split}_{kind}" for split in ("train", "test") for kind in ("images", "labels")}
        assert {*archive} == arrays | {"seal"}
        assert str(archive["seal"]) == f"{dataset.sha256} {cache.name}"
    assert cache.name.count("-") == 1


# Other data sets


def write_mixed_copy(folder, channels=3):
    """The set `toy` of 30 pictures per split, 10 each of three sizes."""
    shapes = [(40, 50, channels), (200, 150, channels), (28, 28, channels)]
    images = [synthetic.pictures(1, shapes[i % 3], seed=i)[0] for i in range(30)]
    features = {
        "image": tfds.features.Image(shape=(None, None, channels)),
        "label": tfds.features.ClassLabel(num_classes=5),
    }
    synthetic.write_copy(folder, images, LABELS, features=features)
    return images


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tfds_set_of_mixed_sizes_is_brought_to_one(channels, tmp_path):
    images = write_mixed_copy(tmp_path / "tfds", channels)
    folders = {"data_dir": tmp_path / "tfds", "cache_dir": tmp_path / "c"}
    with pytest.raises(InputError, match="; --image_size brings others to one size$"):
        data.load("toy", **folders)
    for _ in range(2):  # decoded, and from the cache
        dataset = data.load("toy", **folders, image_size=32)
        start, sizes = dataset.resized.rsplit(": ", 1)
        assert start == "--image_size=32: 60 of 60 images brought to 32x32"
        # The copy's order, and so that of equal numbers, is TFDS's.
        assert sorted(sizes.split(", ")) == ["20 of 200x150", "20 of 28x28", "20 of 40x50"]
        assert dataset.train_images.shape == (30, 32, 32, channels)
    expected = {np.asarray(resized(Image.fromarray(x.squeeze()), 32)).tobytes() for x in images}
    assert {x.tobytes() for x in dataset.train_images} == expected
    assert [path.name.endswith("-size_32.npz") for path in (tmp_path / "c").glob("*.npz")] == [True]


def test_digits_are_brought_to_a_size_too():
    before, same, larger = (data.load("digits", image_size=size) for size in (None, 28, 64))
    assert same.sha256 == before.sha256 != larger.sha256
    assert larger.train_images.shape[1:] == (64, 64, 1)
    assert larger.resized == "--image_size=64: 1797 of 1797 images brought to 64x64: 1797 of 28x28"
    expected = resized(Image.fromarray(before.train_images[0, ..., 0]), 64)
    np.testing.assert_array_equal(larger.train_images[0, ..., 0], np.asarray(expected))


def test_a_runs_settings_reach_its_pictures(mixed, tmp_path):
    config = Config(dataset=f"folder:{mixed}", image_size=20, batch_size=4, cache_dir=str(tmp_path))
    for splits in (noisy_dataset.load(config), noisy_dataset.load_splits(config)):
        assert splits.images.shape == (41, 20, 20, 1)
        assert splits.original.resized.startswith("--image_size=20: 41 of 41 images")
    with pytest.raises(InputError, match="is 40x30 grey"):
        noisy_dataset.load(dataclasses.replace(config, image_size=None))
