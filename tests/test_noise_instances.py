"""Noise that depends on the picture: its rate, its matrix, its neighbourhoods."""

import numpy as np
import pytest
import scipy.stats
from sklearn.neighbors import NearestNeighbors

from jaxnoise import data, noise
from jaxnoise.config import Config

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


# wave_noise


def wave(parts, rate, frequency, seed=0):
    settings = Config(noise_type="wave_noise", noise_rate=rate, wave_frequency=frequency)
    return noise.corrupt(noise.MODELS["wave_noise"](settings), *parts, seed=seed)


def places(train, *parts):
    """Along the training pictures' first singular vector, in its standard deviations."""
    pixels = [part.images.reshape(len(part.labels), -1) / 255 for part in (train, *parts)]
    _, _, components = np.linalg.svd(pixels[0] - pixels[0].mean(axis=0), full_matrices=False)
    along = [(x - pixels[0].mean(axis=0)) @ components[0] for x in pixels]
    return [t / along[0].std() for t in along]


@pytest.mark.parametrize("rate", RATES)
def test_wave_noise_changes_exactly_its_share_to_the_next_class(rate):
    whole = data.load("digits")
    order = np.random.default_rng(0).permutation(len(whole.train_labels))  # writers come in turn
    parts = [
        noise.CleanSamples(whole.train_labels[part], whole.train_images[part], 10)
        for part in (order[:900], order[900:])
    ]
    train, valid = wave(parts, rate, 2.0)
    assert train.picked.sum() == int(rate * len(train.noisy))
    assert train.noisy.dtype == np.int32 and train.transition_matrix is None
    for part in (train, valid):
        np.testing.assert_array_equal(part.noisy, (part.clean + part.picked) % 10)
    # Validation stands in the same stripes: its rate is that of a sample, within 3 deviations.
    deviation = np.sqrt(rate * (1 - rate) / len(valid.picked))
    assert abs(valid.picked.mean() - rate) <= 3 * deviation
    assert rate > 0 or not valid.picked.any()


@pytest.mark.parametrize("frequency", [0.5, 2.0, 4.0])
def test_picked_samples_come_and_go_with_the_frequency(digits, frequency):
    train, _ = wave(digits, 0.5, frequency)
    (t,) = places(digits[0])
    asked = np.arange(0.25, 8, 0.05)
    sign = np.where(train.picked, 1, -1)
    # Middle parts of the line, where pictures are dense; a wave of 1/2 is squared, of odd harmonics
    # 1, 1/3, ... of which the first is the strongest.
    spectrum = np.abs(np.exp(2j * np.pi * np.multiply.outer(asked, t)) @ (sign - sign.mean()))
    assert asked[spectrum.argmax()] == pytest.approx(frequency, abs=0.11)


def test_wave_is_a_function_of_the_place_alone_for_validation_too(digits):
    train, valid = wave(digits, 0.3, 1.0)
    t, valid_t = places(*digits)
    picked, order = np.concatenate([train.picked, valid.picked]), np.argsort([*t, *valid_t])
    # Over six standard deviations one cycle has two borders.
    assert 3 <= np.count_nonzero(np.diff(picked[order])) <= 14
    # The same pictures in validation meet the same fate.
    train, valid = wave((digits[0], digits[0]), 0.3, 16.0)
    np.testing.assert_array_equal(valid.noisy, train.noisy)


def test_wave_of_high_frequency_is_as_if_at_random(digits):
    order = np.argsort(places(digits[0])[0])

    def neighbours_alike(frequency):
        picked = wave(digits, 0.3, frequency)[0].picked[order]
        return (picked[1:] == picked[:-1]).mean()

    assert neighbours_alike(0.5) > 0.98
    independent = 0.3**2 + 0.7**2
    deviation = np.sqrt(independent * (1 - independent) / len(order))
    # A pair of neighbours shares a sample with the next, which doubles the variance at most.
    assert abs(neighbours_alike(1e4) - independent) < 4 * np.sqrt(2) * deviation


def test_wave_has_its_phase_from_the_seed(digits):
    one, again, other = (wave(digits, 0.3, 1.0, seed)[0].noisy for seed in (0, 0, 5))
    np.testing.assert_array_equal(one, again)
    # The first numbers of these streams, which are the phases, are a third of a cycle apart.
    assert (one != other).mean() > 0.1


def test_equal_pictures_have_a_wave_too():
    part = noise.CleanSamples(np.zeros(40, np.int32), np.full((40, 28, 28, 1), 9, np.uint8), 3)
    assert wave((part, part), 0.5, 1.0)[0].picked.sum() == 20
