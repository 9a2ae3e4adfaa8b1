"""Calibration measures against closed forms, hand counts and scikit-learn."""

import numpy as np
import pytest
import scipy.special
from sklearn.metrics import log_loss

from jaxnoise.scores import calibration


def random_predictions(seed=0, samples=500, classes=10):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(samples, classes)).astype(np.float32)
    return logits, rng.integers(0, classes, samples)


def test_ece_by_hand():
    # Two bins, (0, 1/2] and (1/2, 1]: of the surer three two are right.
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.5, 0.5]])
    labels = np.array([0, 0, 0, 1])
    sure, unsure = abs(2 / 3 - (0.9 + 0.8 + 0.7) / 3), abs(0 - 0.5)
    expected = 3 / 4 * sure + 1 / 4 * unsure
    assert calibration.ece(probabilities=probabilities, labels=labels, bins=2) == (
        pytest.approx(expected, rel=1e-12)
    )


def test_ece_bins_hold_their_upper_edge():
    # 0.5 with a right and 0.6 with a wrong prediction: apart they do not make up for each other.
    probabilities, labels = np.array([[0.5, 0.5], [0.6, 0.4]]), np.array([0, 1])
    together = abs(1 - 0.5 + 0 - 0.6) / 2
    apart = (abs(1 - 0.5) + abs(0 - 0.6)) / 2
    for bins, expected in ((1, together), (2, apart)):
        assert calibration.ece(probabilities=probabilities, labels=labels, bins=bins) == (
            pytest.approx(expected, rel=1e-12)
        )


def test_a_forecast_that_is_right_as_often_as_it_is_sure_has_no_error():
    probabilities = np.tile([0.7, 0.3], (10, 1))
    labels = np.repeat([0, 1], [7, 3])
    assert calibration.ece(probabilities=probabilities, labels=labels) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("label", "ece", "nll", "brier"), [(0, 0, 0, 0), (1, 1, 1000, 2)])
def test_certain_predictions_have_the_extreme_values(label, ece, nll, brier):
    """And the logarithm of a probability of e⁻¹⁰⁰⁰ is not infinite."""
    measured = calibration.measure(np.float32([[1000, 0, 0]] * 4), np.full(4, label))
    assert measured == pytest.approx(
        {"test_ece": ece, "test_nll": nll, "test_brier": brier}, abs=1e-12
    )


@pytest.mark.parametrize("classes", [2, 10])
def test_uniform_predictions_have_closed_forms(classes):
    labels = np.arange(classes)
    measured = calibration.measure(np.zeros((classes, classes), np.float32), labels)
    # (1 − 1/K)² + (K − 1)/K² = 1 − 1/K; all predict class 0 with confidence 1/K, and 1/K is right.
    expected = {"test_ece": 0, "test_nll": np.log(classes), "test_brier": 1 - 1 / classes}
    assert measured == pytest.approx(expected, abs=1e-12)


def test_random_predictions_against_definitions():
    logits, labels = random_predictions()
    p = scipy.special.softmax(np.float64(logits), axis=1)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    ece = 0.0
    for m in range(1, 16):
        of_bin = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if of_bin.any():
            ece += of_bin.mean() * abs(right[of_bin].mean() - confidence[of_bin].mean())
    measured = calibration.measure(logits, labels)
    assert measured == pytest.approx(
        {
            "test_ece": ece,
            "test_nll": log_loss(labels, p),
            "test_brier": np.square(p - np.eye(10)[labels]).sum(axis=1).mean(),
        },
        rel=1e-9,
    )


def test_classes_missing_among_the_labels_are_no_trouble():
    logits, _ = random_predictions(samples=3)
    assert np.isfinite(list(calibration.measure(logits, np.array([4, 4, 4])).values())).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_repeat_is_not_a_number(value):
    logits, labels = random_predictions(samples=3)
    logits[1, 2] = value
    assert np.isnan(list(calibration.measure(logits, labels).values())).all()
