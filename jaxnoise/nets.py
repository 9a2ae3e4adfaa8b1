"""The networks as Flax modules: LeNet, AllCNN, an eight-layer CNN, and residual networks.

A network maps pictures (batch, height, width, channels) to logits (batch, classes). Between its
layers the batch is the last axis, which is faster (see `conv`). Activations are computed in the
network's `dtype`; parameters, statistics and logits are float32. (The logits of a float64 net, for
tests, are float64.) `conventions` says what the
parameters start from.

LeNet and AllCNN are those of Bar, Drory and Giryes, "A Spectral Perspective of DNN Robustness to
Label Noise" (AISTATS 2022, https://proceedings.mlr.press/v151/bar22a.html). The others are those
that the literature on label noise trains, and start as their PyTorch code does. With spectral
normalization (`spectral` is not None) every kernel is divided by an estimate of its norm, whose
running vector u is state in the Flax collection `spectral`, and batch norm has no factor γ.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnoise.config import NETWORKS
from jaxnoise.layers import conv
from jaxnoise.layers.batch_norm import BatchNorm, at_least_float32
from jaxnoise.layers.blocks import Conv, ConvBlock, DenseBlock
from jaxnoise.layers.conventions import PAPER, PYTORCH, Conventions, zero
from jaxnoise.layers.residual import BasicBlock, PreActBlock
from jaxnoise.layers.spectral_norm import SpectralNorm

VALID, SAME = "VALID", "SAME"


class LeNet(nn.Module):
    """LeNet with batch norm: conv 5×5×6, pool, conv 5×5×16, pool, dense 120, 84, classes.

    Source: LeCun et al. 1998 (https://doi.org/10.1109/5.726791), as changed by Bar et al. 2022.
    """

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32
    conventions: Conventions = PAPER

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        how = {"spectral": self.spectral, "conventions": self.conventions}
        x = conv.from_images(images.astype(self.dtype))
        for i, features in enumerate((6, 16)):
            block = ConvBlock(
                features, size=5, padding=VALID, pool=True, name=f"conv{i + 1}", **how
            )
            x = block(x, train=train)
        x = x.reshape(-1, x.shape[-1])
        for i, features in enumerate((120, 84, self.num_classes)):
            x = DenseBlock(features, last=i == 2, name=f"dense{i + 1}", **how)(x, train=train)
        return x.T


class AllCNN(nn.Module):
    """AllCNN: 3 × [3×3×96], pool, 3 × [3×3×192], pool, 2 × [3×3×192], 1×1×classes, mean.

    Source: Springenberg et al. 2015 (https://arxiv.org/abs/1412.6806), as changed by Bar et al.
    2022.
    """

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32
    conventions: Conventions = PAPER

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        how = {"spectral": self.spectral, "conventions": self.conventions}
        x = conv.from_images(images.astype(self.dtype))
        layers = [(96, 3)] * 3 + [(192, 3)] * 5 + [(self.num_classes, 1)]
        for i, (features, size) in enumerate(layers):
            block = ConvBlock(features, size=size, pool=i in (2, 5), name=f"conv{i + 1}", **how)
            x = block(x, train=train)
        return _mean(x, at_least_float32(self.dtype)).T


class CNN8(nn.Module):
    """Eight layers: 2 × [3×3×c], pool, for c = 64, 128, 196; dense 256, classes.

    Without the biases before batch norm that its code has, which batch norm cancels. Source: Ma et
    al., "Normalized Loss Functions for Deep Learning with Noisy Labels" (ICML 2020,
    https://arxiv.org/abs/2006.13554), and their code; before, Wang et al. 2019, see
    `robust_losses.sce`.
    """

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32
    conventions: Conventions = dataclasses.replace(
        PYTORCH,
        conv=nn.initializers.he_uniform(),
        dense=nn.initializers.glorot_uniform(),
    )

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        how = {"spectral": self.spectral, "conventions": self.conventions}
        x = conv.from_images(images.astype(self.dtype))
        for i, features in enumerate((64, 64, 128, 128, 196, 196)):
            block = ConvBlock(features, size=3, pool=i % 2 == 1, name=f"conv{i + 1}", **how)
            x = block(x, train=train)
        x = DenseBlock(256, name="dense1", **how)(x.reshape(-1, x.shape[-1]), train=train)
        return DenseBlock(self.num_classes, last=True, name="dense2", **how)(x, train=train).T


class ResNet18(nn.Module):
    """ResNet for small pictures: 3×3×64, then four stages of residual blocks, mean, dense.

    The stages have 64, 128, 256 and 512 features; all but the first halve height and width. Source:
    He et al. 2016, see `residual.BasicBlock`, with the first layer that CIFAR's pictures call for:
    no stride, no pooling.
    """

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32
    conventions: Conventions = PYTORCH
    blocks: tuple[int, ...] = (2, 2, 2, 2)  # in each stage
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)  # of the first layer, and of the stages

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        how = {"spectral": self.spectral, "conventions": self.conventions}
        x = conv.from_images(images.astype(self.dtype))
        x = ConvBlock(self.widths[0], size=3, name="conv1", **how)(x, train=train)
        for name, features, stride in _stages(self.widths[1:], self.blocks):
            x = BasicBlock(features, stride=stride, name=name, **how)(x, train=train)
        x = _mean(x, self.dtype)
        return DenseBlock(self.num_classes, last=True, name="linear", **how)(x, train=train).T


class ResNet34(ResNet18):
    """The same with 3, 4, 6 and 3 blocks in its stages."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)


class PreActResNet18(nn.Module):
    """The same with pre-activation: a plain 3×3 convolution, stages of `PreActBlock`, mean, dense.

    Source: He et al. 2016, see `residual.PreActBlock`.
    """

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32
    conventions: Conventions = PYTORCH
    blocks: tuple[int, ...] = (2, 2, 2, 2)  # in each stage
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)  # of the first layer, and of the stages
    activate_last: bool = False  # whether batch norm and ReLU come before the mean

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        how = {"spectral": self.spectral, "conventions": self.conventions}
        x = conv.from_images(images.astype(self.dtype))
        x = Conv(self.widths[0], size=3, name="conv1", **how)(x, train=train)
        for name, features, stride in _stages(self.widths[1:], self.blocks):
            x = PreActBlock(features, stride=stride, name=name, **how)(x, train=train)
        if self.activate_last:
            last = BatchNorm(self.spectral is None, conventions=self.conventions, name="bn")
            x = last(x, train=train)
        x = _mean(x, self.dtype)
        return DenseBlock(self.num_classes, last=True, name="linear", **how)(x, train=train).T


class WRN28x10(PreActResNet18):
    """Wide ResNet of 28 layers, ten times as wide as the first ResNets for CIFAR; no dropout.

    Source: Zagoruyko and Komodakis, "Wide Residual Networks" (BMVC 2016,
    https://arxiv.org/abs/1605.07146). Kernels are normal with variance 2 / fan_out, as in the
    PyTorch code of https://github.com/xternalz/WideResNet-pytorch.
    """

    conventions: Conventions = dataclasses.replace(
        PYTORCH, conv=nn.initializers.variance_scaling(2.0, "fan_out", "normal"), bias=zero
    )
    blocks: tuple[int, ...] = (4, 4, 4)
    widths: tuple[int, ...] = (16, 160, 320, 640)
    activate_last: bool = True


def _stages(widths: tuple[int, ...], blocks: tuple[int, ...]) -> list[tuple[str, int, int]]:
    """Name, features and stride of every residual block: `layer2_1` is the first of stage 2."""
    return [
        (f"layer{stage + 1}_{i + 1}", features, 2 if stage and not i else 1)
        for stage, (features, count) in enumerate(zip(widths, blocks, strict=True))
        for i in range(count)
    ]


def _mean(x: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Mean over height and width, taken in float32 or more: (features, batch)."""
    return x.astype(at_least_float32(x.dtype)).mean(axis=(1, 2)).astype(dtype)


NETS: dict[str, type[nn.Module]] = {
    name: globals()[network.module] for name, network in NETWORKS.items()
}

# The `dtype` of a network for each value of --precision.
DTYPES = {"float32": jnp.float32, "tf32": jnp.float32, "bf16": jnp.bfloat16}
