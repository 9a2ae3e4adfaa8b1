"""The noise estimated from predictions: by confident learning, by anchor points, and how well."""

import numpy as np
import pytest

from jaxnoise.labels import transition
from jaxnoise.labels.noise import NoisyLabels
from jaxnoise.scores import estimates

# Twelve predictions, and the labels of the samples.
PREDICTED = np.array([
    [80, 15, 5], [60, 30, 10], [45, 35, 20], [10, 80, 10], [20, 70, 10], [15, 25, 60],
    [5, 85, 10], [30, 40, 30], [10, 20, 70], [5, 5, 90], [70, 20, 10], [20, 10, 70],
]) / 100  # fmt: skip
GIVEN = np.repeat([0, 1, 2], 4)


def labels(noisy, clean):
    noisy, clean = np.int32(noisy), np.int32(clean)
    return NoisyLabels(noisy, clean, noisy != clean, noisy != clean)


def drawn(samples, matrix, seed=0):
    """Clean labels, and noisy ones by a transition matrix."""
    rng = np.random.default_rng(seed)
    clean = rng.integers(len(matrix), size=samples)
    noisy = (rng.random(samples)[:, None] > np.cumsum(matrix, axis=1)[clean]).sum(axis=1)
    return labels(noisy, clean)


def sure(classes, num_classes, p=0.9):
    """Logits of a net that gives each of these classes the probability p."""
    probabilities = np.full((len(classes), num_classes), (1 - p) / (num_classes - 1))
    probabilities[np.arange(len(classes)), classes] = p
    return np.log(probabilities)


def test_joint_by_hand():
    # Thresholds: (0.9 + 0.7 + 0.6 + 0.2) / 4 = 0.6 of class 0, (0.9 + 0.2) / 2 = 0.55 of class 1.
    # With label 0 three samples are confidently 0 and one is 1; with label 1 one is 1, one is 0.
    p = np.array([0.9, 0.7, 0.6, 0.2, 0.1, 0.8])
    given = np.array([0, 0, 0, 0, 1, 1])
    found = estimates.joint(np.stack([p, 1 - p], axis=1), given)
    np.testing.assert_allclose(found, [[4 / 6 * 3 / 4, 4 / 6 / 4], [2 / 6 / 2, 2 / 6 / 2]])
    estimate = estimates.by_confident_learning(np.stack([p, 1 - p], axis=1), given)
    assert estimate.rate == pytest.approx(1 / 6 + 1 / 6)
    np.testing.assert_allclose(estimate.matrix, [[3 / 4, 1 / 4], [1 / 2, 1 / 2]])


def test_joint_is_cleanlabs():
    """cleanlab 2.9.0: count.compute_confident_joint without calibration, and estimate_joint."""
    confident_joint = np.array([[2, 1, 0], [0, 2, 1], [1, 0, 3]])
    found = estimates.joint(PREDICTED, GIVEN)
    np.testing.assert_allclose(found * 3, confident_joint / confident_joint.sum(1, keepdims=True))
    # It makes whole samples of them.
    np.testing.assert_array_equal(np.rint(found * 12), [[3, 1, 0], [0, 3, 1], [1, 0, 3]])


@pytest.mark.parametrize("p", [0.6, 0.9, 1 - 1e-9])
def test_a_sure_net_finds_the_noise_exactly(p):
    matrix = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [0.3, 0, 0.7]])
    given = drawn(300, matrix)
    scores, matrices = estimates.measure(sure(given.clean, 3, p), given, given)
    assert scores["confident_rate"] == pytest.approx(given.changed.mean())
    assert scores["confident_rate_error"] == pytest.approx(0, abs=1e-12)
    assert scores["confident_matrix_error"] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(matrices["confident"], given.realized_matrix(3), atol=1e-12)


def test_a_net_that_predicts_the_noisy_distribution_has_it_at_its_anchor_points():
    matrix = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [0.3, 0.1, 0.6]])
    given = drawn(3000, matrix)
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(matrix[given.clean]), -50)
    scores, matrices = estimates.measure(logits, given, given)
    np.testing.assert_allclose(matrices["anchor"], matrix, atol=1e-6)
    shares = np.bincount(given.clean) / 3000
    assert scores["anchor_rate"] == pytest.approx(shares @ [0.3, 0, 0.4], abs=1e-6)
    assert scores["anchor_rate_error"] < 0.02 and scores["anchor_matrix_error"] < 0.06


def test_anchor_points_are_those_of_the_forward_loss():
    _, matrix = estimates.by_anchor_points(PREDICTED)
    np.testing.assert_array_equal(matrix, transition.estimate(PREDICTED))


def test_labels_without_noise_have_the_rate_0_and_no_error():
    given = labels(GIVEN, GIVEN)
    scores, matrices = estimates.measure(sure(GIVEN, 3), given, given)
    assert scores["confident_rate"] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(matrices["confident"], np.eye(3))
    # No label is known to be right.
    errors = [x for name, x in scores.items() if name.endswith("_error")]
    assert len(errors) == 4 and np.isnan(errors).all()


def test_the_order_of_samples_does_not_matter():
    order = np.random.default_rng(1).permutation(len(GIVEN))
    for estimate, again in (
        (estimates.by_confident_learning(PREDICTED, GIVEN),
         estimates.by_confident_learning(PREDICTED[order], GIVEN[order])),
        (estimates.by_anchor_points(PREDICTED), estimates.by_anchor_points(PREDICTED[order])),
    ):  # fmt: skip
        assert again.rate == pytest.approx(estimate.rate)
        np.testing.assert_allclose(again.matrix, estimate.matrix)


def test_other_numbers_of_the_classes_are_those_of_the_estimates():
    order = np.array([2, 0, 1])  # the class that is now called 0, 1, 2
    place = np.argsort(order)
    for estimate, again in (
        (estimates.by_confident_learning(PREDICTED, GIVEN),
         estimates.by_confident_learning(PREDICTED[:, order], place[GIVEN])),
        (estimates.by_anchor_points(PREDICTED), estimates.by_anchor_points(PREDICTED[:, order])),
    ):  # fmt: skip
        assert again.rate == pytest.approx(estimate.rate)
        np.testing.assert_allclose(again.matrix, estimate.matrix[np.ix_(order, order)])


def test_a_class_without_labels_has_no_row_and_is_left_out_of_the_distance():
    given = labels([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0])
    scores, matrices = estimates.measure(sure(given.clean, 3), given, given)
    assert np.isnan(matrices["confident"][2]).all()
    np.testing.assert_allclose(matrices["confident"][:2, :2], [[2 / 3, 1 / 3], [1 / 3, 2 / 3]])
    assert scores["confident_matrix_error"] == pytest.approx(0, abs=1e-12)


def test_labels_without_a_confident_sample_are_taken_to_be_right():
    # Label 1: p_0 and p_1 are below the means of both classes.
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.8, 0.2]])
    np.testing.assert_allclose(estimates.joint(p, np.array([0, 0, 1])), [[2 / 3, 0], [0, 1 / 3]])
    q = np.array([[0.9, 0.05, 0.05], [0.1, 0.5, 0.4], [0.1, 0.4, 0.5]])
    found = estimates.joint(q, np.array([0, 1, 2]))
    np.testing.assert_allclose(found, np.eye(3) / 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_net_that_diverged_estimates_nothing(value):
    logits = sure(GIVEN, 3)
    logits[4, 1] = value
    given = drawn(12, np.full((3, 3), 1 / 3))
    scores, matrices = estimates.measure(logits, given, given)
    assert list(scores) == list(estimates.ESTIMATED) and np.isnan(list(scores.values())).all()
    assert list(matrices) == list(estimates.WAYS)
    assert all(each.shape == (3, 3) and np.isnan(each).all() for each in matrices.values())


def test_without_held_out_samples_nothing_is_estimated():
    train = drawn(12, np.full((3, 3), 1 / 3))
    scores, _ = estimates.measure(np.zeros((0, 3), np.float32), labels([], []), train)
    assert np.isnan(list(scores.values())).all()


def test_held_out_labels_without_the_noise_say_nothing_of_it():
    train = drawn(30, np.full((3, 3), 1 / 3))
    scores, _ = estimates.measure(sure(GIVEN, 3), labels(GIVEN, GIVEN), train)
    known = [name for name, x in scores.items() if np.isfinite(x)]
    assert known == ["anchor_rate", "anchor_rate_error", "anchor_matrix_error"]


def test_distance_of_matrices():
    identity, swapped = np.eye(2), np.eye(2)[::-1]
    assert estimates.matrix_error(identity, identity) == 0
    assert estimates.matrix_error(identity, swapped) == 2
    # Rows at distances 0.5 + 0.5 and 0.
    assert estimates.matrix_error(np.array([[0.5, 0.5], [0, 1]]), identity) == pytest.approx(0.5)
    lacking = np.array([[np.nan, np.nan], [1, 0]])
    assert estimates.matrix_error(lacking, identity) == 2
    assert np.isnan(estimates.matrix_error(np.full((2, 2), np.nan), identity))
