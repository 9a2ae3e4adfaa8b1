"""Batch normalization and ReLU, with max-pooling before them where that is the same and cheaper."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

MOMENTUM = 0.99
EPSILON = 1e-3


class BatchNormReLU(nn.Module):
    """relu(γ (y − μ) / √(σ² + ε) + β), then max-pooling if asked for.

    In training μ and σ² = E[y²] − μ² are the batch's, and running averages move by 1 − MOMENTUM; in
    evaluation the running averages are used. The map from y to the output is monotone in each
    feature, rising where γ ≥ 0 and falling elsewhere, so max-pooling may come first, on sign(γ) y:
    a quarter of the values is left to normalize. Parameters and variables are named as in
    `flax.linen.BatchNorm`. Source: Ioffe and Szegedy, "Batch Normalization" (ICML 2015,
    https://arxiv.org/abs/1502.03167).
    """

    use_scale: bool

    @nn.compact
    def __call__(
        self,
        y: jax.Array,
        *,
        train: bool,
        max_pool: Callable[[jax.Array], jax.Array] | None = None,
    ) -> jax.Array:
        """Maps (features, ..., batch) to the same shape, or to that of `max_pool`'s result.

        Args:
          y: float (features, ..., batch); the result has its dtype, all else is float32.
          max_pool: takes maxima of each feature; `None` for no pooling.
        """
        features = y.shape[0]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, features, jnp.float32)
        if train:
            mean, var = _moments(y)
            if not self.is_initializing():
                for running, value in ((running_mean, mean), (running_var, var)):
                    running.value = MOMENTUM * running.value + (1 - MOMENTUM) * value
        else:
            mean, var = running_mean.value, running_var.value

        factor = lax.rsqrt(var + EPSILON)
        shift = self.param("bias", nn.initializers.constant(0.1), features, jnp.float32)
        if self.use_scale:
            scale = self.param("scale", nn.initializers.ones, features, jnp.float32)
            factor = factor * scale
        if max_pool is not None and self.use_scale:
            sign = jnp.where(scale < 0, -1, 1).astype(y.dtype)
            y = max_pool(y * _column(sign, y.ndim))
            y = y * _column(sign, y.ndim)
        elif max_pool is not None:
            y = max_pool(y)
        mean, factor, shift = (_column(values, y.ndim) for values in (mean, factor, shift))
        return nn.relu((y.astype(jnp.float32) - mean) * factor + shift).astype(y.dtype)


def _moments(y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of each feature, float32 (features,)."""
    axes, y = tuple(range(1, y.ndim)), y.astype(jnp.float32)
    mean = y.mean(axes)
    return mean, jnp.maximum(jnp.square(y).mean(axes) - jnp.square(mean), 0.0)


def _column(values: jax.Array, ndim: int) -> jax.Array:
    """(features,) to (features, 1, ..., 1) of `ndim` axes."""
    return values.reshape(-1, *[1] * (ndim - 1))
