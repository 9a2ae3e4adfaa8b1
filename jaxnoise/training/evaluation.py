"""Measurements of one member's net in evaluation mode; `trainer` maps them over members.

Before them, `renewed` gives the net the averages that batch norm evaluates with.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnoise import train_step as ts
from jaxnoise.labels.noisy_dataset import SPLITS
from jaxnoise.layers import batch_norm
from jaxnoise.training import eval_step as es
from jaxnoise.training import surroundings

# Pictures per evaluation step. Sums do not depend on it.
EVAL_BATCH = 128

# Training samples that batch norm's averages are taken from, at most; see benchmarks/README.md.
AVERAGED = 2048


class Pictures(NamedTuple):
    """The pictures that all members share, on the device: the splits in the order of SPLITS."""

    images: jax.Array  # uint8 (pictures, height, width, channels)
    labels: jax.Array  # int32 (pictures,), true
    split: jax.Array  # int32 (pictures,), index into SPLITS
    mean: jax.Array  # float32 (height, width, channels)
    scale: jax.Array  # float32 () or (1, 1, 1, channels): the net's input is (image − mean) · scale

    def preprocess(self, images: jax.Array) -> jax.Array:
        return (images.astype(jnp.float32) - self.mean[None]) * self.scale


class Samples(NamedTuple):
    """A member's loss and prediction for every training sample."""

    loss: jax.Array  # float32 (training samples,), on the label trained on, nats
    predicted: jax.Array  # int32 (training samples,), class


class Suspicion(NamedTuple):
    """How suspicious the label of each training sample is, by the epochs so far.

    s_i = Σ_e w_e ℓ_{e,i} / Σ_e w_e, where ℓ_{e,i} is the loss on the label trained on, after epoch
    e, and w_e = (1 + the number of training samples that are not predicted as labelled) / N. A mean
    of the loss over epochs finds wrong labels (Huang et al., "O2U-Net", ICCV 2019,
    https://openreview.net/forum?id=DXSUpYgPNX), but an epoch after which the net predicts all the
    labels that it was given tells nothing of them any more. The weights are jaxnoise's own;
    docs/results.md has how they compare with others.
    """

    score: jax.Array  # float32 (training samples,), nats
    weight: jax.Array  # float32 (), Σ w_e

    @classmethod
    def before(cls, samples: int) -> "Suspicion":
        """Of so many samples, before the first epoch."""
        return cls(jnp.zeros(samples, jnp.float32), jnp.float32(0))

    def after(self, samples: Samples, labels: jax.Array) -> "Suspicion":
        """With one more epoch, in which the net made that of the labels it was trained on."""
        now = (1 + (samples.predicted != labels).sum()) / labels.shape[0]
        weight = self.weight + now.astype(jnp.float32)
        return Suspicion(self.score + (samples.loss - self.score) * (now / weight), weight)


def renewed(
    state: ts.TrainState, pictures: Pictures, samples: int, *, program: ts.Program
) -> ts.TrainState:
    """The state with batch norm's averages taken anew from the training part.

    Running averages lag: with momentum 0.99 they hold what a layer put out some hundred steps ago,
    and for 400 steps what they started from. On few pictures, that decides which method looks
    better. So AVERAGED training samples, evenly spaced, pass through the net in training mode, and
    their moments replace the averages (`batch_norm.of_all_batches`). Training does not use them.
    Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (2021,
    https://arxiv.org/abs/2105.07576), section 3.

    Args:
      samples: size of the training part, with which the pictures begin.

    Returns:
      the same state if `program` keeps running averages, or the net has no `BatchNorm`.
    """
    if not program.renew_averages:
        return state
    batch = min(EVAL_BATCH, samples)
    total = min(AVERAGED, samples) // batch * batch
    chosen = np.arange(total) * samples // total
    # Each batch is spread over the training part, whose samples may be in the order of classes.
    index = jnp.asarray(chosen.reshape(batch, -1).T, jnp.int32)

    def of_batch(index: jax.Array) -> Any:
        images = pictures.preprocess(pictures.images[index])
        return batch_moments(state, images, program=program)

    moments = lax.map(of_batch, index)
    if not moments:
        return state
    stats = batch_norm.of_all_batches(state.variables["batch_stats"], moments)
    return state.replace(variables=state.variables | {"batch_stats": stats})


def batch_moments(state: ts.TrainState, images: jax.Array, *, program: ts.Program) -> Any:
    """What the layers put into `batch_norm.MOMENTS` for preprocessed images; else an empty dict."""
    variables = {"params": state.params, **state.variables}
    mutable = [*state.variables, batch_norm.MOMENTS]
    # Dropout, if the net has any, acts as in training, always in the same places.
    rngs = {"dropout": surroundings.key(0)}
    with program.matmul_precision():
        _, found = program.net.apply(variables, images, train=True, mutable=mutable, rngs=rngs)
    return found.get(batch_norm.MOMENTS, {})


def evaluate(
    state: ts.TrainState,
    pictures: Pictures,
    noisy_labels: jax.Array,
    noisy_valid_labels: jax.Array,
    *,
    program: ts.Program,
) -> tuple[dict[str, jax.Array], Samples]:
    """Evaluates all splits with one forward pass per picture.

    If spectral vectors also move in evaluation mode, every batch uses the vectors as moved by the
    batches before it. The given state does not change (see `eval_step.after_evaluation`).

    Args:
      noisy_labels: int32 (training samples,).
      noisy_valid_labels: int32 (validation samples,), which may be none.

    Returns:
      scalars `{train_noisy,train,valid_noisy,valid,test}_{loss,accuracy}` (nats, percent; `_noisy`
      against the noisy labels, the others against the true ones), `entropy` (mean over train, nats)
      and the memorization of train, in percent: of the samples with a changed label, the shares
      predicted `changed_as_noisy`, `changed_as_true` and `changed_as_neither`; of the others, the
      share predicted right, `unchanged_right` (NaN if there is no such sample), but without
      validation samples none of `valid*`;
      and the loss and prediction for each training sample.
    """
    total, samples = pictures.labels.shape[0], noisy_labels.shape[0]
    batch = min(EVAL_BATCH, total)
    image_shape = pictures.images.shape[1:]
    known = samples + noisy_valid_labels.shape[0]
    # Test labels have no noise, so noisy and true labels are the same there.
    noisy_labels = jnp.concatenate([noisy_labels, noisy_valid_labels, pictures.labels[known:]])
    groups = _groups(pictures, noisy_labels)

    def step(carry, i):
        state, sums, each = carry
        first, fresh = _whole_batch(i, batch, total)
        images, group, noisy, true = (
            lax.dynamic_slice_in_dim(array, first, batch)
            for array in (pictures.images, groups, noisy_labels, pictures.labels)
        )
        predicted, predictions = es.eval_step(
            state, pictures.preprocess(images), noisy, true, program=program
        )
        counted = group & fresh[:, None]
        sums = jax.tree.map(
            lambda sum_, x: sum_ + jnp.where(counted, x[:, None], 0.0).sum(axis=0),
            sums,
            predictions,
        )
        each = jax.tree.map(
            lambda whole, part: lax.dynamic_update_slice_in_dim(whole, part, first, axis=0),
            each,
            Samples(predictions.noisy_loss, predicted),
        )
        state = es.after_evaluation(state, 1, image_shape, program=program)
        return (state, sums, each), None

    zeros = es.Predictions(*[jnp.zeros(groups.shape[1], jnp.float32)] * len(es.Predictions._fields))
    each = Samples(jnp.zeros(total, jnp.float32), jnp.zeros(total, jnp.int32))
    (_, sums, each), _ = lax.scan(step, (state, zeros, each), jnp.arange(forward_passes(pictures)))
    sizes = groups.sum(axis=0).astype(jnp.float32)
    means = jax.tree.map(lambda x: x / sizes, sums)
    # From counts, which float32 holds exactly: a difference of rounded shares could be negative.
    neither = (sizes - sums.noisy_correct - sums.true_correct) / sizes
    train, valid, test, changed, unchanged = range(groups.shape[1])
    metrics = {
        "train_noisy_loss": means.noisy_loss[train],
        "train_noisy_accuracy": 100 * means.noisy_correct[train],
        "train_loss": means.true_loss[train],
        "train_accuracy": 100 * means.true_correct[train],
        "valid_noisy_loss": means.noisy_loss[valid],
        "valid_noisy_accuracy": 100 * means.noisy_correct[valid],
        "valid_loss": means.true_loss[valid],
        "valid_accuracy": 100 * means.true_correct[valid],
        "test_loss": means.true_loss[test],
        "test_accuracy": 100 * means.true_correct[test],
        "entropy": means.entropy[train],
        "changed_as_noisy": 100 * means.noisy_correct[changed],
        "changed_as_true": 100 * means.true_correct[changed],
        "changed_as_neither": 100 * neither[changed],
        "unchanged_right": 100 * means.true_correct[unchanged],
    }
    if known == samples:
        metrics = {name: x for name, x in metrics.items() if not name.startswith("valid_")}
    return metrics, jax.tree.map(lambda x: x[:samples], each)


def with_average(
    state: ts.TrainState, pictures: Pictures, samples: int, *, program: ts.Program
) -> ts.TrainState:
    """The state whose parameters are their moving average, `state.ema`, to be evaluated.

    It gets its own averages of batch norm, by `renewed`, unless `program` keeps running averages:
    then they are those of the net that trains. So are the spectral vectors, from which each forward
    pass takes one step, or `SpectralNorm.iterations`, to the norms of the averaged kernels.

    Args:
      samples: size of the training part, with which the pictures begin.
    """
    return renewed(state.replace(params=state.ema), pictures, samples, program=program)


def of_average(
    state: ts.TrainState,
    pictures: Pictures,
    samples: int,
    noisy_valid_labels: jax.Array,
    *,
    program: ts.Program,
) -> dict[str, jax.Array]:
    """The accuracies of a state `with_average`, outside of the training part.

    Args:
      samples: size of the training part, with which the pictures begin.
      noisy_valid_labels: int32 (validation samples,), which may be none.

    Returns:
      scalars `ema_test_accuracy` and, with validation samples, `ema_valid_accuracy` and
      `ema_valid_noisy_accuracy`, in percent, as `evaluate` has them of the last parameters.
    """
    arrays = ("images", "labels", "split")
    rest = pictures._replace(**{name: getattr(pictures, name)[samples:] for name in arrays})
    none = jnp.zeros(0, jnp.int32)
    metrics, _ = evaluate(state, rest, none, noisy_valid_labels, program=program)
    names = ("test_accuracy", "valid_accuracy", "valid_noisy_accuracy")
    return {f"ema_{name}": metrics[name] for name in names if name in metrics}


def forward_passes(pictures: Pictures) -> int:
    """The number of batches that `evaluate` makes of all pictures."""
    total = pictures.labels.shape[0]
    return -(-total // min(EVAL_BATCH, total))


def _groups(pictures: Pictures, noisy_labels: jax.Array) -> jax.Array:
    """The groups of pictures to average over: bool (pictures, groups).

    The groups are the splits, then the training samples with a changed and with an unchanged label.
    """
    train, valid, test = (pictures.split == i for i in range(len(SPLITS)))
    changed = noisy_labels != pictures.labels
    return jnp.stack([train, valid, test, train & changed, train & ~changed], axis=1)


def _whole_batch(i: jax.Array, batch: int, total: int) -> tuple[jax.Array, jax.Array]:
    """Start of the i-th batch, and which of its elements are not in an earlier batch.

    The last batch starts early enough to be whole, so that all batches have the same shape.
    """
    first = jnp.minimum(i * batch, total - batch)
    return first, first + jnp.arange(batch) >= i * batch


def mean_jacobian(
    state: ts.TrainState, pictures: Pictures, index: Any, *, program: ts.Program
) -> Any:
    """Mean ‖J‖²_F in evaluation mode over the pictures at `index`.

    Args:
      index: int (pictures,), or a tree of such arrays, which are measured in one pass.

    Returns:
      float32 (), or a tree of the same structure with one mean for each array.
    """
    indices, structure = jax.tree.flatten(index)
    step = functools.partial(es.jacobian_step, state, program=program)
    squares = of_each(step, pictures, jnp.concatenate(indices))
    ends = np.cumsum([len(each) for each in indices])
    return structure.unflatten([part.mean() for part in jnp.split(squares, ends[:-1])])


def logits(
    state: ts.TrainState, pictures: Pictures, index: jax.Array, *, program: ts.Program
) -> jax.Array:
    """Logits in evaluation mode of the pictures at `index`, int: float32 (pictures, classes)."""
    return of_each(functools.partial(es.logits_step, state, program=program), pictures, index)


def of_each(
    measure: Callable[[jax.Array], jax.Array], pictures: Pictures, index: jax.Array
) -> jax.Array:
    """Applies `measure` to preprocessed images, batch by batch: float32 (pictures, ...)."""
    total = index.shape[0]
    batch = min(EVAL_BATCH, total)

    def of_batch(first):
        chosen = lax.dynamic_slice_in_dim(index, first, batch)
        return measure(pictures.preprocess(pictures.images[chosen]))

    def step(whole, i):
        first, _ = _whole_batch(i, batch, total)
        return lax.dynamic_update_slice_in_dim(whole, of_batch(first), first, axis=0), None

    shape = jax.eval_shape(of_batch, jnp.int32(0)).shape
    whole = jnp.zeros((total, *shape[1:]), jnp.float32)
    return lax.scan(step, whole, jnp.arange(-(-total // batch)))[0]
