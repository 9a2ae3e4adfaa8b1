"""The terms of the loss, per example: the caller averages and weights them.

Symbols: z logits, p = softmax(z), y label, x picture, J = ∂z/∂x, K classes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax


def cross_entropy(*, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """−log p_y, in nats.

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K).

    Returns:
      float (batch,), ≥ 0.
    """
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def entropy(*, logits: jax.Array) -> jax.Array:
    """Entropy of the prediction, −Σ_k p_k log p_k, in nats.

    As a term with a positive coefficient it makes predictions sharper. Its gradient flows through
    both factors, and stays finite where a probability underflows. Source: Grandvalet and Bengio,
    "Semi-supervised Learning by Entropy Minimization" (NeurIPS 2004).

    Args:
      logits: float (batch, K).

    Returns:
      float (batch,), in [0, log K].
    """
    log_p = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)


Forward = Callable[[jax.Array], tuple[jax.Array, Any]]


def projected_jacobian(
    forward: Forward, images: jax.Array, *, projection: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Squared norm of a random projection of the Jacobian, ‖∂(Σ_b r_bᵀ z_b)/∂x_b‖².

    With r_b ~ N(0, I_K) its expectation is ‖J_b‖²_F, for one backward pass instead of K. Where
    batch norm couples the batch (training mode), J_b is the derivative of the batch's summed
    logits.
    Source: Hoffman, Roberts and Yaida, "Robust Learning with Jacobian Regularization" (2019,
    https://arxiv.org/abs/1908.02729); with this r by Bar et al. 2022.

    Args:
      forward: maps images to (logits (batch, K), anything else the caller wants from this pass).
      images: float (batch, height, width, channels).
      projection: r, float (batch, K).

    Returns:
      float (batch,), ≥ 0, and what `forward` returned: its one pass serves both.
    """
    logits, pullback, more = jax.vjp(forward, images, has_aux=True)
    return _squared_norms(pullback, projection), (logits, more)


def exact_jacobian(
    forward: Forward, images: jax.Array, *, rows_at_once: int = 10
) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Squared Frobenius norm of the Jacobian, ‖J_b‖²_F = Σ_k ‖∂(Σ_b' z_b'k)/∂x_b‖².

    One forward pass and K backward passes: the rows of `jax.jacrev`, but computed one by one, since
    its `vmap` over rows costs two to five times as much on CPU (benchmarks/jacobian.py), and summed
    at once, so that memory does not grow with K. Source, arguments and returns as
    `projected_jacobian`.

    Args:
      rows_at_once: backward passes to compile side by side, of which the loop over K is made: more
        run faster and take longer to compile.
    """
    logits, pullback, more = jax.vjp(forward, images, has_aux=True)
    classes = logits.shape[1]
    block = max(size for size in range(1, rows_at_once + 1) if classes % size == 0)

    def rows(one_hots):
        cotangents = [jnp.broadcast_to(one_hot, logits.shape) for one_hot in one_hots]
        return sum(_squared_norms(pullback, cotangent) for cotangent in cotangents)

    one_hots = jnp.eye(classes, dtype=logits.dtype).reshape(-1, block, classes)
    squares = jax.lax.map(rows, one_hots).sum(axis=0) if len(one_hots) > 1 else rows(one_hots[0])
    return squares, (logits, more)


def _squared_norms(pullback: Callable, cotangent: jax.Array) -> jax.Array:
    (gradient,) = pullback(cotangent)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3))
