"""The moving average of a member's weights: its values, its batch norm, its accuracies."""

import dataclasses
import functools

import bright_rows
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.config import Config
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.training import assembly, evaluation, loop
from jaxnoise.training.trainer import Trainer

TRAIN, VALID, TEST, BATCH, DECAY = 70, 35, 25, 32, 0.9
pictures = functools.partial(bright_rows.pictures, TRAIN, VALID, TEST)


class Small(nn.Module):
    """Two layers of the package, which are compiled fast."""

    num_classes: int
    spectral: SpectralNorm | None

    @nn.compact
    def __call__(self, images, *, train):
        x = images.reshape(len(images), -1).T
        x = nets.DenseBlock(16, self.spectral, name="hidden")(x, train=train)
        return nets.DenseBlock(self.num_classes, self.spectral, last=True)(x, train=train).T


def member(repeat, entropy=0.0):
    labels = np.asarray(pictures().labels[: TRAIN + VALID]).copy()
    labels[:10] = labels[TRAIN : TRAIN + 10] = np.random.default_rng(repeat).integers(0, 10, 10)
    weights = ts.Coefficients(np.float32(0), np.float32(0), np.float32(entropy))
    return loop.Member(loop.member_key(0, repeat), labels[:TRAIN], labels[TRAIN:], weights)


@functools.cache
def program(decay=DECAY):
    optimizer = assembly.optimizer(Config(net="lenet"), steps_per_epoch=3)
    return ts.Program(Small(10, SpectralNorm()), optimizer, ema_decay=decay)


@functools.cache
def run(*members, decay=DECAY, epochs=3):
    """Progress and metrics after each epoch."""
    trainer = Trainer(program(decay), BATCH, stages=(False,), members_at_once=len(members))
    trained = trainer.epochs(
        [member(*each) for each in members], pictures(), epochs=epochs, jacob_start_epoch=epochs
    )
    return [(trainer.gather(groups, len(members)), metrics) for groups, metrics in trained]


def two():
    """The second diverges at once."""
    return run((0,), (1, np.nan))


def select(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def assert_close(found, expected, tolerance=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        found, expected,
    )  # fmt: skip


# The average


@pytest.mark.parametrize("decay", [0.01, 0.5, 0.9, 0.99])
def test_under_a_constant_gradient_it_lags_by_a_geometric_sum(decay):
    """Parameters p − t g: after k steps the average is p − g (k − d (1 − d^k) / (1 − d))."""
    start, gradient, steps = np.float32([2.0, -1.0]), np.float32([0.5, 0.25]), 20
    ema = {"w": start}
    for step in range(1, steps + 1):
        ema = ts.averaged(ema, {"w": start - step * gradient}, decay=decay)
    behind = decay * (1 - decay**steps) / (1 - decay)
    np.testing.assert_allclose(ema["w"], start - gradient * (steps - behind), rtol=1e-5)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99, 0.999, 0.9999, 0.999999])
def test_its_two_factors_sum_to_one_in_float32(decay):
    one, zero = jnp.float32(1), jnp.float32(0)
    new, old = ts.averaged(zero, one, decay=decay), ts.averaged(one, zero, decay=decay)
    assert new.dtype == old.dtype == jnp.float32
    assert float(new) + float(old) == 1 and float(old) == np.float32(decay)


def test_it_begins_with_the_initial_parameters_and_takes_in_each_step():
    p = program()
    state = jax.jit(lambda key: ts.create_state(p, key, (28, 28, 1)))(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, state.ema, state.params)
    batch = ts.Batch(pictures().preprocess(pictures().images[:8]), pictures().labels[:8])
    step = jax.jit(functools.partial(ts.train_step, program=p, with_jacobian=False))
    expected = jax.tree.map(np.float64, state.params)
    for i in range(3):
        state, _ = step(state, batch, ts.Coefficients(0.0, 0.0, 0.0), jax.random.key(i))
        expected = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * np.float64(b), expected, state.params)
    assert_close(state.ema, expected)


def test_without_a_decay_there_is_none():
    state = jax.eval_shape(
        lambda key: ts.create_state(program(None), key, (28, 28, 1)), jax.random.key(0)
    )
    assert state.ema is None
    progress = jax.eval_shape(
        functools.partial(loop.start, program=program(None)), member(0), pictures()
    )
    assert progress.ema_variables is None


def test_the_average_over_one_step_is_the_last_parameters():
    progress, metrics = run((0,), decay=1e-9, epochs=1)[-1]
    assert_close(progress.state.ema, progress.state.params, 1e-6)
    assert_close(progress.ema_variables, progress.state.variables, 1e-4)
    for name in ("test_accuracy", "valid_accuracy", "valid_noisy_accuracy"):
        np.testing.assert_allclose(metrics[f"ema_{name}"], metrics[name], rtol=1e-6)


# In training


def test_a_member_alone_has_the_average_that_it_has_among_others():
    for (together, _), (alone, _) in zip(two(), run((0,)), strict=True):
        ours, theirs = select(together, 0), select(alone, 0)
        assert_close(ours.state.ema, theirs.state.ema, 2e-3)
        assert_close(ours.ema_variables, theirs.ema_variables, 2e-3)
    assert any(
        np.abs(a - b).max() > 1e-2
        for a, b in zip(
            jax.tree.leaves(ours.state.ema), jax.tree.leaves(ours.state.params), strict=True
        )
    )


def test_training_goes_on_as_without_it():
    for (ours, our_metrics), (theirs, their_metrics) in zip(
        run((0,)), run((0,), decay=None), strict=True
    ):
        assert_close(ours.state.params, theirs.state.params, 2e-3)
        assert our_metrics.keys() - their_metrics.keys() == {
            "ema_test_accuracy", "ema_valid_accuracy", "ema_valid_noisy_accuracy",
        }  # fmt: skip
        np.testing.assert_array_equal(ours.best_epoch, theirs.best_epoch)


def test_it_is_evaluated_with_the_moments_of_its_own_layers():
    progress, metrics = two()[1]
    state, labels = select(progress.with_average, 0), np.asarray(pictures().labels)
    jax.tree.map(np.testing.assert_array_equal, state.params, select(progress.state.ema, 0))
    again = jax.jit(functools.partial(evaluation.renewed, samples=TRAIN, program=program()))
    assert_close(again(state, pictures()).variables, state.variables)
    stats = state.variables["batch_stats"], select(progress.state.variables, 0)["batch_stats"]
    assert np.abs(stats[0]["hidden"]["bn"]["mean"] - stats[1]["hidden"]["bn"]["mean"]).max() > 1e-3
    jax.tree.map(
        np.testing.assert_array_equal,
        state.variables["spectral"],
        select(progress.state.variables, 0)["spectral"],
    )
    images = pictures().preprocess(pictures().images)
    apply = jax.jit(lambda v: program().net.apply(v, images, train=False))
    predicted = np.argmax(apply({"params": state.params, **state.variables}), axis=1)
    valid, test = slice(TRAIN, TRAIN + VALID), slice(TRAIN + VALID, None)
    for name, of, given in (
        ("test", test, labels[test]),
        ("valid", valid, labels[valid]),
        ("valid_noisy", valid, member(0).noisy_valid_labels),
    ):
        right = 100 * (predicted[of] == given).mean()
        np.testing.assert_allclose(metrics[f"ema_{name}_accuracy"][0], right, rtol=1e-6)


def test_running_averages_are_those_of_the_net_that_trains():
    state = jax.tree.map(jnp.asarray, select(two()[0][0].state, 0))
    kept = dataclasses.replace(program(), renew_averages=False)
    average = evaluation.with_average(state, pictures(), TRAIN, program=kept)
    assert average.variables is state.variables and average.params is state.ema


def test_without_validation_the_test_set_alone_is_evaluated():
    rest = np.flatnonzero(np.asarray(pictures().split) != 1)
    few = pictures()._replace(
        **{name: getattr(pictures(), name)[rest] for name in ("images", "labels", "split")}
    )
    progress, metrics = two()[0]
    average = jax.tree.map(jnp.asarray, select(progress.with_average, 0))
    found = evaluation.of_average(average, few, TRAIN, jnp.zeros(0, jnp.int32), program=program())
    assert found.keys() == {"ema_test_accuracy"}
    np.testing.assert_allclose(
        found["ema_test_accuracy"], metrics["ema_test_accuracy"][0], rtol=1e-6
    )


def test_the_average_of_a_member_that_diverges_is_frozen_with_it():
    start = jax.jit(functools.partial(loop.start, program=program()))(member(1), pictures())
    for progress, metrics in two():
        assert progress.diverged_epoch.tolist() == [-1, 0]
        assert_close(select(progress.with_average, 1), start.with_average, 1e-6)
        of_average = [values for name, values in metrics.items() if name.startswith("ema_")]
        assert len(of_average) == 3 and np.isnan([x[1] for x in of_average]).all()
        assert np.isfinite([x[0] for x in of_average]).all()
