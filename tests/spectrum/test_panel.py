"""Which pictures are measured, that every member is itself, and the numbers made of them."""

import functools
import json

import jax
import numpy as np
import pytest
import scipy.stats

from jaxnoise import train_step as ts
from jaxnoise.config import Config
from jaxnoise.labels.noisy_dataset import SPLITS, load
from jaxnoise.spectrum import fourier_lines, jacobian, shares
from jaxnoise.spectrum import panel as panel_of
from jaxnoise.spectrum import summary as spectral_summary
from jaxnoise.training import assembly

SETTINGS = dict(dataset="digits", train_size=200, test_size=60, total_repeats=2)


@functools.cache
def task(**settings):
    return load(Config(**SETTINGS | {"noise_rate": 0.4} | settings))


# Which pictures


def test_sets_are_what_their_names_say():
    what = task(noise_draws=2)
    chosen = panel_of.choose(what, 20)
    assert chosen.sizes == {"clean": 20, "changed": 20, "test": 20}
    sets = chosen.of_sets(chosen.lines.index)
    for i, labels in enumerate(what.noisy_labels):
        assert not labels.changed[sets["clean"][i]].any()
        assert labels.changed[sets["changed"][i]].all()
        assert (what.split[sets["test"][i]] == SPLITS.index("test")).all()
        for index in sets.values():
            assert len(set(index[i].tolist())) == 20
    assert (sets["changed"][0] != sets["changed"][1]).any()


def test_partners_are_of_the_split_and_of_the_class_or_not():
    what = task()
    index, same, other = panel_of.choose(what, 40).lines
    assert (what.labels[same] == what.labels[index]).all() and (same != index).all()
    assert (what.labels[other] != what.labels[index]).all()
    assert (what.split[same] == what.split[index]).all()
    assert (what.split[other] == what.split[index]).all()


def test_members_that_share_labels_share_pictures():
    lines = panel_of.choose(task(), 20).lines
    assert all((rows == rows[0]).all() for rows in lines)


def test_small_sets_are_taken_whole_and_missing_ones_left_out():
    assert panel_of.choose(task(noise_rate=0.0), 10**6).sizes == {"clean": 183, "test": 60}


# What is measured


@functools.cache
def measured():
    what = task()
    config = Config(**SETTINGS, noise_rate=0.4)
    engine, members = assembly.engine(config, what), assembly.members(config, what)
    program, trainer, pictures = engine
    start = jax.vmap(lambda key: ts.create_state(program, key, (28, 28, 1)))
    keys = jax.random.split(jax.random.key(0), 2)
    states = trainer.spread(jax.device_get(jax.jit(start)(keys)), members, pictures)
    chosen = panel_of.choose(what, 3)
    instrument = panel_of.Instrument(engine, members, chosen)
    return program, pictures, chosen, trainer.gather(states, 2), instrument.panel(states)


def test_a_member_among_others_is_measured_as_alone():
    program, pictures, chosen, states, panel = measured()
    for i in range(2):
        state, lines = (jax.tree.map(lambda x: x[i], tree) for tree in (states, chosen.lines))  # noqa: B023
        key = jax.random.key(panel_of.SEED)
        power = fourier_lines.line_spectra(state, lines, pictures, key, program=program)
        gram = jacobian.grams(state, lines.index, pictures, program=program)
        of_sets = chosen.of_sets(np.asarray(power)[None])
        singular = chosen.of_sets(jacobian.singular_values(np.asarray(gram))[None])
        for name in panel_of.SETS:
            # Sums in another order, squared, of the largest in a spectrum.
            expected = of_sets[name][0]
            np.testing.assert_allclose(
                panel.power[name][i], expected, rtol=1e-3, atol=1e-5 * expected.max()
            )
            largest = singular[name][0, :, 0]
            np.testing.assert_allclose(panel.singular_values[name][i, :, 0], largest, rtol=1e-3)
    assert panel.power["test"].shape == (2, 3, 3, fourier_lines.POINTS // 2 + 1)
    assert panel.norms.upper_bound.shape == (2,)


def test_a_diverged_member_has_no_numbers_and_harms_no_other():
    program, pictures, chosen, states, panel = measured()
    broken = jax.tree.map(
        lambda x: (
            np.where(np.arange(2).reshape(-1, *[1] * (x.ndim - 1)) == 0, np.nan, x)
            if np.issubdtype(x.dtype, np.floating)
            else x
        ),
        states,
    )
    config = Config(**SETTINGS, noise_rate=0.4)
    engine, members = assembly.engine(config, task()), assembly.members(config, task())
    trainer = engine.trainer
    instrument = panel_of.Instrument(engine, members, chosen)
    found = instrument.panel(trainer.spread(broken, members, pictures))
    np.testing.assert_allclose(found.power["test"][1], panel.power["test"][1], rtol=1e-4)
    assert np.isnan(found.power["test"][0]).all()
    assert np.isnan(found.singular_values["test"][0]).all()
    assert np.isnan(found.norms.upper_bound[0]) and np.isfinite(found.norms.upper_bound[1])
    summary = spectral_summary.summarize(found, length=7.0, cutoff=3)
    document = spectral_summary.document(summary, found, np.array([np.nan, 50.0]))
    text = json.dumps(document, allow_nan=False)
    assert "null" in text
    assert document["lipschitz"]["upper_bound"][0] is None


def test_bounds_enclose_each_other():
    *_, panel = measured()
    summary = spectral_summary.summarize(panel, length=7.0, cutoff=3)
    assert (summary.lower_bound > 0).all() and (summary.lower_bound < panel.norms.upper_bound).all()


# The numbers


def test_summary_of_a_panel_by_hand():
    *_, panel = measured()
    power = np.zeros((1, 2, 3, 5))
    power[..., 1], power[..., 4] = 3.0, 1.0
    singular = np.array([[[4.0, 3.0], [2.0, 0.0]]])
    summary = spectral_summary.summarize(
        panel._replace(power={"test": power}, singular_values={"test": singular}),
        length=2.0,
        cutoff=3,
    )
    assert (summary.share["test"] == 0.25).all() and (summary.power["test"] == 4).all()
    np.testing.assert_allclose(summary.centroid["test"], (3 * 1 + 4) / 4 / 2)
    np.testing.assert_allclose(summary.frobenius["test"], [[5, 2]])
    assert summary.lower_bound.tolist() == [4]


def test_interval_is_students_t_of_what_is_finite():
    values = np.random.default_rng(0).normal(size=30)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = spectral_summary.interval(np.r_[values, np.nan])
    assert found == pytest.approx((values.mean(), expected.low, expected.high), rel=1e-12)
    assert np.isnan(spectral_summary.interval(np.array([1.0, np.nan]))).all()


def test_mean_over_pictures_leaves_out_those_without_a_value():
    values = np.array([[[1.0, np.nan], [3.0, np.nan]]])
    np.testing.assert_array_equal(shares.mean_over_pictures(values), [[2.0, np.nan]])


def test_a_layer_without_a_kernel_has_null_where_its_norms_would_be():
    *_, panel = measured()
    norms = panel.norms._replace(operator=panel.norms.operator.copy())
    norms.operator[:, 1] = np.nan
    summary = spectral_summary.summarize(panel, length=7.0, cutoff=3)
    accuracy = np.array([50.0, 60.0])
    document = spectral_summary.document(summary, panel._replace(norms=norms), accuracy)
    json.dumps(document, allow_nan=False)
    of_layer = document["layers"][panel.layer_names[1]]
    assert of_layer["operator"] == [None, None]
    assert of_layer["layer"] == pytest.approx(norms.layer[:, 1].tolist())
    upper = document["lipschitz"]["upper_bound"]
    assert upper == pytest.approx(norms.upper_bound.tolist())
