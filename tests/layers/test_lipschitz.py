"""Bounds of nets from the norms of their layers, by hand; and which nets have none."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxnoise import nets
from jaxnoise.layers import conv, lipschitz
from jaxnoise.layers.batch_norm import BatchNorm
from jaxnoise.layers.blocks import Conv
from jaxnoise.layers.residual import BasicBlock, PreActBlock
from jaxnoise.layers.spectral_norm import SpectralNorm


class Net(nn.Module):
    """A net whose layers a function applies to the picture, (channels, height, width, batch)."""

    body: Callable

    @nn.compact
    def __call__(self, images, *, train):
        return self.body(conv.from_images(images), train).T


def traced(net, shape=(28, 28, 1)):
    images = jnp.zeros((1, *shape), jnp.float32)
    variables = jax.eval_shape(
        lambda key: net.init({"params": key}, images, train=False), jax.random.key(0)
    )
    return lipschitz.traced(net, variables, shape)


def bound(net, **norms):
    """With the norm 1 for each layer that is not named; `__` stands for `/`."""
    found = traced(net)
    given = {name.replace("__", "/"): norm for name, norm in norms.items()}
    assert set(given) <= set(found.inputs)
    return float(lipschitz.bound(found, dict.fromkeys(found.inputs, 1.0) | given))


def dense(features, name, last=False):
    return nets.DenseBlock(features, None, last=last, name=name)


def convolution(name):
    return nets.ConvBlock(4, None, 3, nets.SAME, pool=False, name=name)


def flat(x):
    return x.reshape(-1, x.shape[-1])


def ended(x, train):
    """The last layer, which is called dense1."""
    return dense(10, "dense1", last=True)(flat(x), train=train)


# Bounds by hand


class TwoBlocks(nn.Module):
    """Layers below a module of one's own, whose names alone are not unique."""

    @nn.compact
    def __call__(self, x, train):
        return convolution("conv1")(convolution("conv0")(x, train=train), train=train)


def chain(x, train):
    x = convolution("conv1")(x, train=train)
    x = TwoBlocks(name="stage")(x, train)
    return ended(x.mean(axis=(1, 2)), train)


def residual(x, train):
    x = convolution("conv1")(x, train=train)
    return ended(nn.relu(x + convolution("conv2")(x, train=train)), train)


def residual_twice(x, train):
    x = convolution("conv1")(x, train=train)
    x = x + convolution("conv2")(x, train=train)
    return ended(x - convolution("conv3")(x, train=train), train)


def basic_block(x, train):
    x = BasicBlock(4, None, stride=2, name="block")(x, train=train)
    return ended(BasicBlock(4, None, name="same")(x, train=train), train)


def pre_activation_block(x, train):
    x = PreActBlock(4, None, stride=2, name="block")(x, train=train)
    return ended(PreActBlock(4, None, name="same")(x, train=train), train)


def plain_layers(x, train):
    x = Conv(4, None, 3, stride=2, name="conv1")(x, train=train)
    return ended(BatchNorm(True, name="bn")(x, train=train), train)


def around(x, train):
    """What the second layer gives is not used."""
    first = convolution("conv1")(x, train=train)
    convolution("conv2")(first, train=train)
    return ended(first, train)


def two_paths(x, train):
    one, other = (convolution(name)(x, train=train) for name in ("conv1", "conv2"))
    return ended(jnp.concatenate([one, other]), train)


def larger(x, train):
    one, other = (convolution(name)(x, train=train) for name in ("conv1", "conv2"))
    return ended(jnp.maximum(one, other), train)


def average_pooled(x, train):
    x = convolution("conv1")(x, train=train)
    return ended((x[:, ::2] + x[:, 1::2]) / 2, train)


def centred(x, train):
    """A mean over four features, subtracted from each of them."""
    x = convolution("conv1")(x, train=train)
    return ended(x - x.mean(axis=0, keepdims=True), train)


def scaled(x, train):
    return 5 * ended(-3 * nn.relu6(x) / 2, train)


def shifted(x, train):
    return ended(jnp.clip(x, -1, 1) - jnp.arange(28, dtype=jnp.float32)[None, :, None, None], train)


def without_the_picture(x, train):
    return ended(0 * x + 1, train)


@pytest.mark.parametrize(
    ("body", "norms", "expected"),
    [
        (chain, dict(conv1=2, stage__conv0=3, stage__conv1=5, dense1=7), 2 * 3 * 5 * 7 / 28),
        (residual, dict(conv1=2, conv2=3, dense1=5), 2 * (1 + 3) * 5),
        (residual_twice, dict(conv1=2, conv2=3, conv3=5), 2 * (1 + 3) * (1 + 5)),
        (
            basic_block,
            dict(block__conv1=2, block__conv2=3, block__shortcut=5, same__conv1=7, same__conv2=11),
            (5 + 2 * 3) * (1 + 7 * 11),
        ),
        (
            pre_activation_block,
            dict(block__bn=2, block__conv1=3, block__conv2=5, block__shortcut=7, same__bn=11),
            2 * (7 + 3 * 5) * (1 + 11),
        ),
        (plain_layers, dict(conv1=2, bn=3, dense1=5), 2 * 3 * 5),
        (around, dict(conv1=2, conv2=3, dense1=5), 2 * 5),
        (two_paths, dict(conv1=2, conv2=3, dense1=5), math.sqrt(2**2 + 3**2) * 5),
        (larger, dict(conv1=2, conv2=3, dense1=5), math.sqrt(2**2 + 3**2) * 5),
        (average_pooled, dict(conv1=2, dense1=5), 2 * 5),
        (centred, dict(conv1=2, dense1=5), (1 + math.sqrt(4) / math.sqrt(4)) * 2 * 5),
        (scaled, dict(dense1=2), 5 * 2 * 3 / 2),
        (shifted, dict(dense1=2), 2),
        (without_the_picture, dict(dense1=2), 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bounds_by_hand(body, norms, expected):
    assert bound(Net(body), **norms) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet", 1),
        ("cnn8", 1),
        ("allcnn", 1 / 7),
        ("resnet18", 2**8 / 4),
        ("resnet34", 2**16 / 4),
        ("preact_resnet18", 2**8 / 4),
        ("wrn28_10", 2**12 / 7),
    ],
)
def test_a_net_of_layers_of_norm_one_has_its_number_of_paths_and_its_mean(name, expected):
    """Each residual block doubles the paths; a mean of n pixels has the norm 1/√n."""
    for spectral in (None, SpectralNorm("exact")):
        assert bound(nets.NETS[name](10, spectral)) == pytest.approx(expected)


def test_every_net_is_bounded():
    assert set(nets.NETS) == {
        "lenet", "cnn8", "allcnn", "resnet18", "resnet34", "preact_resnet18", "wrn28_10",
    }  # fmt: skip


def test_members_are_bounded_side_by_side():
    found = traced(Net(residual))
    norms = {"conv1": jnp.array([1.0, 2.0]), "conv2": jnp.array([3.0, jnp.nan]), "dense1": 1.0}
    one, other = lipschitz.bound(found, norms)
    assert one == 4 and math.isnan(other)
    constant = lipschitz.bound(traced(Net(without_the_picture)), {"dense1": jnp.ones(2)})
    assert constant.tolist() == [0, 0]


# Nets without a bound


class OwnBlock(nets.ConvBlock):
    """Twice what its parent gives: its kernel does not say so."""

    def __call__(self, x, *, train):
        return 2 * super().__call__(x, train=train)


def plain_flax(x, train):
    """Shapes fit by accident: the last layer is plain Flax, and the others alone are a chain."""
    x = convolution("conv1")(x, train=train)
    return nn.Dense(10)(dense(12, "dense2")(flat(x), train=train).T).T


def own_block(x, train):
    return ended(OwnBlock(4, None, 3, nets.SAME, name="conv1")(x, train=train), train)


def own_batch_norm(x, train):
    x = nn.BatchNorm(use_running_average=True)(x.transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)
    return ended(x, train)


def shared(x, train):
    block = convolution("conv2")
    x = block(block(convolution("conv1")(x, train=train), train=train), train=train)
    return ended(x, train)


def gated(x, train):
    """Attention: what multiplies the output is the output itself."""
    x = convolution("conv1")(x, train=train)
    return ended(x * nn.relu(x), train)


def in_between(x, train):
    """The batch norm after the sigmoid is the first layer without a bound, not the last one."""
    x = BatchNorm(True, name="bn")(nn.sigmoid(x), train=train)
    return ended(x, train)


def rounded(x, train):
    return ended(x.astype(jnp.int32).astype(jnp.float32), train)


def at_the_end(x, train):
    return nn.sigmoid(ended(x, train))


def by_position(x, train):
    """A dense layer of every column: its batch norm takes the columns for features."""
    x = dense(28, "dense2")(x.reshape(28, 28, -1), train=train)
    return ended(x, train)


def pooled(x, train):
    def pool(x):
        return x[:, ::2] + x[:, 1::2]

    return ended(BatchNorm(True, name="bn")(x, train=train, max_pool=pool), train)


class InEvaluation(nn.Module):
    @nn.compact
    def __call__(self, x):
        return convolution("conv1")(x, train=False)


def rematerialized(x, train):
    return ended(nn.remat(InEvaluation)(name="stage")(x), train)


def for_each_half(x, train):
    """Two kernels in one layer."""
    halves = nn.vmap(
        InEvaluation, variable_axes={"params": 0, "batch_stats": 0}, split_rngs={"params": True}
    )
    return ended(halves(name="stage")(x.reshape(2, 1, 14, 28, -1)), train)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (plain_flax, "the parameter Dense_0/bias is not that of a layer"),
        (own_block, "the parameter conv1/kernel is not that of a layer"),
        (own_batch_norm, "the parameter BatchNorm_0/bias is not that of a layer"),
        (gated, "the input of dense1 cannot be bounded beyond the operation mul"),
        (in_between, "the input of bn cannot be bounded beyond the operation logistic"),
        (
            rounded,
            "the input of dense1 cannot be bounded beyond the operation convert_element_type",
        ),
        (at_the_end, "the logits cannot be bounded beyond the operation logistic"),
        (shared, "conv2 is applied more than once"),
        (
            by_position,
            r"the input of dense2 has the shape \(28, 28, batch\), not \(inputs, batch\)",
        ),
        (pooled, "bn is not applied to one array in evaluation mode"),
        (rematerialized, "stage/conv1 is inside of another transformation"),
        (for_each_half, "stage/conv1 is inside of another transformation"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_net_without_a_bound_is_told_by_a_layer(body, said):
    with pytest.raises(lipschitz.Unbounded, match=said):
        traced(Net(body))
