"""Rank correlation against SciPy's, its interval, and the words."""

import numpy as np
import pytest
import scipy.stats

from jaxnoise.config import Config
from jaxnoise.runs.pairs import Difference
from jaxnoise.spectrum import verdict


def test_spearman_is_scipys_with_ties_too():
    rng = np.random.default_rng(0)
    for x, y in (rng.normal(size=(2, 25)), rng.integers(0, 4, (2, 25))):
        expected = scipy.stats.spearmanr(x, y).statistic
        assert verdict.spearman(x, y) == pytest.approx(expected, rel=1e-12)


def test_spearman_of_what_does_not_vary_is_nothing():
    assert np.isnan(verdict.spearman(np.ones(4), np.arange(4.0)))


def runs(slope, noise, *, seed=0, count=6, members=5):
    rng = np.random.default_rng(seed)
    x = [i + 0.1 * rng.normal(size=members) for i in range(count)]
    return x, [slope * values + noise * rng.normal(size=members) for values in x]


def test_a_clear_relation_has_an_interval_on_its_side():
    for slope in (-1, 1):
        found = verdict.correlation(*runs(slope, 0.1))
        assert found.low <= found.rho <= found.high
        assert slope * found.low > 0.5 and slope * found.high > 0.5


def test_runs_and_not_members_make_the_interval():
    """Two runs of many alike members tell little: the interval reaches zero or beyond."""
    x = [np.linspace(0, 0.1, 50), np.linspace(1, 1.1, 50)]
    rng = np.random.default_rng(1)
    y = [rng.normal(size=50), 5 + rng.normal(size=50)]
    found = verdict.correlation(x, y)
    assert found.rho > 0.7 and found.low < 0.4


def test_members_that_diverged_are_left_out():
    x, y = runs(1, 0.1)
    expected = verdict.correlation([x[0][1:], *x[1:]], [y[0][1:], *y[1:]])
    y[0][0] = np.nan
    assert verdict.correlation(x, y) == expected
    assert np.isnan(verdict.correlation([np.ones(2)], [np.ones(2)])).all()


@pytest.mark.parametrize(
    ("interval", "word"), [((-2, -1), "lowers"), ((1, 2), "raises"), ((-1, 1), "does not")]
)
def test_verbs(interval, word):
    assert verdict._verb(Difference(0.0, *interval)).startswith(word)


@pytest.mark.parametrize(
    ("settings", "common", "labels"),
    [
        ([{}, {"do_sn": True}], "digits, lenet, uniform_noise 0.4", ["no_reg", "sn"]),
        ([{}, {"net": "lenet", "total_repeats": 2}], "digits, lenet, uniform_noise 0.4",
         ["no_reg", "no_reg"]),
        ([{}, {"net": "allcnn"}], "digits, uniform_noise 0.4", ["no_reg lenet", "no_reg allcnn"]),
        ([{"seed": 1}, {"epochs_num": 7}], "digits, lenet, uniform_noise 0.4",
         ["no_reg seed=1", "no_reg epochs_num=7"]),
        ([{"dataset": "mnist", "noise_rate": 0.2}, {"wd_coef": 0.1}], "lenet",
         ["no_reg mnist uniform_noise 0.2", "wd_0.1 digits uniform_noise 0.4"]),
        ([{"dataset": "cifar10", "noise_rate": 0.2}, {}], "",
         ["no_reg cifar10 allcnn uniform_noise 0.2", "no_reg digits lenet uniform_noise 0.4"]),
    ],
)  # fmt: skip
def test_labels_say_what_runs_differ_in(settings, common, labels):
    configs = [Config(**{"dataset": "digits", "noise_rate": 0.4} | one) for one in settings]
    assert verdict.common_and_labels(configs) == (common, labels)
