"""What a run says of its data."""

import dataclasses

import pytest

from jaxnoise.config import Config
from jaxnoise.labels import noisy_dataset
from jaxnoise.terminal import announcements


@pytest.mark.parametrize("size", [None, 16])
def test_images_brought_to_one_size_are_told_below_the_data(size, tmp_path, caplog):
    caplog.set_level("INFO", "jaxnoise")
    config = Config(dataset="digits", image_size=size)
    dataset = noisy_dataset.load(config)
    announcements.announce(config, tmp_path, dataset, device="cpu", lags=False, variables={})
    told = caplog.messages.index("Data     1302 train, 140 valid, 355 test images, 10 classes")
    line = "         --image_size=16: 1797 of 1797 images brought to 16x16: 1797 of 28x28"
    assert (caplog.messages[told + 1] == line) == (size == 16)
    assert caplog.text.count("brought to") == (size == 16)


@pytest.mark.parametrize(("augment", "warned"), [("crop_flip", True), ("crop", False)])
def test_flips_of_digits_are_warned_of(augment, warned, tmp_path, caplog):
    config = Config(dataset="digits", augment=augment)
    dataset = noisy_dataset.load(config)
    announcements.announce(config, tmp_path, dataset, device="cpu", lags=False, variables={})
    assert ("--augment=crop_flip: a mirror image of a digit" in caplog.text) == warned
    words = dataclasses.replace(dataset.original, class_names=("cat", "dog") * 5)
    caplog.clear()
    dataset = dataclasses.replace(dataset, original=words)
    announcements.announce(config, tmp_path, dataset, device="cpu", lags=False, variables={})
    assert "mirror" not in caplog.text


def test_titles_tell_runs_apart_and_say_no_more():
    runs = [Config(dataset="digits", batch_size=size, clip_norm=5.0) for size in (32, 64)]
    first, second = announcements.titles(runs)
    assert first == announcements.title(runs[0], " · ")  # at the default, like the others' names
    assert second == f"{first} · batch_size=64"
    assert announcements.titles(runs[1:]) == [first]
