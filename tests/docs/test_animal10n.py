"""The example of docs/data.md, followed to the letter on a few made-up images in its layout."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from places import ROOT

from jaxnoise import data
from jaxnoise.config import FIELDS, Config, flag_type
from jaxnoise.labels import noisy_dataset

(SECTION,) = re.findall(
    r"^## Example: ANIMAL-10N$(.*?)^## ", (ROOT / "docs/data.md").read_text("utf-8"), re.M | re.S
)
TRAIN, TEST = 10, 2  # images of each class


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with ANIMAL-10N's images, where the lines of the page have been run."""
    folder, rng = tmp_path_factory.mktemp("animals"), np.random.default_rng(0)
    for split, count in (("training", TRAIN), ("testing", TEST)):
        (folder / "ANIMAL-10N" / split).mkdir(parents=True)
        for i in range(10 * count):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            name = f"{i % 10}_{i + 1}.jpg"
            Image.fromarray(pixels).save(folder / "ANIMAL-10N" / split / name)
    (lines,) = re.findall(r"^```python\n(.*?)```$", SECTION, re.M | re.S)
    subprocess.run([sys.executable, "-c", lines], cwd=folder, check=True)
    return folder


@pytest.fixture
def config(place, monkeypatch):
    """The settings of the page's command, where it is given."""
    monkeypatch.chdir(place)
    (command,) = re.findall(r"^```bash\n(.*?)```$", SECTION, re.M | re.S)
    python, program, *arguments = shlex.split(command)
    assert (python, program) == ("python", "main.py")
    pairs = (argument.removeprefix("--").split("=", 1) for argument in arguments)
    settings = {name: flag_type(FIELDS[name])(value) for name, value in pairs}
    return Config(**settings, cache_dir=str(place / "cache"))


def test_labels_are_those_in_the_names_of_the_files(config):
    dataset = data.load(config.dataset, cache_dir=config.cache_dir, image_size=config.image_size)
    assert dataset.resized == "--image_size=64: all images are 64x64 as stored"
    assert dataset.class_names[:2] == ("0_cat", "1_lynx")
    assert dataset.class_names[-1] == "9_guinea_pig" and dataset.num_classes == 10
    for images, labels, files, count in (
        (dataset.train_images, dataset.train_labels, dataset.train_files, TRAIN),
        (dataset.test_images, dataset.test_labels, dataset.test_files, TEST),
    ):
        assert images.shape == (10 * count, 64, 64, 3)
        assert labels.tolist() == [int(file.split("/")[1].split("_")[0]) for file in files]


def test_clean_labels_are_peoples(config):
    """As the page says: no label counts as changed, in training and in validation."""
    dataset = noisy_dataset.load(config)
    assert len(dataset.train_index) == 90 and len(dataset.valid_index) == 10
    for labels in (*dataset.noisy_labels, *dataset.noisy_valid_labels):
        assert not labels.changed.any()
        np.testing.assert_array_equal(labels.noisy, labels.clean)
    people = [int(file.split("/")[1].split("_")[0]) for file in dataset.train_files]
    assert dataset.noisy_labels[0].clean.tolist() == people
