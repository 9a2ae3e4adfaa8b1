import numpy as np
import pytest

from jaxnoise.config import InputError
from jaxnoise.labels import transition
from jaxnoise.labels.by_class import CleanSamples, symmetric_noise
from jaxnoise.labels.noise import NoisyLabels, corrupt
from jaxnoise.labels.noise import _by_class as by_class

MATRIX = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]])


def noisy_labels(clean, noisy, matrix=None):
    clean, noisy = np.array(clean, np.int32), np.array(noisy, np.int32)
    return NoisyLabels(noisy, clean, noisy != clean, noisy != clean, matrix)


# The matrix of a draw.


def test_matrix_of_a_draw_is_the_model_s():
    labels = np.arange(1000, dtype=np.int32) % 4
    samples = CleanSamples(labels, np.zeros((1000, 1, 1, 1), np.uint8), 4)
    train, _ = corrupt(by_class(symmetric_noise, rate=0.3), samples, samples, seed=0)
    matrix = transition.of_draw(train, 4)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, 0.6 * np.eye(4) + 0.1, rtol=1e-6)


def test_matrix_of_given_labels_is_counted_and_an_absent_class_keeps_its_label():
    labels = noisy_labels([0, 0, 0, 0, 2], [0, 1, 1, 2, 0])
    expected = [[0.25, 0.5, 0.25], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_array_equal(transition.of_draw(labels, 3), expected)


def test_a_model_that_knows_no_row_of_an_absent_class():
    unknown = MATRIX.copy()
    unknown[1] = np.nan  # as of instance_noise, which averages over samples
    labels = noisy_labels([0, 2], [0, 2], unknown)
    np.testing.assert_array_equal(transition.of_draw(labels, 3), MATRIX.astype(np.float32))


# Anchor points.


def predictions_of(matrix, samples=3000, seed=0):
    """What a perfect net of the noisy labels predicts: mixtures of rows, some samples all of one
    class."""
    rng = np.random.RandomState(seed)
    clean = rng.dirichlet(np.full(len(matrix), 0.3), samples)
    clean[: samples // 2] = np.eye(len(matrix))[np.arange(samples // 2) % len(matrix)]
    return (clean @ matrix).astype(np.float32)


@pytest.mark.parametrize("percentile", [None, 100])
def test_estimate_recovers_the_matrix_where_there_are_anchors(percentile):
    matrix = np.array([[0.8, 0.1, 0.1], [0.05, 0.75, 0.2], [0.0, 0.3, 0.7]])
    estimated = transition.estimate(predictions_of(matrix), percentile=percentile)
    assert estimated.dtype == np.float32
    np.testing.assert_allclose(estimated.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(estimated, matrix, atol=1e-6)


def test_anchors_by_hand():
    p = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.3, 0.7]], np.float32)
    np.testing.assert_allclose(
        transition.estimate(p, percentile=100), [[0.9, 0.1], [0.2, 0.8]], rtol=1e-6
    )
    # The third quarter of five: the second largest.
    np.testing.assert_allclose(
        transition.estimate(p, percentile=75), [[0.7, 0.3], [0.3, 0.7]], rtol=1e-6
    )


def test_the_percentile_is_robust_to_outliers():
    """A few samples that the net is wrongly sure of; they are 1 % of all."""
    predictions = predictions_of(MATRIX)
    predictions[:30] = [1, 0, 0]
    robust, naive = (transition.estimate(predictions, percentile=q) for q in (None, 100))
    np.testing.assert_allclose(robust[0], MATRIX[0], atol=1e-6)
    np.testing.assert_array_equal(naive[0], [1, 0, 0])


def test_many_classes_take_the_maximum():
    """With 50 classes the 97th percentile is not a sample of the class."""
    matrix = 0.8 * np.eye(50) + 0.2 / 50
    np.testing.assert_allclose(transition.estimate(predictions_of(matrix)), matrix, atol=1e-6)


def test_a_net_that_diverged_has_no_matrix():
    with pytest.raises(ValueError, match="not finite"):
        transition.estimate(np.full((4, 2), np.nan, np.float32))


# A user's matrix.


def test_a_file_is_read_and_checked(tmp_path):
    path = str(tmp_path / "m.npy")
    np.save(path, MATRIX)
    matrix = transition.read(path, flag="forward_matrix", num_classes=3)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, MATRIX.astype(np.float32))
    with pytest.raises(InputError, match="^--forward_matrix: the matrix is 3x3; allowed is 10x10"):
        transition.read(path, flag="forward_matrix", num_classes=10)
    np.save(path, 2 * MATRIX)
    with pytest.raises(InputError, match=f"^--forward_matrix={path}: one entry is 2"):
        transition.read(path, flag="forward_matrix", num_classes=3)


def test_a_label_that_the_matrix_makes_impossible_is_refused():
    never_one = np.array([[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]], np.float32)
    transition.check_labels(never_one, np.array([0, 2, 2]), flag="forward_matrix")
    with pytest.raises(InputError, match="^--forward_matrix: column 1 is 0, but .* labelled 1"):
        transition.check_labels(never_one, np.array([0, 1, 2]), flag="forward_matrix")
