"""The networks, LeNet and AllCNN, as Flax modules.

A network maps pictures (batch, height, width, channels) to logits (batch, classes). Between its
layers the batch is the last axis, which is faster (see `conv`). Activations are computed in the
network's `dtype`; parameters, statistics and logits are float32.

Every layer except the last one of LeNet is linear → batch norm → ReLU, as in Bar, Drory and Giryes,
"A Spectral Perspective of DNN Robustness to Label Noise" (AISTATS 2022,
https://proceedings.mlr.press/v151/bar22a.html). With spectral normalization (`spectral` is not
None) every kernel is divided by an estimate of its norm, whose running vector u is state in the
Flax collection `spectral`, and batch norm has no factor γ.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnoise.layers import conv, spectral_norm
from jaxnoise.layers.batch_norm import BatchNormReLU
from jaxnoise.layers.matmul import matmul
from jaxnoise.layers.spectral_norm import SpectralNorm

VALID, SAME = "VALID", "SAME"


class _Layer(nn.Module):
    """Base of the layers: one float32 kernel, spectrally normalized if `spectral` is given."""

    features: int
    spectral: SpectralNorm | None

    def weights(
        self,
        shape: tuple[int, ...],
        init: nn.initializers.Initializer,
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


class ConvBlock(_Layer):
    """Convolution (stride 1, no bias) → batch norm → ReLU, then 2×2 max-pooling if `pool`.

    It maps (channels, height, width, batch) to (features, height', width', batch).
    """

    size: int
    padding: str
    pool: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
        shape = (self.size, self.size, x.shape[0], self.features)
        convolution = functools.partial(
            conv.convolve, padding=self.padding, before_pooling=self.pool
        )
        y = convolution(x, self.weights(shape, he_normal, x, train, convolution))
        normalize = BatchNormReLU(use_scale=self.spectral is None, name="bn")
        if self.pool:
            return normalize(y, train=train, max_pool=conv.max_pool)
        return normalize(y[:, 0], train=train)


class DenseBlock(_Layer):
    """Dense layer (no bias) → batch norm → ReLU; if `last`, only a dense layer with a bias.

    It maps (inputs, batch) to (features, batch). The output of the last layer is float32.
    """

    last: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        glorot = nn.initializers.glorot_uniform()
        y = matmul(self.weights((x.shape[0], self.features), glorot, x, train).T, x)
        if not self.last:
            return BatchNormReLU(use_scale=self.spectral is None, name="bn")(y, train=train)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return y.astype(jnp.float32) + bias[:, None]


class LeNet(nn.Module):
    """LeNet with batch norm: conv 5×5×6, pool, conv 5×5×16, pool, dense 120, 84, classes.

    Source: LeCun et al. 1998 (https://doi.org/10.1109/5.726791), as changed by Bar et al. 2022.
    """

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        x = conv.from_images(images.astype(self.dtype))
        for i, features in enumerate((6, 16)):
            block = ConvBlock(features, self.spectral, 5, VALID, pool=True, name=f"conv{i + 1}")
            x = block(x, train=train)
        x = x.reshape(-1, x.shape[-1])
        for i, features in enumerate((120, 84, self.num_classes)):
            block = DenseBlock(features, self.spectral, last=i == 2, name=f"dense{i + 1}")
            x = block(x, train=train)
        return x.T


class AllCNN(nn.Module):
    """AllCNN: 3 × [3×3×96], pool, 3 × [3×3×192], pool, 2 × [3×3×192], 1×1×classes, mean.

    Source: Springenberg et al. 2015 (https://arxiv.org/abs/1412.6806), as changed by Bar et al.
    2022.
    """

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        x = conv.from_images(images.astype(self.dtype))
        layers = [(96, 3)] * 3 + [(192, 3)] * 5 + [(self.num_classes, 1)]
        for i, (features, size) in enumerate(layers):
            pool = i in (2, 5)
            block = ConvBlock(features, self.spectral, size, SAME, pool=pool, name=f"conv{i + 1}")
            x = block(x, train=train)
        return x.astype(jnp.float32).mean(axis=(1, 2)).T


NETS: dict[str, type[nn.Module]] = {"lenet": LeNet, "allcnn": AllCNN}

# The `dtype` of a network for each value of --precision.
DTYPES = {"float32": jnp.float32, "tf32": jnp.float32, "bf16": jnp.bfloat16}
