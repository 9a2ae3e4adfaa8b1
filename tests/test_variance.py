"""Variance components against a worked example, against scipy, and as the model is simulated."""

import numpy as np
import pytest
import scipy.stats

from jaxnoise import variance


def test_worked_example():
    # Draws {1, 3} and {7, 9}: MS_within 2, MS_between 36, so σ_a² = (36 − 2)/2 = 17.
    noise, training = variance.components(np.array([1, 7, 3, 9], np.float32), 2)
    assert noise == pytest.approx(np.sqrt(17)) and training == pytest.approx(np.sqrt(2))


def test_mean_squares_are_those_of_scipys_f_statistic():
    scores = np.random.default_rng(0).normal(size=12) + 2 * np.tile([0, 1, 2], 4)
    noise, training = variance.components(scores, 3)
    f_statistic = scipy.stats.f_oneway(*scores.reshape(4, 3).T).statistic
    assert (4 * noise**2 + training**2) / training**2 == pytest.approx(f_statistic)


def test_equal_draws_have_no_noise_variance_and_no_negative_one():
    assert variance.components(np.array([1, 1, 5, 5]), 2).noise == 0
    assert variance.components(np.full(6, 3.0), 3) == (0, 0)


def test_estimates_are_near_the_truth():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, 4000) + rng.normal(0, 0.5, (3, 4000))
    noise, training = variance.components(scores.ravel(), 4000)
    # The relative error of a standard deviation from n values is about 1/sqrt(2 n) = 1.1 %.
    assert noise == pytest.approx(2, rel=0.06) and training == pytest.approx(0.5, rel=0.06)


def test_diverged_run_gives_no_figures():
    with np.errstate(invalid="ignore"):
        assert np.isnan(variance.components(np.array([1.0, np.nan, 2.0, 3.0]), 2)).all()
