"""Residual blocks: the sum of an input and of two 3×3 convolutions of it.

They map (channels, height, width, batch) to (features, height', width', batch). Where the stride or
the number of features changes the shape, a 1×1 convolution takes the place of the input.
"""

import functools

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
        block = functools.partial(
            ConvBlock, self.features, self.spectral, conventions=self.conventions
        )
        y = block(3, stride=self.stride, name="conv1")(x, train=train)
        y = block(3, relu=False, name="conv2")(y, train=train)
        if _changes_shape(self, x):
            x = block(1, stride=self.stride, relu=False, name="shortcut")(x, train=train)
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
        make = {"features": self.features, "spectral": self.spectral}
        make["conventions"] = self.conventions
        activated = BatchNorm(self.spectral is None, True, self.conventions, name="bn")(
            x, train=train
        )
        y = ConvBlock(size=3, stride=self.stride, name="conv1", **make)(activated, train=train)
        y = Conv(size=3, name="conv2", **make)(y, train=train)
        if _changes_shape(self, x):
            shortcut = Conv(size=1, stride=self.stride, name="shortcut", **make)
            x = shortcut(activated, train=train)
        return x + y


def _changes_shape(block: BasicBlock | PreActBlock, x: jax.Array) -> bool:
    return block.stride != 1 or block.features != x.shape[0]
