"""The moments that batch norm is evaluated with, against those of the samples themselves."""

import dataclasses
import functools

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

TRAIN, ALL = 70, 90
IMAGES = np.random.default_rng(0).integers(0, 256, (ALL, 28, 28, 1), dtype=np.uint8)
PICTURES = loop.Pictures(
    jnp.asarray(IMAGES),
    jnp.zeros(ALL, jnp.int32),
    jnp.asarray(np.repeat(np.arange(3, dtype=np.int32), [TRAIN, 10, 10])),
    jnp.zeros((28, 28, 1), jnp.float32),
    jnp.float32(1 / 255),
)


def program(net=None):
    optimizer = assembly.optimizer(Config(net="lenet"), steps_per_epoch=3)
    return ts.Program(net or nets.LeNet(10, SpectralNorm()), optimizer)


@functools.cache
def start(p):
    return jax.jit(lambda key: ts.create_state(p, key, (28, 28, 1)))(jax.random.key(0))


def renewed(state, p):
    return jax.jit(functools.partial(evaluation.renewed, samples=TRAIN, program=p))(state, PICTURES)


def first_layer(state, index):
    """Mean and variance of what the first layer puts out for some images, float64."""
    kernel = np.asarray(state.params["conv1"]["kernel"], np.float64)
    u = np.asarray(state.variables["spectral"]["conv1"]["u"], np.float64)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    v = matrix @ u
    sigma = np.linalg.norm(matrix.T @ (v / np.linalg.norm(v)))
    x = np.lib.stride_tricks.sliding_window_view(IMAGES[index, ..., 0] / 255, (5, 5), axis=(1, 2))
    y = np.einsum("bhwij,ijf->bhwf", x, kernel[:, :, 0] / sigma)
    return y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))


@pytest.mark.parametrize(
    ("batch", "samples", "index"),
    [
        (128, 2048, np.arange(70)),  # one batch of all
        (14, 2048, np.arange(70)),  # five batches
        (32, 2048, np.arange(64) * 70 // 64),  # two whole ones
        (7, 35, np.arange(0, 70, 2)),  # of every other sample
    ],
)
def test_they_are_the_moments_of_the_training_samples(batch, samples, index, monkeypatch):
    monkeypatch.setattr(evaluation, "EVAL_BATCH", batch)
    monkeypatch.setattr(evaluation, "AVERAGED", samples)
    state = start(program())
    found = renewed(state, program()).variables["batch_stats"]["conv1"]["bn"]
    mean, var = first_layer(state, index)
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["var"], var, rtol=1e-4)


def test_each_batch_is_spread_over_a_training_part_in_the_order_of_classes(monkeypatch):
    """Else the moments of the later layers would be those of nets that see one class at a time."""
    monkeypatch.setattr(evaluation, "EVAL_BATCH", 7)
    seen = []
    monkeypatch.setattr(
        evaluation.lax, "map", lambda function, index: seen.append(np.asarray(index)) or {}
    )
    evaluation.renewed(start(program()), PICTURES, TRAIN, program=program())
    (index,) = seen
    np.testing.assert_array_equal(np.sort(index.ravel()), np.arange(70))
    np.testing.assert_array_equal(index, np.arange(10)[:, None] + 10 * np.arange(7))


def test_evaluation_then_agrees_with_training_mode_on_the_training_part():
    """All layers: one batch of all samples is normalized by the same moments either way."""
    p = program()
    state = renewed(start(p), p)
    images = PICTURES.preprocess(PICTURES.images[:TRAIN])
    variables = {"params": state.params, **state.variables}
    mutable = list(state.variables)
    trained, _ = jax.jit(lambda v: p.net.apply(v, images, train=True, mutable=mutable))(variables)
    evaluated = jax.jit(lambda v: p.net.apply(v, images, train=False))(variables)
    np.testing.assert_allclose(evaluated, trained, rtol=1e-3, atol=1e-4)


def test_they_do_not_depend_on_the_averages_before_and_change_nothing_else():
    p, state = program(), start(program())
    stats = jax.tree.map(lambda x: 7 * x + 3, state.variables["batch_stats"])
    other = state.replace(variables=state.variables | {"batch_stats": stats})
    ours, theirs = renewed(state, p), renewed(other, p)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    put_back = ours.replace(variables=ours.variables | {"batch_stats": stats})
    jax.tree.map(np.testing.assert_array_equal, put_back, other)


def test_training_is_the_same_bit_for_bit_with_running_ones():
    p = program()
    member = loop.Member(
        loop.member_key(0, 0),
        jnp.arange(TRAIN, dtype=jnp.int32) % 10,
        jnp.zeros(10, jnp.int32),
        ts.Coefficients(*[np.float32(0)] * 3),
    )
    ends = []
    for each in (p, dataclasses.replace(p, renew_averages=False)):
        advance = jax.jit(
            functools.partial(loop.advance, program=each, batch_size=32, with_jacobian=False)
        )
        progress = loop.start(member, PICTURES, program=each)
        for epoch in range(2):
            progress, metrics = advance(progress, member, PICTURES, jnp.int32(epoch))
        ends.append((progress.state, metrics))
    (ours, our_metrics), (theirs, their_metrics) = ends
    for part in ("params", "opt_state", "step"):
        jax.tree.map(np.testing.assert_array_equal, getattr(ours, part), getattr(theirs, part))
    assert our_metrics["step_loss"] == their_metrics["step_loss"]
    # Six steps after 0 and 1, running averages are nowhere near.
    assert abs(our_metrics["test_loss"] - their_metrics["test_loss"]) > 0.01


class Mixed(nn.Module):
    """One layer of the package, then batch norm of Flax."""

    num_classes: int
    spectral: None = None

    @nn.compact
    def __call__(self, images, *, train):
        x = images.reshape(len(images), -1).T
        x = nets.DenseBlock(8, None, name="ours")(x, train=train).T
        x = nn.Dense(self.num_classes, name="last")(x)
        return nn.BatchNorm(use_running_average=not train, name="flax")(x)


class Without(nn.Module):
    num_classes: int
    spectral: None = None

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


def test_layers_that_offer_no_moments_keep_their_averages():
    p = program(Mixed(10))
    before, after = (x.variables["batch_stats"] for x in (start(p), renewed(start(p), p)))
    jax.tree.map(np.testing.assert_array_equal, before["flax"], after["flax"])
    assert np.abs(before["ours"]["bn"]["mean"] - after["ours"]["bn"]["mean"]).max() > 0.1
    assert jax.tree.structure(before) == jax.tree.structure(after)
    p = program(Without(10))
    jax.tree.map(np.testing.assert_array_equal, start(p), renewed(start(p), p))


def test_the_papers_preset_keeps_running_ones():
    p = dataclasses.replace(program(), renew_averages=False)
    assert evaluation.renewed(start(p), PICTURES, TRAIN, program=p) is start(p)
