"""The terms of the paper's loss: cross-entropy, entropy and the norm of the Jacobian.

Functions return one value per example unless they say otherwise; the caller averages and weights
them. Symbols: z logits, p = softmax(z), y label, x picture, J = ∂z/∂x, K classes.
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

    Added to the loss with a positive coefficient, it makes predictions sharper. Its gradient flows
    through both factors and stays finite where a probability underflows. Source: Grandvalet and
    Bengio, "Semi-supervised Learning by Entropy Minimization" (NeurIPS 2004).

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

    If r_b ~ N(0, I_K), its expectation is ‖J_b‖²_F, at the cost of one backward pass instead of K.
    In training mode batch norm couples the examples of a batch, and J_b is the derivative of the
    batch's summed logits.

    Source: Hoffman, Roberts and Yaida, "Robust Learning with Jacobian Regularization" (2019,
    https://arxiv.org/abs/1908.02729); with this distribution of r, Bar et al. 2022.

    Args:
      forward: maps images to a pair: logits (batch, K), and whatever else the caller needs from
        the forward pass.
      images: float (batch, height, width, channels).
      projection: r, float (batch, K).

    Returns:
      float (batch,), ≥ 0, and the pair that `forward` returned, so that the caller needs no
      forward pass of its own.
    """
    logits, pullback, more = jax.vjp(forward, images, has_aux=True)
    return _squared_norms(pullback, projection), (logits, more)


def exact_jacobian(forward: Forward, images: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Squared Frobenius norm of the Jacobian, ‖J_b‖²_F = Σ_k ‖∂(Σ_b' z_b'k)/∂x_b‖².

    It takes one forward pass and K backward passes: the rows of `jax.jacrev`, but computed one
    after the other, so that memory does not grow with K. For training use `mean_exact_jacobian`.
    Source, arguments and return values are as in `projected_jacobian`.
    """
    logits, pullback, more = jax.vjp(forward, images, has_aux=True)
    squares = jax.lax.map(lambda row: _squared_norms(pullback, row), _rows(logits)).sum(axis=0)
    return squares, (logits, more)


def mean_exact_jacobian(
    forward: Forward, images: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Mean of `exact_jacobian` over the batch, float (), written for a fast gradient.

    Value and gradient are both sums over the rows of J, so they are computed together, row by row.
    If JAX differentiated the loop over rows, it would store the intermediate values of every row
    and then go through all rows again, which takes more time, and memory that grows with K. The
    result can be differentiated once. Arguments and second return value are as in `exact_jacobian`.
    """
    logits, pullback, more = jax.vjp(forward, images, has_aux=True)
    # `pullback` is a pytree of stored values; only the floating-point ones have a gradient.
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
    """For every class, the cotangent that selects it in all pictures: (K, batch, K)."""
    one_hots = jnp.eye(logits.shape[1], dtype=logits.dtype)
    return jnp.broadcast_to(one_hots[:, None], (len(one_hots), *logits.shape))


def _squared_norms(pullback: Callable, cotangent: jax.Array) -> jax.Array:
    """Squared norm of the gradient with respect to each picture, float (batch,)."""
    (gradient,) = pullback(cotangent)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3))
