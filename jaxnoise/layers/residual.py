"""Residual blocks: the sum of an input and of two 3×3 convolutions of it.

They map (channels, height, width, batch) to (features, height', width', batch). Where the stride or
the number of features changes the shape, a 1×1 convolution takes the place of the input.
"""

from typing import Any

import flax.linen as nn
import jax

from jaxnoise.layers.batch_norm import BatchNorm
from jaxnoise.layers.blocks import Conv, ConvBlock
from jaxnoise.layers.conventions import PYTORCH, Conventions
from jaxnoise.layers.spectral_norm import SpectralNorm


class BasicBlock(nn.Module):
    """relu(shortcut(x) + bn(conv(relu(bn(conv(x)))))).

    Source: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016,
    https://arxiv.org/abs/1512.03385).
    """

    features: int
    spectral: SpectralNorm | None
    stride: int = 1
    conventions: Conventions = PYTORCH

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        how = _how(self)
        y = ConvBlock(size=3, stride=self.stride, name="conv1", **how)(x, train=train)
        y = ConvBlock(size=3, relu=False, name="conv2", **how)(y, train=train)
        if _changes_shape(self, x):
            shortcut = ConvBlock(size=1, stride=self.stride, relu=False, name="shortcut", **how)
            x = shortcut(x, train=train)
        return nn.relu(x + y)


class PreActBlock(nn.Module):
    """shortcut + conv(relu(bn(conv(a)))) with a = relu(bn(x)).

    The shortcut is x itself or, where the shape changes, a 1×1 convolution of a. Source: He et al.,
    "Identity Mappings in Deep Residual Networks" (ECCV 2016, https://arxiv.org/abs/1603.05027).
    """

    features: int
    spectral: SpectralNorm | None
    stride: int = 1
    conventions: Conventions = PYTORCH

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        how = _how(self)
        activated = BatchNorm(self.spectral is None, True, self.conventions, name="bn")(
            x, train=train
        )
        y = ConvBlock(size=3, stride=self.stride, name="conv1", **how)(activated, train=train)
        y = Conv(size=3, name="conv2", **how)(y, train=train)
        if _changes_shape(self, x):
            shortcut = Conv(size=1, stride=self.stride, name="shortcut", **how)
            x = shortcut(activated, train=train)
        return x + y


def _how(block: BasicBlock | PreActBlock) -> dict[str, Any]:
    """What all convolutions of a block share."""
    return {name: getattr(block, name) for name in ("features", "spectral", "conventions")}


def _changes_shape(block: BasicBlock | PreActBlock, x: jax.Array) -> bool:
    return block.stride != 1 or block.features != x.shape[0]
