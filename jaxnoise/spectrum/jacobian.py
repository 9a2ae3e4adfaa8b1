"""Singular values of the Jacobian of the logits, picture by picture."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoise import train_step as ts
from jaxnoise.training import eval_step as es
from jaxnoise.training import evaluation
from jaxnoise.training.evaluation import Pictures


def gram(forward: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """J_b J_bᵀ of J_b = ∂z_b/∂x_b.

    Args:
      forward: maps images to logits (batch, classes), each of its own picture alone.
      images: float32 (batch, height, width, channels).

    Returns:
      float32 (batch, classes, classes).
    """
    logits, pullback = jax.vjp(forward, images)
    batch, classes = logits.shape
    picked = jnp.eye(classes, dtype=logits.dtype)
    picked = jnp.broadcast_to(picked[:, None], (classes, batch, classes))
    # One row at a time: see `losses.exact_jacobian`.
    rows = jax.lax.map(lambda row: pullback(row)[0].reshape(batch, -1), picked)
    return jnp.einsum("kbx,lbx->bkl", rows, rows)


def grams(
    state: ts.TrainState, index: jax.Array, pictures: Pictures, *, program: ts.Program
) -> jax.Array:
    """`gram` in evaluation mode and float32, with respect to what the net sees, of one member.

    Args:
      index: int32 (pictures,).

    Returns:
      float32 (pictures, classes, classes).
    """
    measured = program.measuring()

    def measure(images):
        with measured.matmul_precision():  # of the backward passes too
            return gram(lambda x: es.logits_step(state, x, program=measured), images)

    return evaluation.of_each(measure, pictures, index)


def singular_values(gram: np.ndarray) -> np.ndarray:
    """Of J, from J Jᵀ (..., classes, classes): float64 (..., classes), the largest first.

    √Σσ² is ‖J‖_F. Those below 3e-4 of the largest are lost in the rounding of J Jᵀ in float32. NaN
    where J is not finite. Computed on the host: inside programs that run at once on a CPU, LAPACK's
    calls can wait for each other's threads for ever.
    """
    finite = np.isfinite(gram).all(axis=(-2, -1))
    squares = np.linalg.eigvalsh(np.where(finite[..., None, None], np.float64(gram), 0.0))
    return np.where(finite[..., None], np.sqrt(np.maximum(squares[..., ::-1], 0.0)), np.nan)
