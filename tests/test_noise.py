"""Label noise: how many labels are picked, what becomes of them, and that it stays the same."""

import hashlib

import numpy as np
import pytest

from jaxnoise import noise
from jaxnoise.config import InputError

# The maps of the papers, written out.
FLIPS = {
    "mnist": {1: 7, 2: 3, 3: 2, 4: 9, 5: 6, 6: 5, 7: 1, 9: 4},
    "digits": {1: 7, 2: 3, 3: 2, 4: 9, 5: 6, 6: 5, 7: 1, 9: 4},
    "fashion_mnist": {9: 7, 7: 5, 2: 6, 4: 3, 3: 4},
    "cifar10": {2: 0, 3: 5, 4: 7, 5: 3, 9: 1},
    "cifar100": {i: i - 4 if i % 5 == 4 else i + 1 for i in range(100)},
}
RATES = [0.0, 0.1, 0.25, 0.33, 0.4, 1.0]


def unbalanced_labels(num_classes, per_class=40):
    """Class k has per_class + k samples, in random order."""
    counts = per_class + np.arange(num_classes)
    labels = np.repeat(np.arange(num_classes), counts)
    return np.random.default_rng(7).permutation(labels)


def uniform(labels, rate, num_classes=10, seed=0):
    return noise.corrupt(
        labels,
        noise_type="uniform_noise",
        noise_rate=rate,
        num_classes=num_classes,
        dataset="any",
        seed=seed,
    )


def flip(labels, rate, dataset, seed=0):
    return noise.corrupt(
        labels,
        noise_type="flip_noise",
        noise_rate=rate,
        num_classes=100 if dataset == "cifar100" else 10,
        dataset=dataset,
        seed=seed,
    )


def assert_consistent(result, labels):
    """What holds for any noise."""
    assert [field.dtype for field in result] == [np.int32, np.int32, bool, bool]
    np.testing.assert_array_equal(result.clean, labels)
    np.testing.assert_array_equal(result.changed, result.noisy != labels)
    assert not (result.changed & ~result.picked).any()


# uniform_noise


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("samples", [1, 7, 445])
def test_uniform_picks_exactly_its_share(rate, samples):
    labels = unbalanced_labels(10)[:samples]
    result = uniform(labels, rate)
    assert_consistent(result, labels)
    assert result.picked.sum() == int(samples * rate)
    np.testing.assert_array_equal(result.noisy[~result.picked], labels[~result.picked])
    assert result.noisy.min() >= 0 and result.noisy.max() < 10


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_uniform_leaves_a_picked_sample_its_class_once_in_k(num_classes):
    labels = np.random.default_rng(0).integers(0, num_classes, 50_000)
    result = uniform(labels, 0.4, num_classes)
    picked, expected = result.picked.sum(), (num_classes - 1) / num_classes
    # Five standard deviations of a binomial share: excluding the own class gives 1, far outside.
    tolerance = 5 * np.sqrt(expected * (1 - expected) / picked)
    assert abs(result.changed.sum() / picked - expected) < tolerance
    assert abs(result.changed.mean() - 0.4 * expected) < 0.4 * tolerance


@pytest.mark.parametrize("source", [0, 4, 9])
def test_uniform_draws_every_class_equally_whatever_the_clean_one(source):
    result = uniform(np.full(20_000, source), 1.0)
    counts = np.bincount(result.noisy, minlength=10)
    chi_square = np.sum((counts - 2000) ** 2 / 2000)
    assert chi_square < 27.88  # 99.9th percentile at 9 degrees of freedom


def test_uniform_picks_every_position_equally():
    labels = np.zeros(20, int)
    counts = sum(uniform(labels, 0.25, seed=seed).picked.astype(int) for seed in range(2000))
    # Binomial(2000, 1/4) within five standard deviations.
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


# flip_noise


def test_every_map_is_the_papers():
    assert noise.FLIP_MAPS == FLIPS


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("dataset", FLIPS)
def test_flip_moves_exactly_its_share_of_each_source_class(dataset, rate):
    labels = unbalanced_labels(100 if dataset == "cifar100" else 10)
    result = flip(labels, rate, dataset)
    assert_consistent(result, labels)
    np.testing.assert_array_equal(result.changed, result.picked)
    for label in np.unique(labels):
        of_class = labels == label
        moves = label in FLIPS[dataset]
        assert result.picked[of_class].sum() == (int(rate * of_class.sum()) if moves else 0)
        expected = np.where(result.picked[of_class], FLIPS[dataset].get(label, label), label)
        np.testing.assert_array_equal(result.noisy[of_class], expected)


def test_swapped_classes_are_told_apart_by_their_clean_labels():
    labels = np.repeat([3, 5], [10, 30])
    result = flip(labels, 1.0, "cifar10")
    np.testing.assert_array_equal(result.noisy, np.repeat([5, 3], [10, 30]))


def test_flip_picks_every_position_equally():
    labels = np.full(20, 1)
    counts = sum(flip(labels, 0.25, "mnist", seed).picked.astype(int) for seed in range(2000))
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)  # as above


def test_flip_of_absent_classes_changes_nothing():
    result = flip(np.zeros(5, int), 1.0, "mnist")
    assert not result.picked.any() and not result.noisy.any()


def test_flip_on_a_data_set_without_a_map_is_refused():
    with pytest.raises(InputError) as refusal:
        flip(np.zeros(5, int), 0.4, "svhn_cropped")
    assert str(refusal.value) == (
        "--noise_type=flip_noise: no flip map is known for --dataset=svhn_cropped; allowed are "
        "cifar10, cifar100, digits, fashion_mnist, mnist"
    )


# Both


def hash_of(result):
    content = result.noisy.astype("<i4").tobytes() + np.packbits(result.picked).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def test_noise_is_the_same_forever():
    # These labels are part of published results: no version of NumPy or jaxnoise may change them.
    labels = np.arange(1000) % 10
    assert hash_of(uniform(labels, 0.4, seed=3)) == "1135a2c5194e75f0"
    assert hash_of(flip(labels, 0.4, "mnist", seed=3)) == "db3a119e321360cc"


@pytest.mark.parametrize("corrupt", [uniform, lambda *a, seed: flip(*a, "mnist", seed)])
def test_seed_alone_decides(corrupt):
    labels = unbalanced_labels(10)
    one, again, other = (corrupt(labels, 0.4, seed=seed) for seed in (1, 1, 2))
    for field, same in zip(one, again, strict=True):
        np.testing.assert_array_equal(field, same)
    assert (one.picked != other.picked).any()


def test_labels_given_are_left_alone():
    labels = unbalanced_labels(10)
    before = labels.copy()
    uniform(labels, 1.0)
    flip(labels.astype(np.int32), 1.0, "mnist")
    np.testing.assert_array_equal(labels, before)


def test_summary_counts():
    picked, changed = np.array([1, 1, 0], bool), np.array([1, 0, 0], bool)
    labels = noise.NoisyLabels(np.array([1, 0, 0]), np.array([0, 0, 0]), picked, changed)
    assert labels.summary() == {"picked": 2, "changed": 1, "true_rate": 0.333333}
