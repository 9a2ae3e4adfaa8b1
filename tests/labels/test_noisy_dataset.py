"""The three splits of a run: sizes, order, labels clean and noisy, subsets."""

import numpy as np
import pytest

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.labels import noise, noisy_dataset

TRAIN, VALID, TEST = range(3)


def load(**settings):
    return noisy_dataset.load(Config(**({"dataset": "digits"} | settings)))


def split_labels(what, split):
    return what.labels[what.split == split]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_splits_stand_in_order_and_have_their_sizes(digits, ratio):
    what = load(validation_ratio=ratio)
    per_class = np.bincount(digits.train_labels)
    valid = (ratio * per_class).astype(int)
    sizes = [per_class.sum() - valid.sum(), valid.sum(), len(digits.test_labels)]
    np.testing.assert_array_equal(what.split, np.repeat([TRAIN, VALID, TEST], sizes))
    np.testing.assert_array_equal(np.bincount(split_labels(what, VALID)), valid)
    assert len(what.images) == len(what.labels) == sum(sizes)
    assert what.images.dtype == np.uint8 and what.labels.dtype == np.int32
    assert what.num_classes == 10


@pytest.mark.parametrize("settings", [{}, {"train_size": 200, "test_size": 60}])
def test_indices_lead_back_to_the_original_train_set(digits, settings):
    what = load(**settings)
    for split, index in ((TRAIN, what.train_index), (VALID, what.valid_index)):
        np.testing.assert_array_equal(what.images[what.split == split], digits.train_images[index])
        np.testing.assert_array_equal(split_labels(what, split), digits.train_labels[index])
    assert len(np.union1d(what.train_index, what.valid_index)) == (settings or {}).get(
        "train_size", len(digits.train_labels)
    )


@pytest.mark.parametrize("noise_type", ["uniform_noise", "flip_noise"])
def test_noise_is_in_the_noisy_labels_alone(digits, noise_type):
    clean, noisy = load(), load(noise_type=noise_type, noise_rate=0.5)
    np.testing.assert_array_equal(noisy.labels, clean.labels)
    np.testing.assert_array_equal(noisy.images, clean.images)
    for split, draws in ((TRAIN, noisy.noisy_labels), (VALID, noisy.noisy_valid_labels)):
        np.testing.assert_array_equal(draws[0].clean, split_labels(noisy, split))
        assert draws[0].changed.mean() > 0.3
    assert not clean.noisy_labels[0].changed.any()
    assert not clean.noisy_valid_labels[0].changed.any()


def test_validation_labels_have_the_same_noise_and_a_stream_of_their_own(digits):
    settings = {"noise_rate": 0.5, "validation_ratio": 0.5}
    what = load(**settings)
    train, valid = what.noisy_labels[0], what.noisy_valid_labels[0]
    assert valid.picked.sum() == len(valid.clean) // 2
    # Had both streams been one, the same positions would have been picked in the same order.
    both = noise.CleanSamples(valid.clean, what.images[what.split == VALID], 10)
    model = noise.MODELS["uniform_noise"](Config(dataset="digits", noise_rate=0.5))
    same_seed, stream_of_its_own = noise.corrupt(model, both, both, seed=0)
    assert (same_seed.picked != valid.picked).mean() > 0.3
    np.testing.assert_array_equal(stream_of_its_own.noisy, valid.noisy)
    # The training part's noise does not depend on the validation part.
    both = noise.CleanSamples(train.clean, what.images[what.split == TRAIN], 10)
    np.testing.assert_array_equal(noise.corrupt(model, both, both, seed=0)[0].noisy, train.noisy)
    other = load(**settings, noise_seed=1).noisy_valid_labels[0]
    assert (other.picked != valid.picked).mean() > 0.3


def test_noise_depends_on_its_own_seed_alone():
    one, same, other = (
        load(noise_rate=0.5, **seeds).noisy_labels[0].noisy
        for seeds in ({}, {"seed": 1, "total_repeats": 2}, {"noise_seed": 1})
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_repeats_share_one_draw_unless_they_are_asked_not_to():
    shared = load(noise_rate=0.5, total_repeats=4)
    assert len({id(labels) for labels in shared.noisy_labels}) == 1
    assert len(shared.noisy_labels) == len(shared.noisy_valid_labels) == 4


@pytest.mark.parametrize(
    ("settings", "draws"), [({"noise_draws": 2}, 2), ({"noise_per_repeat": True}, 4)]
)
def test_repeat_takes_its_draw_in_turn_by_a_seed_of_its_own(settings, draws):
    what = load(noise_rate=0.5, total_repeats=4, noise_seed=5, **settings)
    for repeat in range(4):
        alone = load(noise_rate=0.5, noise_seed=5 + repeat % draws)
        for name in ("noisy_labels", "noisy_valid_labels"):
            labels, expected = getattr(what, name)[repeat], getattr(alone, name)[0]
            np.testing.assert_array_equal(labels.noisy, expected.noisy)
    assert len({labels.sha256 for labels in what.noisy_labels}) == draws


def test_subsets_have_their_sizes_are_random_and_contain_smaller_ones(digits):
    small, large = load(train_size=100, test_size=20), load(train_size=300, test_size=60)
    for what, train_size, test_size in ((small, 100, 20), (large, 300, 60)):
        assert np.sum(what.split != TEST) == train_size
        assert np.sum(what.split == TEST) == test_size
    used = [np.union1d(what.train_index, what.valid_index) for what in (small, large)]
    assert np.isin(*used).all()
    assert used[0].max() > 1000  # of 1,442: not just the first ones
    assert set(split_labels(large, TRAIN)) == set(range(10))


def test_whole_sets_may_be_asked_for_by_their_size(digits):
    what = load(train_size=len(digits.train_labels), test_size=len(digits.test_labels))
    assert len(what.labels) == 1797


@pytest.mark.parametrize(("flag", "there"), [("train_size", 1442), ("test_size", 355)])
def test_more_than_there_are_is_refused(flag, there):
    with pytest.raises(InputError) as refusal:
        load(**{flag: there + 1})
    assert str(refusal.value) == (
        f"--{flag}={there + 1}: allowed is 0 (all) to {there}, the split's size"
    )


@pytest.mark.parametrize("settings", [{"validation_ratio": 0.001}, {"train_size": 5}])
def test_a_split_that_would_be_empty_is_refused(settings):
    with pytest.raises(InputError, match=r"^--validation_ratio=.* and 0 for validation"):
        load(**settings)


def test_without_validation_all_samples_are_trained_on(digits):
    what = load(validation_ratio=0.0, noise_rate=0.5)
    assert sorted(what.train_index) == list(range(len(digits.train_labels)))
    assert len(what.valid_index) == 0 and not (what.split == VALID).any()
    train, valid = what.noisy_labels[0], what.noisy_valid_labels[0]
    assert train.picked.sum() == len(digits.train_labels) // 2 and len(valid.noisy) == 0
    assert [field.dtype for field in valid[:4]] == [np.int32, np.int32, bool, bool]


@pytest.mark.parametrize("noise_type", sorted(noise.MODELS))
def test_every_noise_model_does_without_a_validation_part(digits, noise_type, tmp_path):
    np.save(tmp_path / "matrix.npy", np.full((10, 10), 0.1))
    more = {
        "matrix_noise": {"noise_matrix": str(tmp_path / "matrix.npy")},
        "wave_noise": {"wave_frequency": 2.0},
        "flip_noise": {"flip_map": "pair"},
    }
    settings = {"noise_type": noise_type, "noise_rate": 0.4} | more.get(noise_type, {})
    model = noise.MODELS[noise_type](Config(dataset="digits", **settings))
    parts = [
        noise.CleanSamples(digits.train_labels[part], digits.train_images[part], 10)
        for part in (slice(300), slice(300, 350), slice(0))
    ]
    train, other, none = parts
    expected, _ = noise.corrupt(model, train, other, seed=3)
    found, nothing = noise.corrupt(model, train, none, seed=3)
    for mine, same in zip(found[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(mine, same)
    assert found.changed.any() and all(len(field) == 0 for field in nothing[:4])


def test_labels_by_index_are_used_without_a_validation_part(digits, tmp_path):
    index = np.arange(len(digits.train_labels))[::-1]
    noisy = digits.train_labels[index].copy()
    noisy[:5] = (noisy[:5] + 1) % 10
    np.savez(tmp_path / "labels.npz", noisy=noisy, index=index)
    what = load(validation_ratio=0.0, noise_file=str(tmp_path / "labels.npz"))
    train = what.noisy_labels[0]
    assert sorted(what.train_index[train.changed]) == sorted(index[:5])


def test_mean_picture_is_that_of_the_training_part():
    what = load(preprocess_mode="mean_substract", validation_ratio=0.5)
    mean = what.images[what.split == TRAIN].astype(np.float64).mean(axis=0)
    # float32 resolves grey levels up to 255 to 255 · 2⁻²⁴ ≈ 1.5e-5.
    np.testing.assert_allclose(what.preprocessing.mean, mean, rtol=0, atol=2e-5)
    assert np.abs(mean - what.images[what.split != TEST].mean(axis=0)).max() > 0.1
    assert what.preprocessing.scale == 1


def test_flip_noise_without_a_map_is_refused(monkeypatch, digits):
    monkeypatch.setattr(data, "load", lambda name, **_: digits)
    with pytest.raises(InputError, match="^--flip_map=paper: .*--dataset=svhn_cropped"):
        load(dataset="svhn_cropped", noise_type="flip_noise", noise_rate=0.4)
