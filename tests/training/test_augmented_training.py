"""Augmentation in an epoch: where it acts, and what its random numbers depend on."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.config import Config, InputError
from jaxnoise.labels import noisy_dataset
from jaxnoise.methods.augmentation import Augmentation
from jaxnoise.training import assembly, evaluation, loop

SAMPLES, BATCH = 40, 16
rng = np.random.RandomState(0)
PICTURES = loop.Pictures(
    jnp.asarray(rng.randint(0, 256, (2 * SAMPLES, 16, 16, 3)), jnp.uint8),
    jnp.asarray(rng.randint(10, size=2 * SAMPLES), jnp.int32),
    jnp.asarray(np.repeat([0, 1, 2], [SAMPLES, SAMPLES // 2, SAMPLES // 2]), jnp.int32),
    jnp.zeros((16, 16, 3), jnp.float32),
    jnp.float32(1 / 255),
)


def program(augmentation):
    optimizer = assembly.optimizer(Config(net="lenet"), steps_per_epoch=3)
    return ts.Program(nets.LeNet(10, None), optimizer, augmentation=augmentation)


def member(repeat):
    labels = np.asarray(PICTURES.labels)
    zeros = ts.Coefficients(*(np.float32(0),) * 3)
    return loop.Member(
        loop.member_key(0, repeat), labels[:SAMPLES], labels[SAMPLES : SAMPLES * 3 // 2], zeros
    )


@functools.cache
def inputs(augmentation, repeat=0, epoch=0, steps=0):
    """What the net sees in an epoch of training after so many steps: (step, picture, ...)."""
    seen = []

    class Watching(nets.LeNet):
        def __call__(self, images, *, train):
            if train:
                jax.debug.callback(lambda x: seen.append(np.asarray(x)), images, ordered=True)
            return super().__call__(images, train=train)

    watched = dataclasses.replace(program(augmentation), net=Watching(10, None))
    state = ts.create_state(program(None), jax.random.key(0), (16, 16, 3))
    state = state.replace(step=jnp.int32(steps))
    run = functools.partial(
        loop.train_epoch, program=watched, batch_size=BATCH, with_jacobian=False
    )
    jax.block_until_ready(jax.jit(run)(state, member(repeat), PICTURES, jnp.int32(epoch)))
    jax.effects_barrier()
    return seen


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_depends_on_the_repeat_and_the_step_alone():
    """So a run that resumes sees the images that it would have seen."""
    crop = Augmentation(crop=True, flip=True, cutout_size=5)
    first = inputs(crop)
    assert [len(x) for x in first] == [16, 16, 8]  # the last batch is partial
    assert same(first, inputs.__wrapped__(crop))
    assert not same(first, inputs(crop, steps=3))
    assert not same(first, inputs(crop, repeat=1))


def test_the_images_of_a_step_are_those_of_the_plain_step_changed():
    plain, flips = inputs(None), inputs(Augmentation(flip=True))
    mirrored = []
    for before, after in zip(plain, flips, strict=True):
        for one, other in zip(before, after, strict=True):
            assert np.array_equal(one, other) or np.array_equal(one[:, ::-1], other)
            mirrored.append(not np.array_equal(one, other))
    assert 8 < sum(mirrored) < 32


def test_measurements_see_the_images_as_they_are():
    state = jax.jit(lambda key: ts.create_state(program(None), key, (16, 16, 3)))(jax.random.key(0))
    one = member(0)

    @functools.partial(jax.jit, static_argnames="p")
    def measured(p):
        renewed = evaluation.renewed(state, PICTURES, SAMPLES, program=p)
        metrics, samples = evaluation.evaluate(
            renewed, PICTURES, one.noisy_labels, one.noisy_valid_labels, program=p
        )
        return renewed.variables, metrics, samples

    plain, augmented = measured(program(None)), measured(program(Augmentation(crop=True)))
    jax.tree.map(np.testing.assert_array_equal, plain, augmented)


@pytest.mark.parametrize("bn_momentum", [None, 0.9])
def test_bn_momentum_is_of_the_running_averages_that_evaluate(bn_momentum):
    config = Config(dataset="digits", net="lenet", train_size=60, bn_momentum=bn_momentum)
    made = assembly.program(config, noisy_dataset.load(config))
    assert made.renew_averages == (bn_momentum is None)
    assert made.net.conventions.momentum == (bn_momentum or 0.99)


def test_cutout_that_would_erase_an_image_is_refused():
    config = Config(dataset="digits", net="lenet", augment="cutout", cutout_size=28)
    with pytest.raises(InputError, match="^--cutout_size=28: allowed here is less than 28"):
        assembly.program(config, noisy_dataset.load_splits(config))
