"""Noise that depends on the picture: its rate, its matrix, its neighbourhoods."""

import numpy as np
import pytest
import scipy.stats
from sklearn.neighbors import NearestNeighbors

from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.labels import noise

RATES = [0.0, 0.1, 0.4, 1.0]


@pytest.fixture(scope="module")
def digits():
    """The digits in a training and a validation part."""
    whole = data.load("digits")
    return tuple(
        noise.CleanSamples(whole.train_labels[part], whole.train_images[part], 10)
        for part in (slice(0, 1200), slice(1200, None))
    )


def corrupt(parts, noise_type, rate, seed=0):
    model = noise.MODELS[noise_type](Config(noise_type=noise_type, noise_rate=rate))
    return noise.corrupt(model, *parts, seed=seed)


@pytest.mark.parametrize("noise_type", ["instance_noise", "concentrated_noise"])
def test_seed_decides_and_clean_labels_stay(digits, noise_type):
    before = digits[0].labels.copy()
    one, again, other = (corrupt(digits, noise_type, 0.4, seed) for seed in (1, 1, 2))
    for part, same, another in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(part.noisy, same.noisy)
        assert (part.noisy != another.noisy).any()
        assert part.noisy.dtype == np.int32 and part.picked.dtype == bool
        assert part.noisy.min() >= 0 and part.noisy.max() < 10
        np.testing.assert_array_equal(part.picked, part.changed)
    np.testing.assert_array_equal(digits[0].labels, before)


# instance_noise


@pytest.mark.parametrize("rate", RATES)
def test_instance_noise_has_the_truncated_normals_mean_rate(digits, rate):
    for part in corrupt(digits, "instance_noise", rate):
        expected = rate and scipy.stats.truncnorm.mean(-rate / 0.1, (1 - rate) / 0.1, rate, 0.1)
        deviation = np.sqrt(0.25 / len(part.noisy))
        assert abs(part.changed.mean() - expected) <= 5 * deviation * (rate > 0)


def test_instance_noise_follows_its_matrix(digits):
    # The labels of one class are independent draws around its mean distribution.
    train, _ = corrupt(digits, "instance_noise", 0.4)
    np.testing.assert_allclose(train.transition_matrix.sum(axis=1), 1, rtol=1e-12)
    per_class = np.bincount(train.clean).min()
    error = np.abs(train.realized_matrix(10) - train.transition_matrix)
    assert error.max() < 5 * np.sqrt(0.25 / per_class)
    assert np.ptp(train.transition_matrix[0, 1:]) > 0.05  # classes are not confused alike


def test_equal_pictures_are_confused_with_the_same_class():
    # A bright picture's projections are so far apart that the softmax is nearly all or nothing.
    part = noise.CleanSamples(np.zeros(500, np.int32), np.full((500, 28, 28, 1), 255, np.uint8), 10)
    train, valid = corrupt((part, part), "instance_noise", 0.5)
    targets = np.bincount(train.noisy[train.changed], minlength=10)
    assert targets.max() > 0.9 * targets.sum()
    # Validation is confused with the same one, since the projection is the same, by other draws.
    assert np.bincount(valid.noisy[valid.changed]).argmax() == targets.argmax()
    assert (train.noisy != valid.noisy).any()


def test_a_part_without_a_class_can_be_corrupted(digits):
    train, valid = digits
    few = valid._replace(labels=valid.labels[:2], images=valid.images[:2])
    for noise_type in ("instance_noise", "concentrated_noise"):
        assert len(corrupt((train, few), noise_type, 0.4)[1].noisy) == 2


# concentrated_noise


@pytest.mark.parametrize("rate", RATES)
def test_concentrated_noise_changes_exactly_its_share(digits, rate):
    train, valid = corrupt(digits, "concentrated_noise", rate)
    assert train.changed.sum() == int(rate * len(train.noisy))
    # Neighbourhoods are corrupted whole: about 0.1 of a part's neighbourhoods may differ.
    assert abs(valid.changed.mean() - rate) <= 0.1 * (rate > 0)
    assert train.transition_matrix is None


def test_neighbours_share_their_fate(digits):
    train, _ = corrupt(digits, "concentrated_noise", 0.3)
    pixels = digits[0].images.reshape(len(train.noisy), -1) / 255
    for label in range(10):
        of_class = np.flatnonzero(train.clean == label)
        nearest = NearestNeighbors(n_neighbors=2).fit(pixels[of_class])
        neighbour = of_class[nearest.kneighbors(return_distance=False)[:, 0]]
        alike = (train.noisy[of_class] == train.noisy[neighbour]).mean()
        # Independent noise of the same rate would agree on at most 0.7² + 0.3²; the borders of
        # clusters lie between some neighbours.
        assert alike > 0.75, label


def test_only_one_neighbourhood_is_cut():
    # Ten separate spots for each of two classes: neighbourhoods that cannot be mistaken.
    spots = np.repeat(np.arange(20), 30)
    images = np.zeros((600, 28, 28, 1), np.uint8)
    images[np.arange(600), spots] = 200 + (np.arange(600) % 30)[:, None, None]
    part = noise.CleanSamples((spots // 10).astype(np.int32), images, 5)
    train, valid = corrupt((part, part), "concentrated_noise", 0.3)
    assert train.changed.sum() == 180
    shares = [train.changed[spots == spot].mean() for spot in range(20)]
    assert sum(0 < share < 1 for share in shares) <= 2  # k-means may have joined two spots
    for spot in range(20):
        assert len(set(train.noisy[(spots == spot) & train.changed])) <= 2
    # The same pictures in validation meet the same fate, draws of its own there are none.
    np.testing.assert_array_equal(valid.noisy, train.noisy)
