"""LeNet and AllCNN, with spectral normalization as state carried in Flax variables.

Pictures come as (batch, height, width, channels) and logits leave as (batch, classes); in between
the batch is the innermost axis (see `conv`). Activations are computed in the net's `dtype`, while
parameters, statistics and logits are float32. Every layer but LeNet's last is linear → batch norm →
ReLU, as in Bar, Drory and Giryes, "A Spectral Perspective of DNN Robustness to Label Noise"
(AISTATS 2022, https://proceedings.mlr.press/v151/bar22a.html).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxnoise import conv
from jaxnoise.normalization import BatchNormReLU
from jaxnoise.product import product

VALID, SAME = "VALID", "SAME"


def spectral_normalize(kernel: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Divides a kernel by its spectral norm, estimated with one power iteration.

    With W the kernel reshaped to (−1, features):
    v = W u / ‖W u‖,  u' = Wᵀ v / ‖Wᵀ v‖,  σ = vᵀ W u'.
    Gradients flow through W but not through u and v. σ is the norm of the reshaped kernel, which is
    not the operator norm of the convolution. Source: Miyato et al., "Spectral Normalization for
    Generative Adversarial Networks" (ICLR 2018, https://arxiv.org/abs/1802.05957).

    Args:
      kernel: float (..., features).
      u: float (features,), a unit vector: the running estimate of the first right singular vector.

    Returns:
      kernel / σ, u' and the scalar σ.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    # At the reduced precision that accelerators take by default, σ would be off by up to 1 %.
    with jax.default_matmul_precision("highest"):
        v = _unit(lax.stop_gradient(matrix) @ u)
        u = _unit(v @ lax.stop_gradient(matrix))
        sigma = v @ matrix @ u
    return kernel / sigma, u, sigma


def _unit(x: jax.Array) -> jax.Array:
    return x * lax.rsqrt(jnp.maximum(jnp.sum(x * x), 1e-12))


class _Layer(nn.Module):
    """Base of the layers: one float32 kernel, spectrally normalized where asked."""

    features: int
    spectral: bool

    def weights(
        self,
        shape: tuple[int, ...],
        init: nn.initializers.Initializer,
        dtype: jnp.dtype,
        train: bool,
    ) -> jax.Array:
        """The kernel as the layer uses it, in its input's dtype."""
        kernel = self.param("kernel", init, shape, jnp.float32)
        if self.spectral:
            u = self.variable("spectral", "u", self._first_u)
            kernel, new_u, _ = spectral_normalize(kernel, u.value)
            if train and not self.is_initializing():
                u.value = new_u
        return kernel.astype(dtype)

    def _first_u(self) -> jax.Array:
        return _unit(jax.random.normal(self.make_rng("params"), (self.features,), jnp.float32))


class ConvBlock(_Layer):
    """Convolution at stride 1 without bias → batch norm → ReLU → 2×2 max-pooling if `pool`.

    Maps (channels, height, width, batch) to (features, height', width', batch).
    """

    size: int
    padding: str
    pool: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
        shape = (self.size, self.size, x.shape[0], self.features)
        kernel = self.weights(shape, he_normal, x.dtype, train)
        y = conv.convolve(x, kernel, padding=self.padding, before_pooling=self.pool)
        normalize = BatchNormReLU(use_scale=not self.spectral, name="bn")
        if self.pool:
            return normalize(y, train=train, max_pool=conv.max_pool)
        return normalize(y[:, 0], train=train)


class DenseBlock(_Layer):
    """Dense layer without bias → batch norm → ReLU; with `last`, a dense layer with bias alone.

    Maps (inputs, batch) to (features, batch), logits to float32.
    """

    last: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        glorot = nn.initializers.glorot_uniform()
        y = product(self.weights((x.shape[0], self.features), glorot, x.dtype, train).T, x)
        if not self.last:
            return BatchNormReLU(use_scale=not self.spectral, name="bn")(y, train=train)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return y.astype(jnp.float32) + bias[:, None]


class LeNet(nn.Module):
    """LeNet with batch norm: conv 5×5×6, pool, conv 5×5×16, pool, dense 120, 84, classes.

    Source: LeCun et al. 1998 (https://doi.org/10.1109/5.726791), as changed by Bar et al. 2022.
    """

    num_classes: int
    spectral: bool
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
    spectral: bool
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

# The `dtype` of a net by --precision.
DTYPES = {"float32": jnp.float32, "tf32": jnp.float32, "bf16": jnp.bfloat16}
