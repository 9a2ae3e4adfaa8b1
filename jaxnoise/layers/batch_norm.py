"""Batch normalization, with or without ReLU, and with max-pooling moved before them."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxnoise.layers.conventions import PAPER, Conventions

MOMENTS = "batch_moments"  # collection of the moments of one batch


class BatchNorm(nn.Module):
    """γ (y − μ) / √(σ² + ε) + β, then ReLU if `relu`, then max-pooling if `max_pool` is given.

    In training, μ and σ² = E[y²] − μ² are those of the batch, and running averages move towards
    them by 1 − momentum. In evaluation, μ and σ² are the variables `mean` and `var` of the
    collection `batch_stats`: the running averages, unless `training.evaluation.renewed` has put the
    moments of the training part there. Variances are biased: sums are divided by the number of
    values.

    The map from y to the output is monotone in each feature, increasing where γ ≥ 0 and decreasing
    elsewhere. Max-pooling can therefore come first, applied to sign(γ) y, which leaves a quarter of
    the values to normalize. Parameters and variables are named as in `flax.linen.BatchNorm`; if the
    collection MOMENTS is mutable in training, the layer puts μ and σ² of the batch there, under the
    names of `batch_stats`. Source: Ioffe and Szegedy, "Batch Normalization" (ICML 2015,
    https://arxiv.org/abs/1502.03167).
    """

    use_scale: bool  # whether there is a factor γ
    relu: bool = True
    conventions: Conventions = PAPER  # ε, the momentum of the running averages, and the first β

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
          y: float (features, ..., batch); the result has its dtype, everything else is float32.
          max_pool: pools each feature; None for no pooling.
        """
        features = y.shape[0]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, features, jnp.float32)
        if train:
            mean, var = _moments(y)
            if not self.is_initializing():
                keep = self.conventions.momentum
                for running, value in ((running_mean, mean), (running_var, var)):
                    value = value.astype(jnp.float32)
                    running.value = keep * running.value + (1 - keep) * value
                if self.is_mutable_collection(MOMENTS):
                    self.put_variable(MOMENTS, "mean", mean)
                    self.put_variable(MOMENTS, "var", var)
        else:
            mean, var = running_mean.value, running_var.value

        wide = at_least_float32(y.dtype)
        mean, var = mean.astype(wide), var.astype(wide)
        factor = lax.rsqrt(var + self.conventions.epsilon)
        first_shift = nn.initializers.constant(self.conventions.shift)
        shift = self.param("bias", first_shift, features, jnp.float32).astype(wide)
        if self.use_scale:
            scale = self.param("scale", nn.initializers.ones, features, jnp.float32)
            factor = factor * scale.astype(wide)
        if max_pool is not None and self.use_scale:
            sign = jnp.where(scale < 0, -1, 1).astype(y.dtype)
            y = max_pool(y * _column(sign, y.ndim))
            y = y * _column(sign, y.ndim)
        elif max_pool is not None:
            y = max_pool(y)
        mean, factor, shift = (_column(values, y.ndim) for values in (mean, factor, shift))
        normalized = (y.astype(wide) - mean) * factor + shift
        return (nn.relu(normalized) if self.relu else normalized).astype(y.dtype)


def of_all_batches(batch_stats: Any, moments: Any) -> Any:
    """`batch_stats` with the moments of all samples in place of those layers' averages.

    μ = mean_b μ_b and σ² = mean_b σ_b² + mean_b (μ_b − μ)² over equally large batches b.

    Args:
      batch_stats: the collection, nested dicts.
      moments: what `BatchNorm` put into MOMENTS for each batch, float32 (batches, features);
        layers of other kinds are not in it, and keep their averages.
    """
    if "mean" in moments and "var" in moments:
        mean, var = moments["mean"], moments["var"]
        return {"mean": mean.mean(axis=0), "var": var.mean(axis=0) + mean.var(axis=0)}
    return batch_stats | {
        name: of_all_batches(batch_stats[name], inner) for name, inner in moments.items()
    }


def at_least_float32(dtype: jnp.dtype) -> jnp.dtype:
    """What sums over values of a dtype are computed in: float64 for float64, else float32."""
    return jnp.float64 if dtype == jnp.float64 else jnp.float32


def _moments(y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of each feature, (features,)."""
    axes, y = tuple(range(1, y.ndim)), y.astype(at_least_float32(y.dtype))
    mean = y.mean(axes)
    return mean, jnp.maximum(jnp.square(y).mean(axes) - jnp.square(mean), 0.0)


def _column(values: jax.Array, ndim: int) -> jax.Array:
    """Reshapes (features,) to (features, 1, ..., 1) with `ndim` axes."""
    return values.reshape(-1, *[1] * (ndim - 1))
