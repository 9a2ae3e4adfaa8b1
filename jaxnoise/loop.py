"""Epochs: a member trained, evaluated, and its best parameters kept.

Everything here is written for one member; `trainer` maps it over the leading axis of states and
members. All members share the pictures, which stay on the device as uint8.
"""

import functools
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from jaxnoise import train_step as ts
from jaxnoise.task import SPLITS

# Pictures per evaluation step. Sums do not depend on it.
EVAL_BATCH = 128

# Counters folded into a member's key, one for each stream of random numbers.
_INIT, _ORDER, _PROJECTION = range(3)


class Pictures(NamedTuple):
    """What all members share, on the device: the splits in the order of SPLITS."""

    images: jax.Array  # uint8 (pictures, height, width, channels)
    labels: jax.Array  # int32 (pictures,), true
    split: jax.Array  # int32 (pictures,), index into SPLITS
    mean: jax.Array  # float32 (height, width, channels)
    scale: jax.Array  # float32 (): the net sees (image − mean) · scale

    def preprocess(self, images: jax.Array) -> jax.Array:
        return (images.astype(jnp.float32) - self.mean[None]) * self.scale


class Member(NamedTuple):
    """What makes one training run differ from its neighbours."""

    key: jax.Array  # typed PRNG key of initialization, batch order and projections
    noisy_labels: jax.Array  # int32 (training samples,)
    coefficients: ts.Coefficients


class Progress(flax.struct.PyTreeNode):
    """A member's state while it trains, and the best of its past."""

    state: ts.TrainState
    best_state: ts.TrainState
    best_valid_accuracy: jax.Array  # float32 (), percent; −1 before the first epoch
    best_epoch: jax.Array  # int32 (), index from 0; −1 before the first epoch


def member_key(seed: int, repeat: int) -> jax.Array:
    """The key of a repeat; nothing else goes in, so it is the same alone and among others."""
    return jax.random.fold_in(jax.random.key(seed), repeat)


def start(member: Member, pictures: Pictures, *, program: ts.Program) -> Progress:
    """The progress of a member that has not trained yet."""
    key = jax.random.fold_in(member.key, _INIT)
    state = ts.create_state(program, key, pictures.images.shape[1:])
    # A copy, because the buffers of a donated argument must be distinct.
    best_state = jax.tree.map(jnp.copy, state)
    return Progress(state, best_state, jnp.float32(-1), jnp.int32(-1))


def train_epoch(
    state: ts.TrainState,
    member: Member,
    pictures: Pictures,
    epoch: jax.Array,
    *,
    program: ts.Program,
    batch_size: int,
    with_jacobian: bool,
) -> tuple[ts.TrainState, ts.LossParts]:
    """One pass over the training part in a fresh order, the partial last batch included.

    Returns:
      the new state, and the epoch's mean of every part of the loss as it was during training.
    """
    samples = member.noisy_labels.shape[0]
    order_key = jax.random.fold_in(jax.random.fold_in(member.key, _ORDER), epoch)
    projection_key = jax.random.fold_in(member.key, _PROJECTION)
    order = jax.random.permutation(order_key, samples)

    def step(state, index):
        state, parts = ts.train_step(
            state,
            pictures.preprocess(pictures.images[index]),
            member.noisy_labels[index],
            member.coefficients,
            jax.random.fold_in(projection_key, state.step),
            program=program,
            with_jacobian=with_jacobian,
        )
        return state, jax.tree.map(lambda part: part * index.shape[0], parts)

    full = samples // batch_size * batch_size
    state, sums = lax.scan(step, state, order[:full].reshape(-1, batch_size))
    sums = jax.tree.map(lambda part: part.sum(axis=0), sums)
    if full < samples:
        state, last = step(state, order[full:])
        sums = jax.tree.map(jnp.add, sums, last)
    return state, jax.tree.map(lambda part: part / samples, sums)


def evaluate(
    state: ts.TrainState, member: Member, pictures: Pictures, *, program: ts.Program
) -> dict[str, jax.Array]:
    """Evaluates all splits with one forward pass per picture.

    Returns:
      scalars `{train_noisy,train,valid,test}_{loss,accuracy}` (nats, percent; `train_noisy` against
      the labels trained on, the others against the true ones) and `entropy` (mean over train,
      nats).
    """
    total, samples = pictures.labels.shape[0], member.noisy_labels.shape[0]
    batch = min(EVAL_BATCH, total)
    # Validation and test labels are clean, so there both labellings are the same.
    noisy_labels = pictures.labels.at[:samples].set(member.noisy_labels)

    def step(sums, i):
        first, fresh = _whole_batch(i, batch, total)
        images, split, noisy, true = (
            lax.dynamic_slice_in_dim(array, first, batch)
            for array in (pictures.images, pictures.split, noisy_labels, pictures.labels)
        )
        predictions = ts.eval_step(state, pictures.preprocess(images), noisy, true, program=program)
        counted = _membership(split) & fresh[None]
        return jax.tree.map(
            lambda sum_, x: sum_ + jnp.where(counted, x[None], 0.0).sum(axis=1), sums, predictions
        ), None

    zeros = ts.Predictions(*[jnp.zeros(len(SPLITS), jnp.float32)] * len(ts.Predictions._fields))
    sums, _ = lax.scan(step, zeros, jnp.arange(-(-total // batch)))
    sizes = _membership(pictures.split).sum(axis=1)
    means = jax.tree.map(lambda x: x / sizes.astype(jnp.float32), sums)
    train, valid, test = range(len(SPLITS))
    return {
        "train_noisy_loss": means.noisy_loss[train],
        "train_noisy_accuracy": 100 * means.noisy_correct[train],
        "train_loss": means.true_loss[train],
        "train_accuracy": 100 * means.true_correct[train],
        "valid_loss": means.true_loss[valid],
        "valid_accuracy": 100 * means.true_correct[valid],
        "test_loss": means.true_loss[test],
        "test_accuracy": 100 * means.true_correct[test],
        "entropy": means.entropy[train],
    }


def _membership(split: jax.Array) -> jax.Array:
    """Which pictures are in which split: int (pictures,) to bool (splits, pictures)."""
    return split[None] == jnp.arange(len(SPLITS))[:, None]


def _whole_batch(i: jax.Array, batch: int, total: int) -> tuple[jax.Array, jax.Array]:
    """Start of the i-th batch, and which of its elements are not in an earlier one.

    The last batch is moved back to be whole, so that all have one shape.
    """
    first = jnp.minimum(i * batch, total - batch)
    return first, first + jnp.arange(batch) >= i * batch


def advance(
    progress: Progress,
    member: Member,
    pictures: Pictures,
    epoch: jax.Array,
    *,
    program: ts.Program,
    batch_size: int,
    with_jacobian: bool,
) -> tuple[Progress, dict[str, jax.Array]]:
    """One epoch: train, evaluate, keep the state if its clean-validation accuracy is the best yet.

    Returns:
      the new progress and the epoch's scalars: those of `evaluate`, and `step_*`, the parts of the
      loss as they were during training.
    """
    state, parts = train_epoch(
        progress.state,
        member,
        pictures,
        epoch,
        program=program,
        batch_size=batch_size,
        with_jacobian=with_jacobian,
    )
    metrics = evaluate(state, member, pictures, program=program)
    better = metrics["valid_accuracy"] > progress.best_valid_accuracy
    best_state, best_valid_accuracy, best_epoch = jax.tree.map(
        functools.partial(jnp.where, better),
        (state, metrics["valid_accuracy"], epoch),
        (progress.best_state, progress.best_valid_accuracy, progress.best_epoch),
    )
    metrics |= {f"step_{name}": part for name, part in parts._asdict().items()}
    return Progress(state, best_state, best_valid_accuracy, best_epoch), metrics


def mean_jacobian(
    state: ts.TrainState, pictures: Pictures, index: jax.Array, *, program: ts.Program
) -> jax.Array:
    """Mean ‖J‖²_F in evaluation mode over the pictures at `index`, int (pictures,)."""
    total = index.shape[0]
    batch = min(EVAL_BATCH, total)

    def step(sum_, i):
        first, fresh = _whole_batch(i, batch, total)
        images = pictures.images[lax.dynamic_slice_in_dim(index, first, batch)]
        squares = ts.jacobian_step(state, pictures.preprocess(images), program=program)
        return sum_ + jnp.where(fresh, squares, 0.0).sum(), None

    return lax.scan(step, jnp.float32(0), jnp.arange(-(-total // batch)))[0] / total


def stack_members(members: list[Member]) -> Member:
    """Members as one pytree with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *members)
