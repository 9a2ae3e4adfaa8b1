"""Spectral normalization: a kernel divided by the norm of its linear map, by power iteration.

Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (ICLR 2018,
https://arxiv.org/abs/1802.05957).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# (u, kernel) → A u, linear in u and in the kernel.
LinearMap = Callable[[jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class SpectralNorm:
    """How the kernels of a net are normalized. Hashable, so that it can be a field of a net."""

    # The linear map whose norm is σ: `reshaped`, the kernel as a matrix (−1, features), or `exact`,
    # the layer's convolution of one picture, padding included. For a dense layer both are the same.
    mode: str = "reshaped"
    cap: float | None = None  # > 0: a norm above it is reduced to it, a smaller one stays
    iterations: int = 1  # of power iteration, per forward pass that moves u
    stop_gradient: bool = True  # at u and v, as in Miyato et al.
    in_evaluation: bool = False  # whether forward passes in evaluation mode move u too


def reshaped(u: jax.Array, kernel: jax.Array) -> jax.Array:
    """W u, where W is the kernel as a matrix (−1, features), and u has shape (features,)."""
    return kernel.reshape(-1, kernel.shape[-1]) @ u


def normalize(
    kernel: jax.Array, u: jax.Array, norm: SpectralNorm, linear_map: LinearMap = reshaped
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Divides a kernel by the norm of its linear map A, estimated by power iteration.

    v = A u / ‖A u‖,  u' = Aᵀ v / ‖Aᵀ v‖, `norm.iterations` times;  σ = ⟨v, A u'⟩.
    The kernel becomes kernel / σ or, with a cap c, kernel / max(1, σ / c). If `norm` stops
    gradients at u and v, the gradient of σ flows only through the A in its formula.

    Args:
      kernel: float32 (..., features).
      u: float32, a unit vector of the shape of an input of A: the running estimate of the first
        right singular vector.
      linear_map: A.

    Returns:
      the normalized kernel, u' and the scalar σ ≥ 0.
    """

    def transposed(v: jax.Array, kernel: jax.Array) -> jax.Array:
        _, pullback = jax.vjp(lambda u: linear_map(u, kernel), u)
        return pullback(v)[0]

    fixed = lax.stop_gradient(kernel) if norm.stop_gradient else kernel

    def iterate(u: jax.Array) -> tuple[jax.Array, jax.Array]:
        v = unit(linear_map(u, fixed))
        return v, unit(transposed(v, fixed))

    # In the reduced precision that accelerators use by default, σ would be off by up to 1 %.
    with jax.default_matmul_precision("highest"):
        if norm.iterations > 1:
            u = lax.fori_loop(1, norm.iterations, lambda _, u: iterate(u)[1], u)
        v, u = iterate(u)
        sigma = jnp.vdot(transposed(v, kernel), u)
    divisor = sigma if norm.cap is None else jnp.maximum(1.0, sigma / norm.cap)
    return kernel / divisor, u, sigma


def unit(x: jax.Array) -> jax.Array:
    """x / ‖x‖, for x of any shape."""
    return x * lax.rsqrt(jnp.maximum(jnp.sum(x * x), 1e-12))
