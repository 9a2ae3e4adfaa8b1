"""Linear layers, whose kernels can be spectrally normalized, alone and with batch norm and ReLU.

They map arrays whose last axis is the batch, see `conv`.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnoise.layers import conv, spectral_norm
from jaxnoise.layers.batch_norm import BatchNorm, at_least_float32
from jaxnoise.layers.conventions import PAPER, Conventions, Initializer
from jaxnoise.layers.matmul import matmul
from jaxnoise.layers.spectral_norm import SpectralNorm


class _Layer(nn.Module):
    """Base of the layers: one float32 kernel, spectrally normalized if `spectral` is given."""

    features: int
    spectral: SpectralNorm | None

    def weights(
        self,
        shape: tuple[int, ...],
        init: Initializer,
        x: jax.Array,
        train: bool,
        convolution: spectral_norm.LinearMap | None = None,
    ) -> jax.Array:
        """Returns the kernel that the layer applies to its input, normalized, in x's dtype.

        With spectral normalization the call also moves the running vector u in training mode, and
        in evaluation mode if `SpectralNorm.in_evaluation` is set and the caller lets u change.

        Args:
          shape: of the kernel, (..., features).
          init: initializer of the kernel.
          x: the input of the layer, (..., batch).
          train: whether the layer is in training mode.
          convolution: the map (x, kernel) → output of a convolutional layer, whose norm the mode
            `exact` takes; None for a dense layer.
        """
        kernel = self.param("kernel", init, shape, jnp.float32)
        norm = self.spectral
        if norm is None:
            return kernel.astype(x.dtype)
        linear_map, inputs = spectral_norm.reshaped, (self.features,)
        if norm.mode == "exact" and convolution is not None:
            inputs = x.shape[:-1]

            def linear_map(u: jax.Array, kernel: jax.Array) -> jax.Array:
                return convolution(u[..., None], kernel)

        u = self.variable("spectral", "u", self._first_u, inputs)
        kernel, new_u, _ = spectral_norm.normalize(kernel, u.value, norm, linear_map)
        moves = train or (norm.in_evaluation and self.is_mutable_collection("spectral"))
        if moves and not self.is_initializing():
            u.value = new_u
        return kernel.astype(x.dtype)

    def _first_u(self, shape: tuple[int, ...]) -> jax.Array:
        return spectral_norm.unit(jax.random.normal(self.make_rng("params"), shape, jnp.float32))


class Conv(_Layer):
    """Convolution without a bias.

    It maps (channels, height, width, batch) to (features, height', width', batch).
    """

    size: int
    padding: str = "SAME"
    stride: int = 1
    conventions: Conventions = PAPER

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return self.convolve(x, train=train)[:, 0]

    def convolve(self, x: jax.Array, *, train: bool, before_pooling: bool = False) -> jax.Array:
        """The result of `conv.convolve`."""
        convolution = functools.partial(
            conv.convolve,
            padding=self.padding,
            stride=self.stride,
            before_pooling=before_pooling,
        )
        shape = (self.size, self.size, x.shape[0], self.features)
        kernel = self.weights(shape, self.conventions.conv, x, train, convolution)
        return convolution(x, kernel)


class ConvBlock(Conv):
    """Convolution → batch norm → ReLU if `relu`, then 2×2 max-pooling if `pool`.

    It maps as `Conv` does.
    """

    pool: bool = False
    relu: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = self.convolve(x, train=train, before_pooling=self.pool)
        normalize = BatchNorm(self.spectral is None, self.relu, self.conventions, name="bn")
        if self.pool:
            return normalize(y, train=train, max_pool=conv.max_pool)
        return normalize(y[:, 0], train=train)


class DenseBlock(_Layer):
    """Dense layer (no bias) → batch norm → ReLU; if `last`, only a dense layer with a bias.

    It maps (inputs, batch) to (features, batch). The output of the last layer is float32, of
    a float64 net float64.
    """

    last: bool = False
    conventions: Conventions = PAPER

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        inputs = x.shape[0]
        y = matmul(self.weights((inputs, self.features), self.conventions.dense, x, train).T, x)
        if not self.last:
            normalize = BatchNorm(self.spectral is None, True, self.conventions, name="bn")
            return normalize(y, train=train)
        bias = self.param("bias", self.conventions.bias(inputs), (self.features,), jnp.float32)
        wide = at_least_float32(y.dtype)
        return y.astype(wide) + bias.astype(wide)[:, None]
