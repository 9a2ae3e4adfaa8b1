"""One forward pass of one member in evaluation mode, as pure functions to vmap and jit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoise import losses
from jaxnoise.train_step import Program, TrainState


def after_evaluation(
    state: TrainState, batches: jax.Array | int, image_shape: tuple[int, ...], *, program: Program
) -> TrainState:
    """The state of a member after forward passes in evaluation mode.

    It is the same state unless the net's spectral vectors also move in evaluation mode; then every
    pass is one step of their power iteration. The content of the batches does not affect it.

    Args:
      batches: number of forward passes, int (), ≥ 0.
      image_shape: (height, width, channels).
    """
    norm = getattr(program.net, "spectral", None)
    if norm is None or not norm.in_evaluation:
        return state
    images = jnp.zeros((1, *image_shape), jnp.float32)

    def pass_one(_, variables):
        _, moved = program.net.apply(
            {"params": state.params, **variables}, images, train=False, mutable=["spectral"]
        )
        return variables | moved

    return state.replace(variables=jax.lax.fori_loop(0, batches, pass_one, state.variables))


class Predictions(NamedTuple):
    """Evaluation of one batch against noisy and true labels, per picture: each float (batch,)."""

    noisy_loss: jax.Array  # cross-entropy with the noisy label, nats
    noisy_correct: jax.Array  # 1.0 where the prediction is that label
    true_loss: jax.Array
    true_correct: jax.Array
    entropy: jax.Array  # of the prediction, nats


def logits_step(state: TrainState, images: jax.Array, *, program: Program) -> jax.Array:
    """Logits in evaluation mode, float (batch, classes); they leave the state unchanged."""
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
    """One forward pass in evaluation mode: predicted classes, int32 (batch,), and their quality."""
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

    It is a measurement, so it is made in float32, whatever precision the net was trained in.
    """
    measured = program.measuring()

    def forward(x):
        return logits_step(state, x, program=measured), None

    with measured.matmul_precision():  # for the backward passes too
        return losses.exact_jacobian(forward, images)[0]
