"""One training step and one evaluation step of one member: pure functions to vmap and jit."""

import contextlib
import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxnoise import losses, optim


class Coefficients(NamedTuple):
    """Weights of the regularizers, ≥ 0; traced, so members of one program can differ in them."""

    wd: jax.Array | float
    jacob: jax.Array | float
    entropy: jax.Array | float


class TrainState(flax.struct.PyTreeNode):
    """All that changes while a member trains."""

    step: jax.Array  # int32 (), optimizer steps so far
    params: Any
    variables: Any  # Flax collections batch_stats and, under spectral normalization, spectral
    opt_state: Any


@dataclasses.dataclass(frozen=True)
class Program:
    """What is compiled in: everything static about a step. Hashable, so that jit can key on it."""

    net: nn.Module
    network: str
    schedule: optax.Schedule
    jacob_mode: str
    precision: str = "float32"
    validation_labels: str = "clean"  # or "noisy": those whose accuracy chooses the best epoch

    def matmul_precision(self) -> contextlib.AbstractContextManager:
        """Inside, products are as exact as `precision` promises, whatever the device's default."""
        names = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "default"}
        return jax.default_matmul_precision(names[self.precision])

    def measuring(self) -> "Program":
        """The same in float32, whatever the net was trained in: for measurements."""
        return dataclasses.replace(self, net=self.net.clone(dtype=jnp.float32), precision="float32")

    def optimizer(self, coefficients: Coefficients) -> optax.GradientTransformation:
        return optim.optimizer(self.network, self.schedule, weight_decay=coefficients.wd)


class LossParts(NamedTuple):
    """The loss and its terms, batch means, each term before its coefficient."""

    loss: jax.Array  # sum of the terms, weighted
    cross_entropy: jax.Array  # nats
    entropy: jax.Array  # nats
    jacobian: jax.Array  # ‖J‖²_F or its projected estimate; 0 while the term is off
    weight_decay: jax.Array  # ½Σw² over kernels and γ


def create_state(program: Program, key: jax.Array, image_shape: tuple[int, ...]) -> TrainState:
    """Initial state of one member.

    Args:
      key: typed PRNG key; decides the initial parameters and spectral vectors.
      image_shape: (height, width, channels).
    """
    variables = program.net.init(key, jnp.zeros((2, *image_shape), jnp.float32), train=False)
    params = variables.pop("params")
    opt_state = program.optimizer(Coefficients(0.0, 0.0, 0.0)).init(params)
    return TrainState(jnp.int32(0), params, variables, opt_state)


def loss_fn(
    params: Any,
    variables: Any,
    images: jax.Array,
    labels: jax.Array,
    coefficients: Coefficients,
    key: jax.Array,
    *,
    program: Program,
    with_jacobian: bool,
) -> tuple[jax.Array, tuple[LossParts, Any]]:
    """The function that is differentiated: mean cross-entropy + entropy and Jacobian terms.

    Weight decay is missing from the returned value and present in `LossParts.loss`: its gradient is
    added by the optimizer (see `optim.optimizer`).

    Args:
      images: float (batch, height, width, channels), preprocessed.
      labels: int (batch,), in [0, classes).
      key: typed PRNG key of the Jacobian's random projection.
      with_jacobian: whether the Jacobian term is part of the program.

    Returns:
      the value, and (its parts, the updated variables). One forward pass serves all terms.
    """

    def forward(x):
        return program.net.apply(
            {"params": params, **variables}, x, train=True, mutable=list(variables)
        )

    if not with_jacobian:
        logits, new_variables = forward(images)
        jacobian = jnp.float32(0)
    else:
        if program.jacob_mode == "projection":
            shape = (images.shape[0], program.net.num_classes)
            projection = jax.random.normal(key, shape, jnp.float32)
            squared, out = losses.projected_jacobian(forward, images, projection=projection)
            jacobian = squared.mean()
        else:
            jacobian, out = losses.mean_exact_jacobian(forward, images)
        logits, new_variables = out

    cross_entropy = losses.cross_entropy(logits=logits, labels=labels).mean()
    entropy = losses.entropy(logits=logits).mean()
    value = cross_entropy + coefficients.entropy * entropy
    if with_jacobian:
        value = value + coefficients.jacob * jacobian
    weight_decay = _half_squared_norm(jax.lax.stop_gradient(params))
    parts = LossParts(
        value + coefficients.wd * weight_decay, cross_entropy, entropy, jacobian, weight_decay
    )
    return value, (parts, new_variables)


def _half_squared_norm(params: Any) -> jax.Array:
    squares = jax.tree.map(
        lambda w, on: jnp.sum(jnp.square(w)) if on else 0.0, params, optim.decayed(params)
    )
    return 0.5 * sum(jax.tree.leaves(squares))


def train_step(
    state: TrainState,
    images: jax.Array,
    labels: jax.Array,
    coefficients: Coefficients,
    key: jax.Array,
    *,
    program: Program,
    with_jacobian: bool,
) -> tuple[TrainState, LossParts]:
    """One optimizer step on one batch; arguments as in `loss_fn`."""
    with program.matmul_precision():
        gradient, (parts, variables) = jax.grad(loss_fn, has_aux=True)(
            state.params,
            state.variables,
            images,
            labels,
            coefficients,
            key,
            program=program,
            with_jacobian=with_jacobian,
        )
    updates, opt_state = program.optimizer(coefficients).update(
        gradient, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, variables, opt_state), parts


class Predictions(NamedTuple):
    """Evaluation of one batch against two labellings, per picture: each float (batch,)."""

    noisy_loss: jax.Array  # cross-entropy with the given labels, nats
    noisy_correct: jax.Array  # 1.0 where the prediction is that label
    true_loss: jax.Array
    true_correct: jax.Array
    entropy: jax.Array  # of the prediction, nats


def logits_step(state: TrainState, images: jax.Array, *, program: Program) -> jax.Array:
    """Logits in evaluation mode, float (batch, classes): running statistics, no state changed."""
    with program.matmul_precision():
        return program.net.apply({"params": state.params, **state.variables}, images, train=False)


def eval_step(
    state: TrainState,
    images: jax.Array,
    noisy_labels: jax.Array,
    true_labels: jax.Array,
    *,
    program: Program,
) -> tuple[jax.Array, Predictions]:
    """One forward pass in evaluation mode: predicted classes, int32 (batch,), and how good."""
    logits = logits_step(state, images, program=program)
    predicted = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return predicted, Predictions(
        losses.cross_entropy(logits=logits, labels=noisy_labels),
        (predicted == noisy_labels).astype(jnp.float32),
        losses.cross_entropy(logits=logits, labels=true_labels),
        (predicted == true_labels).astype(jnp.float32),
        losses.entropy(logits=logits),
    )


def jacobian_step(state: TrainState, images: jax.Array, *, program: Program) -> jax.Array:
    """‖J_b‖²_F of every picture in evaluation mode, float (batch,).

    A measurement, so it is made in float32 whatever the net was trained in.
    """
    measured = program.measuring()

    def forward(x):
        return logits_step(state, x, program=measured), None

    with measured.matmul_precision():  # of the backward passes too
        return losses.exact_jacobian(forward, images)[0]
