"""Epochs of one member: train it, evaluate it, and keep its best state.

`trainer` maps everything here over the leading axis of states and members. All members share the
pictures, which stay on the device as uint8.
"""

import functools
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from jaxnoise import train_step as ts
from jaxnoise.methods import robust_training
from jaxnoise.scores import selection
from jaxnoise.training import eval_step as es
from jaxnoise.training import surroundings
from jaxnoise.training.evaluation import (
    Pictures,
    Samples,
    Suspicion,
    evaluate,
    forward_passes,
    of_average,
    renewed,
    with_average,
)

# Counters folded into a member's key, one for each stream of random numbers.
_INIT, _ORDER, _PROJECTION, _MIXTURE, _AUGMENTATION, _DROPOUT = range(6)


class Member(NamedTuple):
    """The part of a training that differs between members of a program."""

    key: jax.Array  # typed PRNG key of all that is random in it
    noisy_labels: jax.Array  # int32 (training samples,)
    noisy_valid_labels: jax.Array  # int32 (validation samples,), never trained on
    coefficients: ts.Coefficients
    transition_matrix: jax.Array | None = None  # float32 (classes, classes), for --loss=forward


class Progress(flax.struct.PyTreeNode):
    """A member's state while it trains, and its best state so far.

    If the member diverges, everything but `diverged_epoch` stays as it was before that epoch, and
    therefore finite.
    """

    state: ts.TrainState
    best_state: ts.TrainState
    best_valid_accuracy: jax.Array  # float32 (), percent; −1 before the first epoch
    best_epoch: jax.Array  # int32 (), index from 0; −1 before the first epoch
    diverged_epoch: jax.Array  # int32 (), index from 0; −1 if it has not diverged
    samples: Samples  # loss: mean over the epochs so far; predicted: last, −1 at first
    suspicion: Suspicion
    best_predicted: jax.Array  # int32 (training samples,), by the best state; −1 at first
    pruning: robust_training.Pruning | None = None  # for `robust_training.Truncation`
    # With `Program.ema_decay`, the variables that `state.ema` was evaluated with; else None.
    ema_variables: Any | None = None

    @property
    def with_average(self) -> ts.TrainState:
        """The state whose parameters are their moving average, as it was evaluated."""
        return self.state.replace(params=self.state.ema, variables=self.ema_variables)


def member_key(seed: int, repeat: int) -> jax.Array:
    """The key of a repeat, which does not depend on the other repeats trained with it."""
    return jax.random.fold_in(surroundings.key(seed), repeat)


def start(member: Member, pictures: Pictures, *, program: ts.Program) -> Progress:
    """The progress of a member that has not trained yet."""
    key = jax.random.fold_in(member.key, _INIT)
    samples = member.noisy_labels.shape[0]
    state = ts.create_state(program, key, pictures.images.shape[1:], samples)
    # A copy, because a donated argument must not contain the same buffer twice.
    best_state = jax.tree.map(jnp.copy, state)
    predicted, best_predicted = (jnp.full_like(member.noisy_labels, -1) for _ in range(2))
    each = Samples(jnp.zeros(samples, jnp.float32), predicted)
    pruning = None
    if isinstance(program.method, robust_training.Truncation):
        pruning = robust_training.Pruning(*(jnp.ones(samples, jnp.float32) for _ in range(2)))
    ema_variables = None
    if program.ema_decay is not None:
        ema_variables = jax.tree.map(jnp.copy, state.variables)
    none = jnp.int32(-1)
    return Progress(
        state,
        best_state,
        jnp.float32(-1),
        none,
        none,
        each,
        Suspicion.before(samples),
        best_predicted,
        pruning,
        ema_variables,
    )


def train_epoch(
    state: ts.TrainState,
    member: Member,
    pictures: Pictures,
    epoch: jax.Array,
    *,
    program: ts.Program,
    batch_size: int,
    with_jacobian: bool,
    weights: jax.Array | None = None,
) -> tuple[ts.TrainState, ts.LossParts]:
    """One pass over the training part in a new random order, including the partial last batch.

    Args:
      weights: float32 (training samples,), of their losses; by default 1.

    Returns:
      the new state, and the mean over the epoch of every part of the loss, as computed in training.
    """
    samples = member.noisy_labels.shape[0]
    order_key = jax.random.fold_in(jax.random.fold_in(member.key, _ORDER), epoch)
    projection_key = jax.random.fold_in(member.key, _PROJECTION)
    mixture_key = jax.random.fold_in(member.key, _MIXTURE)
    augmentation_key = jax.random.fold_in(member.key, _AUGMENTATION)
    dropout_key = jax.random.fold_in(member.key, _DROPOUT)
    order = jax.random.permutation(order_key, samples)

    def inputs(index, key):
        images = pictures.images[index]
        if program.augmentation is None:
            return pictures.preprocess(images)
        images = pictures.preprocess(program.augmentation.of_stored(key, images))
        return program.augmentation.of_inputs(key, images)

    def batch(index, step):
        images = inputs(index, jax.random.fold_in(augmentation_key, step))
        labels = member.noisy_labels[index]
        made = ts.Batch(
            images,
            labels,
            member.transition_matrix,
            index,
            weight=None if weights is None else weights[index],
            dropout_key=jax.random.fold_in(dropout_key, step),
        )
        if not isinstance(program.method, robust_training.Mixup):
            return made
        key = jax.random.fold_in(mixture_key, step)
        mixed, other_labels, share = robust_training.mixture(
            key, images, labels, alpha=program.method.alpha
        )
        return made._replace(images=mixed, other_labels=other_labels, share=share)

    def step(state, index):
        state, parts = ts.train_step(
            state,
            batch(index, state.step),
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
    """One epoch: train, evaluate, and keep the state if its validation accuracy is the best so far.

    Before it is evaluated, the state gets new averages of batch norm (see `evaluation.renewed`).
    Without a validation part, the state that is kept is always the newest. The moving average of
    the parameters, if there is one, is evaluated beside them, and chooses nothing.

    A member that `robust_training.EarlyStopping` has stopped is reset to its best state, and its
    scalars `step_*` are NaN.

    A member diverges in the first epoch in which one of these is not finite: its mean loss, in
    training or in evaluation, or anything in its state. A single step with a loss that is not
    finite is enough, as it makes the mean of the epoch so. From then on the member is frozen: its
    progress stays that of the epoch before, and its scalars are NaN.

    Returns:
      the new progress and the epoch's scalars: those of `evaluate`, `step_*`, the parts of the loss
      as computed in training, with `Program.ema_decay` those of `of_average`, and with
      `robust_training.Truncation` `kept`, the share of the training samples that were trained on,
      in percent.
    """
    # Done here, not at the end of the epoch before, so that the state kept is the state measured.
    state = es.after_evaluation(
        progress.state,
        jnp.where(epoch > 0, forward_passes(pictures), 0),
        pictures.images.shape[1:],
        program=program,
    )
    pruning = progress.pruning
    if pruning is not None:
        pruning = robust_training.pruned(pruning, epoch, method=program.method)
    state, parts = train_epoch(
        state,
        member,
        pictures,
        epoch,
        program=program,
        batch_size=batch_size,
        with_jacobian=with_jacobian,
        weights=None if pruning is None else pruning.kept,
    )
    trained_on = member.noisy_labels.shape[0]
    state = renewed(state, pictures, trained_on, program=program)
    stopped = jnp.bool_(False)
    if isinstance(program.method, robust_training.EarlyStopping):
        # The best state, evaluated again, is not better, so a stopped member never starts again.
        stopped = epoch - 1 - progress.best_epoch >= program.method.patience
        state = _choose(stopped, progress.best_state, state)
    metrics, samples = evaluate(
        state, pictures, member.noisy_labels, member.noisy_valid_labels, program=program
    )
    # Without the shares of memorization, which are NaN if there are no such samples.
    losses = [value for name, value in metrics.items() if name.endswith("_loss")]
    ema_variables = progress.ema_variables
    if program.ema_decay is not None:
        average = with_average(state, pictures, trained_on, program=program)
        ema_variables = average.variables
        metrics |= of_average(
            average, pictures, trained_on, member.noisy_valid_labels, program=program
        )
    trained = stopped | _all_finite(parts)
    measured = (state, ema_variables, losses)
    goes_on = (progress.diverged_epoch < 0) & trained & _all_finite(measured)

    past = progress.samples.loss
    mean_loss = past + (samples.loss - past) / (epoch + 1).astype(jnp.float32)
    if member.noisy_valid_labels.shape[0]:
        valid_accuracy = metrics[selection.headline(program.validation_labels).chosen_by]
        better = selection.improves(valid_accuracy, progress.best_valid_accuracy)
    else:  # no epoch is known to be better than the last one
        valid_accuracy, better = progress.best_valid_accuracy, jnp.bool_(True)
    best_state, best_predicted, best_valid_accuracy, best_epoch = _choose(
        better,
        (state, samples.predicted, valid_accuracy, epoch),
        (
            progress.best_state,
            progress.best_predicted,
            progress.best_valid_accuracy,
            progress.best_epoch,
        ),
    )
    if pruning is not None:
        metrics["kept"] = 100 * pruning.kept.mean()
        best_loss = _choose(better, samples.loss, pruning.best_loss)
        pruning = pruning._replace(best_loss=best_loss)
    advanced = Progress(
        state,
        best_state,
        best_valid_accuracy,
        best_epoch,
        progress.diverged_epoch,
        samples._replace(loss=mean_loss),
        progress.suspicion.after(samples, member.noisy_labels),
        best_predicted,
        pruning,
        ema_variables,
    )
    frozen = progress.replace(
        diverged_epoch=jnp.where(progress.diverged_epoch < 0, epoch, progress.diverged_epoch)
    )
    metrics |= {
        f"step_{name}": jnp.where(stopped, jnp.nan, part) for name, part in parts._asdict().items()
    }
    metrics = {name: jnp.where(goes_on, value, jnp.nan) for name, value in metrics.items()}
    return _choose(goes_on, advanced, frozen), metrics


def _choose(condition: jax.Array, chosen: Any, other: Any) -> Any:
    """Selects one of two trees by a traced bool ()."""
    return jax.tree.map(functools.partial(jnp.where, condition), chosen, other)


def _all_finite(tree: Any) -> jax.Array:
    """Whether every element of every leaf is finite, bool ()."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def stack_members(members: list[Member]) -> Member:
    """Stacks members into one pytree with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *members)
