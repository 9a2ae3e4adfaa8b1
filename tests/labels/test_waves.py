"""Waves of label noise: exact rates, stripes of the right width, the frequency found again."""

import numpy as np
import pytest

from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.labels import noise, waves
from jaxnoise.labels.by_class import CleanSamples


@pytest.fixture(scope="module")
def digits():
    whole = data.load("digits")
    return tuple(
        CleanSamples(whole.train_labels[part], whole.train_images[part], 10)
        for part in (slice(0, 1000), slice(1000, None))
    )


@pytest.fixture(scope="module")
def line():
    """Three classes that differ in a corner; in another, each spreads evenly over 0 ... 255."""
    level = np.tile(np.arange(256, dtype=np.uint8), 3)
    images = np.zeros((len(level), 28, 28, 1), np.uint8)
    images[:, 3, 4, 0] = level
    labels = np.repeat(np.arange(3, dtype=np.int32), 256)
    images[:, 20:, 20:, 0] = 100 * labels[:, None, None]
    return CleanSamples(labels, images, 3)


def corrupt(parts, frequency, rate=0.3, seed=0):
    config = Config(noise_type="wave_noise", noise_rate=rate, wave_frequency=frequency)
    return noise.corrupt(noise.MODELS["wave_noise"](config), *parts, seed=seed)


def places(samples, of):
    """Along the direction found by NumPy's SVD of the deviations in `of`, in units of s."""
    pixels, deviations = (x.images.reshape(len(x.labels), -1) / 255 for x in (samples, of))
    for label in range(10):
        deviations[of.labels == label] -= deviations[of.labels == label].mean(axis=0)
    direction = np.linalg.svd(deviations, full_matrices=False)[2][0]
    return pixels @ direction / (deviations @ direction).std()


@pytest.mark.parametrize("frequency", [0.25, 1e4])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 1.0])
def test_every_class_has_exactly_its_rate_whatever_the_frequency(digits, frequency, rate):
    train, valid = corrupt(digits, frequency, rate)
    for label in range(10):
        of_class = train.clean == label
        assert train.changed[of_class].sum() == int(rate * of_class.sum())
    for part in (train, valid):
        np.testing.assert_array_equal(part.noisy, (part.clean + part.changed) % 10)
        np.testing.assert_array_equal(part.picked, part.changed)
        assert part.noisy.dtype == np.int32
    # About 60 validation samples of each class, in stripes of one phase.
    assert abs(valid.changed.mean() - rate) <= 0.1 * (rate > 0)
    np.testing.assert_allclose(train.transition_matrix.diagonal(), 1 - rate)
    counts = np.abs(train.realized_matrix(10) - train.transition_matrix)
    assert counts.max() <= 1 / np.bincount(train.clean).min()


def test_direction_is_the_widest_within_classes(line, digits):
    direction, scale = waves.widest_within_classes(line)
    # Between classes the corner of 64 pixels would be far wider.
    expected = np.zeros((28, 28))
    expected[3, 4] = 1
    np.testing.assert_allclose(direction, expected.ravel(), atol=1e-5)
    assert scale == pytest.approx(np.arange(256).std() / 255, rel=1e-5)
    direction, scale = waves.widest_within_classes(digits[0])
    pixels = digits[0].images.reshape(len(digits[0].labels), -1) / 255
    ours, other = pixels @ direction / scale, places(digits[0], digits[0])
    assert abs(np.corrcoef(ours, other)[0, 1]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("frequency", [0.5, 1.5, 4.0])
def test_labels_come_in_stripes_of_half_a_period(line, frequency):
    train, _ = corrupt((line, line), frequency, rate=0.5)
    period = np.arange(256).std() / frequency  # in grey levels
    for label in range(3):
        changed = train.changed[train.clean == label]  # by level
        borders = np.flatnonzero(np.diff(changed.astype(int)))
        inner = np.diff(borders)
        # The threshold leaves half of a class's samples, not half of each period, at the crests.
        assert len(borders) in range(int(2 * 256 / period) - 1, int(2 * 256 / period) + 3)
        if len(inner) > 1:
            sums = inner[:-1] + inner[1:]
            assert np.abs(sums - period).max() <= 2


@pytest.mark.parametrize("frequency", [0.5, 1.0, 2.0, 4.0])
def test_spectrum_along_the_direction_peaks_at_the_frequency(digits, frequency):
    train, _ = corrupt(digits, frequency, rate=0.5)
    t, asked = places(digits[0], digits[0]), np.arange(0.25, 8, 0.05)
    sign = np.where(train.changed, 0.5, -0.5)
    spectrum = np.abs(np.exp(2j * np.pi * np.multiply.outer(asked, t)) @ (sign - sign.mean()))
    # A class spans about 5 s, which resolves 1/5 of a cycle.
    assert asked[spectrum.argmax()] == pytest.approx(frequency, abs=0.1)


def test_neighbours_share_their_fate_at_low_frequency_and_do_not_at_high(digits):
    t = places(digits[0], digits[0])

    def alike(frequency):
        """Share of neighbours along the line, of one class, that are both changed or neither."""
        changed, found = corrupt(digits, frequency)[0].changed, []
        for label in range(10):
            members = np.flatnonzero(digits[0].labels == label)
            members = members[np.argsort(t[members])]
            found.append(changed[members[1:]] == changed[members[:-1]])
        return np.concatenate(found)

    assert alike(0.25).mean() > 0.95
    at_random = alike(1e4)
    expected = 0.3**2 + 0.7**2
    # A pair shares a sample with the next, which at most doubles the variance.
    deviation = np.sqrt(2 * expected * (1 - expected) / len(at_random))
    assert abs(at_random.mean() - expected) < 4 * deviation


def test_validation_follows_the_same_wave(digits):
    train, valid = corrupt((digits[0], digits[0]), 8.0)
    np.testing.assert_array_equal(valid.noisy, train.noisy)
    few = digits[1]._replace(labels=digits[1].labels[:2], images=digits[1].images[:2])
    assert len(corrupt((digits[0], few), 1.0)[1].noisy) == 2


def test_seed_gives_the_phase(digits):
    one, again, other = (corrupt(digits, 1.0, seed=seed)[0].noisy for seed in (0, 0, 5))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.05


def test_pictures_that_are_all_alike_have_their_rate_too():
    part = CleanSamples(np.zeros(40, np.int32), np.full((40, 28, 28, 1), 9, np.uint8), 3)
    assert corrupt((part, part), 1.0, rate=0.5)[0].changed.sum() == 20
