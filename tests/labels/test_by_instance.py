"""Noise that depends on the picture: its rate, its matrix, its neighbourhoods."""

import numpy as np
import pytest
import scipy.stats
from sklearn.neighbors import NearestNeighbors

from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.labels import by_instance, noise

RATES = [0.0, 0.1, 0.4, 1.0]

# The kinds of instance noise: the brightest pixel, and whether all classes have one projection.
KINDS = {
    "instance_noise": {"white": 1, "shared": False},
    "part_dependent_noise": {"white": 255, "shared": False},
    "shared_instance_noise": {"white": 255, "shared": True},
}


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


@pytest.mark.parametrize("noise_type", [*KINDS, "concentrated_noise"])
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


# Instance noise of each kind


@pytest.mark.parametrize("noise_type", KINDS)
@pytest.mark.parametrize("rate", RATES)
def test_instance_noise_has_the_truncated_normals_mean_rate(digits, noise_type, rate):
    for part in corrupt(digits, noise_type, rate):
        expected = rate and scipy.stats.truncnorm.mean(-rate / 0.1, (1 - rate) / 0.1, rate, 0.1)
        deviation = np.sqrt(0.25 / len(part.noisy))
        assert abs(part.changed.mean() - expected) <= 5 * deviation * (rate > 0)


@pytest.mark.parametrize("noise_type", KINDS)
@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.95])
def test_flip_rates_are_a_normal_cut_off_at_0_and_1(noise_type, rate):
    # With one sample of each class, a row of the matrix is one sample's distribution.
    images = np.ones((1000, 1, 1, 1), np.uint8)
    part = noise.CleanSamples(np.arange(1000, dtype=np.int32), images, 1000)
    train, _ = corrupt((part, part), noise_type, rate)
    flip_rates = 1 - np.diag(train.transition_matrix)
    assert flip_rates.min() > 0 and flip_rates.max() < 1
    # The moments of a normal that is cut off, by their formulas.
    low, high = -rate / 0.1, (1 - rate) / 0.1
    density, mass = scipy.stats.norm.pdf, scipy.stats.norm.cdf(high) - scipy.stats.norm.cdf(low)
    shift = (density(low) - density(high)) / mass
    mean = rate + 0.1 * shift
    std = 0.1 * np.sqrt(1 + (low * density(low) - high * density(high)) / mass - shift**2)
    assert abs(flip_rates.mean() - mean) < 5 * std / np.sqrt(1000)
    assert abs(flip_rates.std() / std - 1) < 5 / np.sqrt(2000)


@pytest.mark.parametrize("noise_type", KINDS)
def test_instance_noise_follows_its_matrix(digits, noise_type):
    # The labels of one class are independent draws around its mean distribution.
    train, _ = corrupt(digits, noise_type, 0.4)
    np.testing.assert_allclose(train.transition_matrix.sum(axis=1), 1, rtol=1e-12)
    per_class = np.bincount(train.clean).min()
    error = np.abs(train.realized_matrix(10) - train.transition_matrix)
    assert error.max() < 5 * np.sqrt(0.25 / per_class)
    assert np.ptp(train.transition_matrix[0, 1:]) > 0.05  # classes are not confused alike


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_wrong_labels_have_the_published_distribution(kind):
    """Sample by sample, as the authors' code goes: a product, without the own class, a softmax."""
    draw = np.random.RandomState(5)
    labels = draw.randint(0, 4, 30).astype(np.int32)
    images = draw.randint(0, 4 if kind["white"] == 255 else 256, (30, 3, 2, 1)).astype(np.uint8)
    part = noise.CleanSamples(labels, images, 4)
    (found,) = by_instance.other_labels([part], np.random.RandomState(7), **kind)

    numbers = np.random.RandomState(7).normal(size=(1 if kind["shared"] else 4, 6, 4))
    for image, label, probabilities in zip(images, labels, found, strict=True):
        pixels = [float(pixel) * kind["white"] / 255 for pixel in image.ravel()]
        matrix = numbers[0 if kind["shared"] else label]
        weights = {
            j: np.exp(sum(x * row[j] for x, row in zip(pixels, matrix, strict=True)))
            for j in range(4)
            if j != label
        }
        expected = [weights.get(j, 0) / sum(weights.values()) for j in range(4)]
        np.testing.assert_allclose(probabilities, expected, rtol=1e-10)
        assert probabilities[label] == 0


def test_wide_pixels_make_the_wrong_label_nearly_certain(digits):
    # Of all digits it is 0.89 ± 0.02, and 0.9996 ± 0.0003 with pixels up to 255.
    certain = {}
    for name, kind in KINDS.items():
        draws = [
            by_instance.other_labels(digits[:1], np.random.RandomState(seed), **kind)[0]
            for seed in range(10)
        ]
        certain[name] = np.mean([draw.max(axis=1).mean() for draw in draws])
    assert 0.8 < certain["instance_noise"] < 0.95
    assert certain["part_dependent_noise"] > 0.998 and certain["shared_instance_noise"] > 0.998


def test_classes_share_a_wrong_label_if_they_share_a_projection():
    # Equal pictures: the highest of their products is the wrong label of every class but its own.
    images = np.full((50, 9, 9, 1), 255, np.uint8)
    part = noise.CleanSamples(np.arange(50, dtype=np.int32), images, 50)
    targets = {
        name: by_instance.other_labels([part], np.random.RandomState(0), **kind)[0].argmax(axis=1)
        for name, kind in KINDS.items()
    }
    counts = {name: np.bincount(of).max() for name, of in targets.items()}
    assert counts["shared_instance_noise"] == 49
    assert counts["instance_noise"] < 10 and counts["part_dependent_noise"] < 10
    # With a projection for each class, the scale of the pixels does not move the likeliest label.
    np.testing.assert_array_equal(targets["instance_noise"], targets["part_dependent_noise"])


@pytest.mark.parametrize("noise_type", KINDS)
def test_equal_pictures_are_confused_with_the_same_class(noise_type):
    # A bright picture's projections are so far apart that the softmax is nearly all or nothing.
    part = noise.CleanSamples(np.zeros(500, np.int32), np.full((500, 28, 28, 1), 255, np.uint8), 10)
    train, valid = corrupt((part, part), noise_type, 0.5)
    targets = np.bincount(train.noisy[train.changed], minlength=10)
    assert targets.max() > 0.9 * targets.sum()
    # Validation is confused with the same one, since the projection is the same, by other draws.
    assert np.bincount(valid.noisy[valid.changed]).argmax() == targets.argmax()
    assert (train.noisy != valid.noisy).any()


@pytest.mark.parametrize("noise_type", KINDS)
def test_labels_of_a_part_do_not_depend_on_the_other_part(digits, noise_type):
    train, valid = corrupt(digits, noise_type, 0.4)
    fewer = [part._replace(labels=part.labels[:90], images=part.images[:90]) for part in digits]
    alone, _ = corrupt((digits[0], fewer[1]), noise_type, 0.4)
    _, valid_alone = corrupt((fewer[0], digits[1]), noise_type, 0.4)
    np.testing.assert_array_equal(alone.noisy, train.noisy)
    np.testing.assert_array_equal(valid_alone.noisy, valid.noisy)


@pytest.mark.parametrize("noise_type", [*KINDS, "concentrated_noise"])
def test_a_part_without_a_class_can_be_corrupted(digits, noise_type):
    train, valid = digits
    few = valid._replace(labels=valid.labels[:2], images=valid.images[:2])
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
