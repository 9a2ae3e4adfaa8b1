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


def exact_jacobian(forward: Forward, images: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Squared Frobenius norm of the Jacobian, ‖J_b‖²_F = Σ_k ‖∂(Σ_b' z_b'k)/∂x_b‖².

    One forward pass and K backward passes: the rows of `jax.jacrev`, but one after the other, so
    that memory does not grow with K. To train on, take `mean_exact_jacobian`. Source, arguments and
    returns as `projected_jacobian`.
    """
    logits, pullback, more = jax.vjp(forward, images, has_aux=True)
    squares = jax.lax.map(lambda row: _squared_norms(pullback, row), _rows(logits)).sum(axis=0)
    return squares, (logits, more)


def mean_exact_jacobian(
    forward: Forward, images: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Mean of `exact_jacobian` over the batch, float (), to be differentiated (once).

    The gradient is a sum over the rows of J, as the value is, and is taken along with it, row by
    row. Differentiating the rows' loop would first keep what every row needs and then run through
    all of it again: more time, and memory that grows with K. Arguments and second return as
    `exact_jacobian`.
    """
    logits, pullback, more = jax.vjp(forward, images, has_aux=True)
    leaves, structure = jax.tree.flatten(pullback)
    varies = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def mean_square(varying, fixed, row):
        varying, fixed = iter(varying), iter(fixed)
        of_row = [next(varying) if varied else next(fixed) for varied in varies]
        return _squared_norms(jax.tree.unflatten(structure, of_row), row).mean()

    def total(step, rows):
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(step, rows[0]))
        return jax.lax.scan(
            lambda sums, row: (jax.tree.map(jnp.add, sums, step(row)), None), zeros, rows
        )[0]

    @jax.custom_vjp
    def mean(varying, fixed, rows):
        return total(lambda row: mean_square(varying, fixed, row), rows)

    def value_and_gradient(varying, fixed, rows):
        return total(lambda row: jax.value_and_grad(mean_square)(varying, fixed, row), rows)

    mean.defvjp(
        value_and_gradient,
        lambda gradient, scale: (
            jax.tree.map(lambda x: scale.astype(x.dtype) * x, gradient),
            None,
            None,
        ),
    )
    varying = [leaf for leaf, varied in zip(leaves, varies, strict=True) if varied]
    fixed = [leaf for leaf, varied in zip(leaves, varies, strict=True) if not varied]
    return mean(varying, fixed, _rows(logits)), (logits, more)


def _rows(logits: jax.Array) -> jax.Array:
    """For every class the cotangent that picks it in all pictures: (K, batch, K)."""
    one_hots = jnp.eye(logits.shape[1], dtype=logits.dtype)
    return jnp.broadcast_to(one_hots[:, None], (len(one_hots), *logits.shape))


def _squared_norms(pullback: Callable, cotangent: jax.Array) -> jax.Array:
    (gradient,) = pullback(cotangent)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3))
