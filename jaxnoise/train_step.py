"""One training step of one member, as pure functions to vmap and jit.

A *member* is one of the trainings that a compiled program runs side by side: a repeat of a run.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnoise import losses
from jaxnoise.methods import optim, robust_losses, robust_training
from jaxnoise.methods.augmentation import Augmentation


class Coefficients(NamedTuple):
    """Weights of the regularizers, ≥ 0.

    They are traced, so that the members of one program can have different weights.
    """

    wd: jax.Array | float
    jacob: jax.Array | float
    entropy: jax.Array | float


class TrainState(flax.struct.PyTreeNode):
    """Everything that changes while a member trains."""

    step: jax.Array  # int32 (), optimizer steps so far
    params: Any
    variables: Any  # Flax collections batch_stats and, under spectral normalization, spectral
    opt_state: Any
    # float32 (training samples, classes): the targets of `robust_training.ELR`; else None.
    targets: jax.Array | None = None
    # As `params`: their exponential moving average, see `averaged`; None without it.
    ema: Any | None = None


class Batch(NamedTuple):
    """The samples of one step; a field that neither the loss nor the method needs is None."""

    images: jax.Array  # float (batch, height, width, channels), preprocessed
    labels: jax.Array  # int (batch,), in [0, classes)
    transition_matrix: jax.Array | None = None  # float32 (classes, classes), P(label | true class)
    index: jax.Array | None = None  # int32 (batch,), row of each sample in `TrainState.targets`
    other_labels: jax.Array | None = None  # int (batch,), of the pictures that mixup mixes in
    # float32 (), in [0, 1]: the weight of `labels`; that of `other_labels` is 1 − share.
    share: jax.Array | None = None
    weight: jax.Array | None = None  # float32 (batch,): of the loss on each label, by default 1
    dropout_key: jax.Array | None = None  # typed PRNG key of the net's dropout, if it has any


@dataclasses.dataclass(frozen=True)
class Program:
    """The static part of a step, which is compiled into the program.

    It is hashable, so that jit can key on it.
    """

    net: nn.Module
    optimizer: optim.Optimizer
    jacob_mode: str = "projection"  # or "exact"
    precision: str = "float32"
    validation_labels: str = "clean"  # or "noisy": which validation accuracy selects the best epoch
    loss: robust_losses.Loss = robust_losses.Loss("ce")
    method: robust_training.Method | None = None
    augmentation: Augmentation | None = None
    renew_averages: bool = True  # those of batch norm, after each epoch: see `evaluation.renewed`
    ema_decay: float | None = None  # in (0, 1), see `averaged`; None: no average of the parameters

    def matmul_precision(self) -> contextlib.AbstractContextManager:
        """A context in which matrix products have this precision, whatever the device's default."""
        names = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "default"}
        return jax.default_matmul_precision(names[self.precision])

    def measuring(self) -> "Program":
        """The same program in float32, for measurements, whatever precision the net trains in."""
        net = self.net.clone(dtype=jnp.float32) if hasattr(self.net, "dtype") else self.net
        return dataclasses.replace(self, net=net, precision="float32")


class LossParts(NamedTuple):
    """The loss and its terms, as batch means; the terms are not yet multiplied by coefficients."""

    loss: jax.Array  # weighted sum of the terms; decoupled weight decay is not one of them
    label_loss: jax.Array  # --loss plus the method's penalty: the term without a coefficient
    cross_entropy: jax.Array  # nats; for comparison, if --loss is another loss
    entropy: jax.Array  # nats
    jacobian: jax.Array  # ‖J‖²_F or its projected estimate; 0 while the term is off
    weight_decay: jax.Array  # ½Σw² over the parameters that weight decay acts on


def create_state(
    program: Program, key: jax.Array, image_shape: tuple[int, ...], samples: int = 0
) -> TrainState:
    """Returns the initial state of one member.

    Args:
      key: typed PRNG key; determines the initial parameters and spectral vectors.
      image_shape: (height, width, channels).
      samples: number of training samples; only `robust_training.ELR` uses it.
    """
    variables = program.net.init(key, jnp.zeros((2, *image_shape), jnp.float32), train=False)
    params = variables.pop("params")
    opt_state = program.optimizer.chain(0.0).init(params)
    targets = None
    if isinstance(program.method, robust_training.ELR):
        targets = jnp.zeros((samples, program.net.num_classes), jnp.float32)
    # A copy, because a donated argument must not contain the same buffer twice.
    ema = None if program.ema_decay is None else jax.tree.map(jnp.copy, params)
    return TrainState(jnp.int32(0), params, variables, opt_state, targets, ema)


def loss_fn(
    params: Any,
    state: TrainState,
    batch: Batch,
    coefficients: Coefficients,
    key: jax.Array,
    *,
    program: Program,
    with_jacobian: bool,
) -> tuple[jax.Array, tuple[LossParts, Any, jax.Array | None]]:
    """The function to differentiate: mean loss on the labels + entropy and Jacobian terms.

    One forward pass serves all terms. The returned value does not include weight decay, which the
    optimizer adds (see `optim.Optimizer.chain`). `LossParts.loss` includes it if it is coupled, so
    that the gradient of `LossParts.loss` is the one that momentum or Adam receive.

    Args:
      params: parameters of the net, with respect to which the gradient is taken.
      state: provides the rest of the member's state: variables and targets.
      key: typed PRNG key of the Jacobian's random projection.
      with_jacobian: whether the Jacobian term is part of the program.

    Returns:
      the value, and the triple of its parts, the updated variables and the batch's updated targets
      (None without `robust_training.ELR`).
    """

    rngs = {} if batch.dropout_key is None else {"dropout": batch.dropout_key}

    def forward(x):
        return program.net.apply(
            {"params": params, **state.variables},
            x,
            train=True,
            mutable=list(state.variables),
            rngs=rngs,
        )

    if not with_jacobian:
        logits, new_variables = forward(batch.images)
        jacobian = jnp.float32(0)
    else:
        if program.jacob_mode == "projection":
            shape = (batch.images.shape[0], program.net.num_classes)
            projection = jax.random.normal(key, shape, jnp.float32)
            squared, out = losses.projected_jacobian(forward, batch.images, projection=projection)
            jacobian = squared.mean()
        else:
            jacobian, out = losses.mean_exact_jacobian(forward, batch.images)
        logits, new_variables = out

    def weighted(**arguments):
        loss = program.loss(**arguments)
        return loss if batch.weight is None else batch.weight * loss

    label_loss = _mixed(weighted, batch, logits, transition_matrix=batch.transition_matrix)
    targets = None
    if isinstance(program.method, robust_training.ELR):
        targets = robust_training.elr_targets(
            state.targets[batch.index], logits=logits, beta=program.method.beta
        )
        penalty = robust_training.elr_penalty(logits=logits, targets=targets)
        label_loss = label_loss + program.method.weight * penalty.mean()
    cross_entropy = _mixed(losses.cross_entropy, batch, logits)
    entropy = losses.entropy(logits=logits).mean()
    value = label_loss + coefficients.entropy * entropy
    if with_jacobian:
        value = value + coefficients.jacob * jacobian
    weight_decay = _half_squared_norm(
        jax.lax.stop_gradient(params), program.optimizer.decayed(params)
    )
    loss = value if program.optimizer.decoupled else value + coefficients.wd * weight_decay
    parts = LossParts(loss, label_loss, cross_entropy, entropy, jacobian, weight_decay)
    return value, (parts, new_variables, targets)


def _mixed(loss: Callable, batch: Batch, logits: jax.Array, **more: Any) -> jax.Array:
    """Mean of a loss over the batch; under mixup, of both labels, weighted by their shares."""
    mean = loss(logits=logits, labels=batch.labels, **more).mean()
    if batch.share is None:
        return mean
    other = loss(logits=logits, labels=batch.other_labels, **more).mean()
    return batch.share * mean + (1 - batch.share) * other


def _half_squared_norm(params: Any, decayed: Any) -> jax.Array:
    """½Σw² over the parameters for which `decayed` is true."""
    squares = jax.tree.map(lambda w, on: jnp.sum(jnp.square(w)) if on else 0.0, params, decayed)
    return 0.5 * sum(jax.tree.leaves(squares))


def train_step(
    state: TrainState,
    batch: Batch,
    coefficients: Coefficients,
    key: jax.Array,
    *,
    program: Program,
    with_jacobian: bool,
) -> tuple[TrainState, LossParts]:
    """One optimizer step on one batch; arguments as in `loss_fn`.

    `robust_training.SAM` takes a second gradient, at perturbed parameters, and steps by that one.
    Statistics, spectral vectors and the parts of the loss are those of the first pass, because the
    net is later evaluated at parameters that are not perturbed.

    Returns:
      the new state, and the parts of the loss before the step.
    """
    differentiate = functools.partial(
        jax.grad(loss_fn, has_aux=True),
        state=state,
        batch=batch,
        coefficients=coefficients,
        key=key,
        program=program,
        with_jacobian=with_jacobian,
    )
    with program.matmul_precision():
        gradient, (parts, variables, targets) = differentiate(state.params)
        if isinstance(program.method, robust_training.SAM):
            off = robust_training.ascend(state.params, gradient, rho=program.method.rho)
            gradient, _ = differentiate(off)
    updates, opt_state = program.optimizer.chain(coefficients.wd).update(
        gradient, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    if targets is not None:
        targets = state.targets.at[batch.index].set(targets)
    ema = state.ema
    if program.ema_decay is not None:
        ema = averaged(ema, params, decay=program.ema_decay)
    return TrainState(state.step + 1, params, variables, opt_state, targets, ema), parts


def averaged(ema: Any, params: Any, *, decay: float) -> Any:
    """The exponential moving average of parameters after one more step.

    decay · ema + (1 − decay) · params, so after t steps the initial parameters, from which it
    starts, still have the weight decay^t; there is no correction for that. Source: Tarvainen and
    Valpola, "Mean teachers are better role models" (NeurIPS 2017,
    https://arxiv.org/abs/1703.01780), whose teacher has these parameters.

    Args:
      ema, params: trees of float32 arrays of equal shapes.
      decay: in (0, 1).
    """
    # Of the decay as float32 has it: else, near 1, the two factors would not sum to 1 there.
    return optax.incremental_update(params, ema, 1 - float(np.float32(decay)))
