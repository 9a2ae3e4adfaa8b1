"""Variance components against a worked example, against scipy, and as the model is simulated."""

import numpy as np
import pytest
import scipy.stats

from jaxnoise.scores import variance


def balanced(scores, draws):
    """Run r on draw r modulo draws."""
    return variance.components(scores, np.arange(len(scores)) % draws)


def test_worked_example():
    # Draws {1, 3} and {7, 9}: MS_within 2, MS_between 36, so σ_a² = (36 − 2)/2 = 17.
    noise, training = balanced(np.array([1, 7, 3, 9], np.float32), 2)
    assert noise == pytest.approx(np.sqrt(17)) and training == pytest.approx(np.sqrt(2))


def test_three_draws_of_an_independent_implementation():
    noise, training = variance.components(np.array([1, 3, 2, 6, 10, 8]), np.repeat([0, 1, 2], 2))
    assert noise == pytest.approx(np.sqrt(11)) and training == pytest.approx(2)


def test_mean_squares_are_those_of_scipys_f_statistic():
    scores = np.random.default_rng(0).normal(size=12) + 2 * np.tile([0, 1, 2], 4)
    noise, training = balanced(scores, 3)
    f_statistic = scipy.stats.f_oneway(*scores.reshape(4, 3).T).statistic
    assert (4 * noise**2 + training**2) / training**2 == pytest.approx(f_statistic)


def test_equal_draws_have_no_noise_variance_and_no_negative_one():
    assert balanced(np.array([1, 1, 5, 5]), 2).noise == 0
    assert balanced(np.full(6, 3.0), 3) == (0, 0)


def test_estimates_are_near_the_truth():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, 4000) + rng.normal(0, 0.5, (3, 4000))
    noise, training = balanced(scores.ravel(), 4000)
    # The relative error of a standard deviation from n values is about 1/sqrt(2 n) = 1.1 %.
    assert noise == pytest.approx(2, rel=0.06) and training == pytest.approx(0.5, rel=0.06)


def test_runs_that_are_missing_leave_an_unbalanced_analysis():
    # Draws {1, 3}, {7}: MS_within 2, MS_between 2 (2 − 11/3)² + (7 − 11/3)² = 50/3, n₀ = 3 − 5/3.
    noise, training = variance.components(np.array([1.0, 7.0, 3.0]), np.array([0, 2, 0]))
    assert training == pytest.approx(np.sqrt(2))
    assert noise == pytest.approx(np.sqrt((50 / 3 - 2) / (4 / 3)))


def test_unbalanced_estimate_is_unbiased():
    rng = np.random.default_rng(0)
    draw = np.repeat([0, 1, 2], [4, 2, 1])
    squares = [
        variance.components(rng.normal(0, 3, 3)[draw] + rng.normal(size=7), draw).training ** 2
        for _ in range(2000)
    ]
    # Each is χ²/4 with 4 degrees of freedom: variance 1/2.
    assert np.mean(squares) == pytest.approx(1, abs=4 * np.sqrt(0.5 / 2000))


@pytest.mark.parametrize("draw", [[], [0], [1, 1, 1], [0, 1, 2]])
def test_too_few_draws_or_runs_give_no_figures(draw):
    assert np.isnan(variance.components(np.arange(len(draw)), np.array(draw, int))).all()


def test_a_score_that_is_no_number_gives_no_figures():
    with np.errstate(invalid="ignore"):
        assert np.isnan(balanced(np.array([1.0, np.nan, 2.0, 3.0]), 2)).all()
