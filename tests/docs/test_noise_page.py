"""The rates that docs/noise.md says others' noise has are those of the models it names."""

import re

import numpy as np
import pytest
from places import ROOT

from jaxnoise.config import FIELDS, Config, flag_type
from jaxnoise.labels import noise
from jaxnoise.labels.by_class import CleanSamples

PAGE = (ROOT / "docs" / "noise.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| .* \| `(--dataset=.*)` \| ([\d., ]+) \|$", PAGE, re.M)
# Samples of the ten classes of MNIST's train set.
MNIST = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)


def labels_of(dataset: str) -> np.ndarray:
    classes = 100 if dataset == "cifar100" else 10
    counts = MNIST if dataset == "mnist" else [50_000 // classes] * classes
    return np.repeat(np.arange(classes, dtype=np.int32), counts)


@pytest.mark.parametrize(("flags", "rates"), ROWS)
def test_the_true_rates_of_the_table(flags, rates):
    given = dict(re.findall(r"--(\w+)=(\S+)", flags))
    given = {name: flag_type(FIELDS[name])(value) for name, value in given.items()}
    labels = labels_of(given["dataset"])
    samples = CleanSamples(labels, np.zeros((len(labels), 1, 1, 1), np.uint8), labels.max() + 1)
    rates = [float(rate) for rate in rates.split(", ")]
    for nominal, expected in zip((0.2, 0.4, 0.5, 0.8), rates, strict=True):
        model = noise.model(Config(**given, noise_rate=nominal))
        drawn, _ = noise.corrupt(model, samples, samples, seed=0)
        by_matrix = 1 - np.diag(drawn.transition_matrix)[labels].mean()
        # Five standard deviations of the flip rates' mean, and of a coin for each sample.
        assert 100 * by_matrix == pytest.approx(expected, abs=0.25)
        assert 100 * drawn.changed.mean() == pytest.approx(expected, abs=1.2)


def test_every_row_with_rates_and_flags_is_found():
    assert len(ROWS) == 10


@pytest.mark.parametrize(
    ("nominal", "expected"), [(0.2, 9.6), (0.4, 18.4), (0.5, 22.5), (0.8, 33.6)]
)
def test_labels_that_are_picked_again(nominal, expected):
    """One class after the other, by the labels as they are by then."""
    labels, rng = labels_of("cifar10"), np.random.default_rng(0)
    noisy = labels.copy()
    for source, target in ((2, 0), (3, 5), (4, 7), (5, 3), (9, 1)):
        there = rng.permutation(np.flatnonzero(noisy == source))
        noisy[there[: int(nominal * len(there))]] = target
    assert 100 * (noisy != labels).mean() == pytest.approx(expected, abs=0.2)
