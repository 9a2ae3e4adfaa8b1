"""Label noise: how many labels are picked, what becomes of them, and that it stays the same."""

import dataclasses
import hashlib
import itertools

import numpy as np
import pytest

from jaxnoise.config import Config, InputError
from jaxnoise.labels import by_class as models
from jaxnoise.labels import flip_maps, noise
from jaxnoise.labels.matrix_file import read_matrix

RATES = [0.0, 0.1, 0.25, 0.33, 0.4, 1.0]


def unbalanced_labels(num_classes, per_class=40):
    """Class k has per_class + k samples, in random order."""
    counts = per_class + np.arange(num_classes)
    labels = np.repeat(np.arange(num_classes), counts)
    return np.random.default_rng(7).permutation(labels)


def corrupt(labels, num_classes=10, *, seed=0, model=None, **settings):
    """The noise of the flags `settings` (or a model) on the training part, without pictures."""
    part, nothing = (
        noise.CleanSamples(x.astype(np.int32), np.zeros((len(x), 1, 1, 1), np.uint8), num_classes)
        for x in (labels, labels[:0])
    )
    model = model or noise.MODELS[settings["noise_type"]](Config(**settings))
    return noise.corrupt(model, part, nothing, seed=seed)[0]


def uniform(labels, rate, num_classes=10, seed=0):
    return corrupt(labels, num_classes, noise_type="uniform_noise", noise_rate=rate, seed=seed)


def test_the_number_of_picked_samples_is_the_originals():
    """int(N * rate) in floating point: one less where the product is just below a whole number."""
    assert uniform(np.arange(45_000) % 10, 0.7).picked.sum() == 31_499
    assert uniform(np.arange(45_000) % 10, 0.6).picked.sum() == 27_000


def flip(labels, rate, dataset, seed=0, flip_map="paper"):
    settings = dict(noise_type="flip_noise", noise_rate=rate, dataset=dataset, flip_map=flip_map)
    return corrupt(labels, 100 if dataset == "cifar100" else 10, seed=seed, **settings)


def assert_consistent(result, labels):
    """What holds for any noise."""
    assert [field.dtype for field in result[:4]] == [np.int32, np.int32, bool, bool]
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


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("name", "dataset"),
    [(name, d) for name in flip_maps.FLIP_MAPS for d in flip_maps.FLIP_MAPS[name]],
)
def test_flip_moves_exactly_its_share_of_each_source_class(name, dataset, rate):
    labels = unbalanced_labels(100 if dataset == "cifar100" else 10)
    result, flips = flip(labels, rate, dataset, flip_map=name), flip_maps.FLIP_MAPS[name][dataset]
    assert_consistent(result, labels)
    np.testing.assert_array_equal(result.changed, result.picked)
    for label in np.unique(labels):
        of_class = labels == label
        moves = label in flips
        assert result.picked[of_class].sum() == (int(rate * of_class.sum()) if moves else 0)
        expected = np.where(result.picked[of_class], flips.get(label, label), label)
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
        "--flip_map=paper: not defined for --dataset=svhn_cropped; allowed are the data sets "
        "cifar10, cifar100, digits, fashion_mnist, mnist, or --flip_map=pair for any data set"
    )


# symmetric_noise, pair_noise


@pytest.mark.parametrize("rate", RATES)
def test_symmetric_changes_exactly_its_share(rate):
    labels = unbalanced_labels(10)
    result = corrupt(labels, noise_type="symmetric_noise", noise_rate=rate)
    assert_consistent(result, labels)
    np.testing.assert_array_equal(result.changed, result.picked)  # never its own class
    assert result.changed.sum() == int(rate * len(labels))


@pytest.mark.parametrize("rate", RATES)
def test_pair_moves_its_share_of_each_class_to_the_next(rate):
    labels = unbalanced_labels(7)
    result = corrupt(labels, 7, noise_type="pair_noise", noise_rate=rate)
    assert_consistent(result, labels)
    np.testing.assert_array_equal(result.noisy, (labels + result.changed) % 7)
    of_class = np.bincount(labels)
    np.testing.assert_array_equal(np.bincount(labels[result.changed], minlength=7),
                                  (rate * of_class).astype(int))  # fmt: skip
    same = flip(labels % 7, rate, "any", flip_map="pair")
    assert same.picked.sum() == result.picked.sum()


# matrix_noise

MATRIX = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]])


def by_matrix(labels, rate, matrix=MATRIX, **more):
    model = noise._by_class(models.matrix_noise, rate=rate, matrix=matrix)
    return corrupt(labels, 3, model=model, **more)


def test_rows_are_drawn_from_and_impossible_moves_never_happen():
    labels = np.arange(30_000) % 3
    result = by_matrix(labels, 1.0)
    assert result.picked.all()
    np.testing.assert_array_equal(result.transition_matrix, MATRIX)
    realized = result.realized_matrix(3)
    assert (realized[MATRIX == 0] == 0).all()
    assert np.abs(realized - MATRIX).max() < 5 * np.sqrt(0.25 / 10_000)  # binomial shares


def test_draws_are_rows_of_any_length_and_never_of_probability_zero():
    tiny = np.full((100_000, 12), 0.1)  # ten times 0.1 is not quite 1, and less than 1 - 1e-17
    tiny[:, [0, 11]] = 0
    drawn = models.draw_rows(tiny, np.random.RandomState(0))
    assert drawn.dtype == np.int32 and set(drawn) == set(range(1, 11))


def write_matrix(path, text):
    path.write_text(text)
    return str(path)


def test_matrix_files_are_read(tmp_path):
    np.save(tmp_path / "m.npy", MATRIX)
    np.savetxt(tmp_path / "m.csv", MATRIX, delimiter=",")
    for name in ("m.npy", "m.csv"):
        np.testing.assert_array_equal(
            read_matrix(str(tmp_path / name), flag="noise_matrix"), MATRIX
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5,0.5\n0.5,0.6", r"row 1 sums to 1\.1; allowed is 1"),
        ("1.5,-0.5\n0,1", r"one entry is 1\.5; allowed is \[0, 1\]"),
        ("nan,1\n0,1", r"one entry is nan; allowed is \[0, 1\]"),
        ("1,0,0\n0,1,0", r"shape \(2, 3\); allowed is KxK"),
        ("1,0\n0", "cannot be read: "),
        ("1,zero\n0,1", "cannot be read: "),
        ("", r"shape \(0,\); allowed is KxK"),
    ],
)
def test_bad_matrix_is_refused(tmp_path, text, said):
    path = write_matrix(tmp_path / "m.csv", text)
    with pytest.raises(InputError, match=f"^--noise_matrix={path}: {said}"):
        read_matrix(path, flag="noise_matrix")


def test_other_files_and_sizes_are_refused(tmp_path):
    (tmp_path / "broken.npy").write_bytes(b"no array")
    for name, said in [
        ("m.txt", "allowed file types are .npy, .csv"),
        ("none.npy", "cannot be read: .*No such file"),
        ("broken.npy", "cannot be read: "),
    ]:
        with pytest.raises(InputError, match=said):
            read_matrix(str(tmp_path / name), flag="noise_matrix")
    with pytest.raises(InputError, match="^--noise_matrix: the matrix is 2x2; allowed is 3x3"):
        by_matrix(np.zeros(3, int), 1.0, matrix=np.eye(2))


# Every class-conditional model


def model_matrix(noise_type, rate):
    """The matrix by its formula, entry by entry, for ten classes."""
    matrix = np.zeros((10, 10))
    for i, j in itertools.product(range(10), range(10)):
        matrix[i, j] = {
            "uniform_noise": (1 - rate) * (i == j) + rate / 10,
            "symmetric_noise": 1 - rate if i == j else rate / 9,
            "pair_noise": {i: 1 - rate, (i + 1) % 10: rate}.get(j, 0),
        }[noise_type]
    return matrix


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("noise_type", ["uniform_noise", "symmetric_noise", "pair_noise"])
def test_matrix_is_the_formulas_and_the_draws_follow_it(noise_type, rate):
    labels = np.arange(50_000) % 10
    result = corrupt(labels, noise_type=noise_type, noise_rate=rate)
    expected = model_matrix(noise_type, rate)
    np.testing.assert_allclose(result.transition_matrix, expected, rtol=0, atol=1e-15)
    # Binomial shares of 5,000 samples of each class, within five standard deviations.
    assert np.abs(result.realized_matrix(10) - expected).max() < 5 * np.sqrt(0.25 / 5000)
    assert ((expected == 0) <= (result.realized_matrix(10) == 0)).all()


def test_flips_matrix_moves_its_sources_alone():
    result = flip(np.arange(1000) % 10, 0.4, "mnist")
    expected = np.eye(10)
    for source, target in flip_maps.FLIP_MAPS["paper"]["mnist"].items():
        expected[source, [source, target]] = 0.6, 0.4
    np.testing.assert_allclose(result.transition_matrix, expected, rtol=0, atol=1e-15)
    # Each class has 100 samples, of which exactly 40 move.
    np.testing.assert_allclose(result.realized_matrix(10), expected, rtol=0, atol=1e-15)


# All


def hash_of(result):
    content = result.noisy.astype("<i4").tobytes() + np.packbits(result.picked).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def test_noise_is_the_same_forever():
    # These labels are part of published results: no version of NumPy or jaxnoise may change them.
    labels = np.arange(1000) % 10
    assert hash_of(uniform(labels, 0.4, seed=3)) == "1135a2c5194e75f0"
    assert hash_of(flip(labels, 0.4, "mnist", seed=3)) == "db3a119e321360cc"


@pytest.mark.parametrize(
    "noise_type", ["uniform_noise", "symmetric_noise", "flip_noise", "pair_noise"]
)
def test_seed_alone_decides(noise_type):
    labels, settings = unbalanced_labels(10), dict(noise_type=noise_type, dataset="mnist")
    one, again, other = (
        corrupt(labels, noise_rate=0.4, seed=seed, **settings) for seed in (1, 1, 2)
    )
    for field, same in zip(one, again, strict=True):
        np.testing.assert_array_equal(field, same)
    assert (one.picked != other.picked).any()


def test_labels_given_are_left_alone():
    labels = unbalanced_labels(10)
    before = labels.copy()
    uniform(labels, 1.0)
    flip(labels.astype(np.int32), 1.0, "mnist")
    np.testing.assert_array_equal(labels, before)


def test_validation_has_a_stream_of_its_own():
    part = noise.CleanSamples(np.arange(200, dtype=np.int32) % 10, np.zeros((200, 1, 1, 1)), 10)
    model = noise.MODELS["uniform_noise"](Config(noise_rate=0.4))
    train, valid = noise.corrupt(model, part, part, seed=3)
    assert train.picked.sum() == valid.picked.sum() == 80
    assert (train.picked != valid.picked).any() and (train.noisy != valid.noisy).any()
    other = noise.corrupt(model, part._replace(labels=part.labels[:50]), part, seed=3)[1]
    np.testing.assert_array_equal(other.noisy, valid.noisy)


def test_every_model_can_be_asked_for():
    (field,) = [f for f in dataclasses.fields(Config) if f.name == "noise_type"]
    assert set(field.metadata["choices"]) == {*noise.MODELS, "human_noise"}


LABELS = noise.NoisyLabels(
    np.array([1, 0, 0], np.int32),
    np.array([0, 0, 0], np.int32),
    np.array([1, 1, 0], bool),
    np.array([1, 0, 0], bool),
)


def test_summary_counts_and_hashes():
    content = bytes([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])  # three little-endian int32
    assert LABELS.summary() == {
        "picked": 2,
        "changed": 1,
        "true_rate": 0.333333,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_realized_matrix_counts_and_knows_no_absent_class():
    expected = [[2 / 3, 1 / 3], [np.nan, np.nan]]
    np.testing.assert_array_equal(LABELS.realized_matrix(2), expected)


def test_entry_of_the_scores_and_its_words():
    config = Config(noise_rate=0.4, noise_seed=5, noise_draws=2, total_repeats=4)
    entry = noise.summary(config, [LABELS, LABELS._replace(changed=LABELS.picked)])
    assert entry["noise"] == "uniform_noise 0.4" and entry["requested_rate"] == 0.4
    assert entry["true_rate"] == 0.5
    assert [draw["seed"] for draw in entry["draws"]] == [5, 6]
    assert [draw["changed"] for draw in entry["draws"]] == [1, 2]
    words = noise.in_words(entry)
    assert words[0] == (
        "draw 1: 2 training labels picked, 1 changed: true rate 33.33 %, "
        f"SHA-256 {LABELS.sha256[:16]}"
    )
    one = noise.summary(Config(noise_file="labels.npy"), [LABELS])
    assert one["requested_rate"] is None and one["draws"][0]["seed"] is None
    assert noise.in_words(one) == [words[0].removeprefix("draw 1: ")]
