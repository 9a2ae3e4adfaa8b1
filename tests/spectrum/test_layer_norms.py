"""The norms of all layers of a net, and of which nets their product is a bound."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.layers import conv, operator_norm
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.methods.optim import Optimizer
from jaxnoise.spectrum import layer_norms
from jaxnoise.spectrum.jacobian import gram, singular_values
from jaxnoise.training import eval_step as es

# Products in float32, and Lanczos' method stops at 1e-6 of σ².
CLOSE = 1e-5


def program_of(net):
    return ts.Program(net, Optimizer("sgd", optax.constant_schedule(0.1)))


def made(net, shape=(28, 28, 1)):
    """A program and its first state, with statistics as if batch norm had run."""
    program = program_of(net)

    @jax.jit
    def create(key):
        state = ts.create_state(program, key, shape)
        stats = jax.tree_util.tree_map_with_path(
            lambda path, x: 0.5 * x + 0.1 * len(str(path)) / 50, state.variables["batch_stats"]
        )
        return state.replace(variables=state.variables | {"batch_stats": stats})

    return program, create(jax.random.key(0))


@pytest.fixture(
    scope="module",
    params=[None, SpectralNorm(), SpectralNorm("exact")],
    ids=["plain", "sn", "exact"],
)
def lenet(request):
    """Of one member: program, state, names and norms."""
    program, state = made(nets.LeNet(10, request.param))
    states = jax.tree.map(lambda x: np.asarray(x)[None], state)
    names, norms = layer_norms.norms(states, program=program, image_shape=(28, 28, 1))
    return program, state, names, jax.tree.map(lambda x: x[0], norms)


def test_kernels_are_those_the_layers_use(lenet):
    """A net without normalization that has them as its kernels gives the same logits."""
    program, state, names, norms = lenet
    variables = {"params": state.params, **state.variables}
    layers = layer_norms.layers(program.net, variables, (28, 28, 1))
    assert names == [x.name for x in layers] == ["conv1", "conv2", "dense1", "dense2", "dense3"]
    params = jax.tree.map(lambda x: x, state.params)
    for layer, found in zip(layers, norms.reshaped, strict=True):
        matrix = np.asarray(layer.kernel).reshape(-1, layer.kernel.shape[-1])
        assert float(found) == pytest.approx(np.linalg.norm(matrix, ord=2), rel=1e-5)
        params[layer.name]["kernel"] = layer.kernel
        if "bn" in params[layer.name]:
            bn = params[layer.name]["bn"]
            bn.setdefault("scale", np.ones(bn["bias"].shape, np.float32))
    plain = {"params": params, "batch_stats": state.variables["batch_stats"]}
    images = jax.random.uniform(jax.random.key(1), (8, 28, 28, 1), jnp.float32)
    ours, theirs = (
        jax.jit(functools.partial(net.apply, train=False))(variables, images)
        for net, variables in ((program.net, variables), (nets.LeNet(10, None), plain))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    same = np.array_equal(layers[1].kernel, state.params["conv2"]["kernel"])
    assert same == (program.net.spectral is None)


def test_batch_norms_factor_by_hand(lenet):
    program, state, _, norms = lenet
    for i, name in enumerate(["conv1", "conv2", "dense1", "dense2"]):
        variance = state.variables["batch_stats"][name]["bn"]["var"]
        gamma = state.params[name]["bn"].get("scale", np.ones(len(variance)))
        expected = np.abs(gamma / np.sqrt(variance + 1e-3)).max()
        assert float(norms.batch_norm[i]) == pytest.approx(float(expected), rel=1e-5)
    assert norms.batch_norm[4] == 1


def test_dense_layers_are_matrices(lenet):
    *_, norms = lenet
    np.testing.assert_allclose(norms.operator[2:], norms.reshaped[2:], rtol=1e-5)
    assert (norms.layer <= norms.operator * norms.batch_norm * (1 + CLOSE)).all()
    assert float(norms.upper_bound) == pytest.approx(float(norms.layer.prod()), rel=1e-5)


def largest_derivative(program, state, shape):
    images = jax.random.uniform(jax.random.key(1), (8, *shape), jnp.float32)
    forward = functools.partial(es.logits_step, state, program=program)
    grams = jax.jit(functools.partial(gram, forward))(images)
    return singular_values(np.asarray(grams))[:, 0].max()


def test_no_jacobian_is_above_the_bound(lenet):
    program, state, _, norms = lenet
    assert 0 < largest_derivative(program, state, (28, 28, 1)) <= norms.upper_bound


# Of which nets the product of layers is a bound


def dense(features, name, last=False):
    return nets.DenseBlock(features, None, last=last, name=name)


def convolution(name):
    return nets.ConvBlock(4, None, 3, nets.SAME, pool=False, name=name)


def flat(x):
    return x.reshape(-1, x.shape[-1])


class Net(nn.Module):
    """A net whose layers a function applies to the picture, (channels, height, width, batch)."""

    body: Callable
    spectral: None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        return self.body(conv.from_images(images), train).T


class OwnBlock(nets.ConvBlock):
    """Twice what its parent gives: its kernel does not say so."""

    def __call__(self, x, *, train):
        return 2 * super().__call__(x, train=train)


class TwoBlocks(nn.Module):
    """Layers below a module of one's own, whose names alone are not unique."""

    @nn.compact
    def __call__(self, x, train):
        return convolution("conv1")(convolution("conv0")(x, train=train), train=train)


def chain(x, train):
    x = convolution("conv1")(x, train=train)
    x = TwoBlocks(name="stage")(x, train)
    return dense(10, "dense1", last=True)(x.mean(axis=(1, 2)), train=train)


def plain_flax(x, train):
    """Shapes fit by accident: the last layer is plain Flax, and the others alone are a chain."""
    x = convolution("conv1")(x, train=train)
    return nn.Dense(10)(dense(12, "dense1")(flat(x), train=train).T).T


def strided(x, train):
    x = nn.Conv(4, (3, 3), strides=2)(x.transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)
    return dense(10, "dense1", last=True)(flat(x), train=train)


def residual(x, train):
    x = convolution("conv1")(x, train=train)
    x = x + convolution("conv2")(x, train=train)
    return dense(10, "dense1", last=True)(flat(x), train=train)


def doubled(x, train):
    return dense(10, "dense1", last=True)(flat(3 * x), train=train)


def around(x, train):
    """The last layer takes the first one's output, not that of the layer before it."""
    first = convolution("conv1")(x, train=train)
    convolution("conv2")(first, train=train)
    return dense(10, "dense1", last=True)(flat(first), train=train)


def shared(x, train):
    block = convolution("conv2")
    x = block(block(convolution("conv1")(x, train=train), train=train), train=train)
    return dense(10, "dense1", last=True)(flat(x), train=train)


def two_paths(x, train):
    one, other = (convolution(name)(x, train=train) for name in ("conv1", "conv2"))
    both = flat(jnp.concatenate([one, other]))
    return dense(10, "dense1", last=True)(both, train=train)


def average_pooled(x, train):
    x = convolution("conv1")(x, train=train)
    x = (x[:, ::2] + x[:, 1::2]) / 2
    return dense(10, "dense1", last=True)(flat(x), train=train)


def gated(x, train):
    """Attention: what multiplies the output is the output itself."""
    x = convolution("conv1")(x, train=train)
    x = x * jax.nn.softmax(x, axis=0)
    return dense(10, "dense1", last=True)(flat(x), train=train)


def by_position(x, train):
    """A dense layer of every column: its batch norm takes the columns for features."""
    x = dense(28, "dense1")(x.reshape(28, 28, -1), train=train)
    return dense(10, "dense2", last=True)(flat(x), train=train)


def own_block(x, train):
    x = OwnBlock(4, None, 3, nets.SAME, pool=False, name="conv1")(x, train=train)
    return dense(10, "dense1", last=True)(flat(x), train=train)


class InEvaluation(nn.Module):
    @nn.compact
    def __call__(self, x):
        return convolution("conv1")(x, train=False)


def rematerialized(x, train):
    x = nn.remat(InEvaluation)(name="stage")(x)
    return dense(10, "dense1", last=True)(flat(x), train=train)


def scaled_after(x, train):
    return 5 * dense(10, "dense1", last=True)(flat(x), train=train)


def between(net, shape=(28, 28, 1)):
    program = program_of(net)
    state = jax.eval_shape(lambda key: ts.create_state(program, key, shape), jax.random.key(0))
    variables = {"params": state.params, **state.variables}
    return layer_norms.between_layers(net, variables, shape)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (plain_flax, "the parameter Dense_0/bias is not that of a ConvBlock or DenseBlock"),
        (strided, "the parameter Conv_0/bias is not that of a ConvBlock or DenseBlock"),
        (own_block, "the parameter conv1/bn/bias is not that of a ConvBlock or DenseBlock"),
        (residual, "the input of dense1 is not the output of conv2 alone, rearranged or averaged"),
        (doubled, "the input of dense1 is not the picture alone"),
        (around, "the input of dense1 is not the output of conv2 alone"),
        (two_paths, "the input of conv2 is not the output of conv1 alone"),
        (average_pooled, "the input of dense1 is not the output of conv1 alone"),
        (gated, "the input of dense1 is not the output of conv1 alone"),
        (scaled_after, "the logits are not the output of dense1 alone"),
        (shared, "conv2 is applied more than once"),
        (
            by_position,
            r"the input of dense1 has the shape \(28, 28, batch\), not \(inputs, batch\)",
        ),
        (rematerialized, "conv1 is inside of another transformation"),
    ],
)
def test_a_net_that_is_no_chain_is_told_by_a_layer(body, said):
    with pytest.raises(layer_norms.Unbounded, match=said):
        between(Net(body))


def test_between_layers_there_are_means_alone():
    assert between(nets.LeNet(10, None)) == 1
    assert between(nets.LeNet(10, SpectralNorm("exact"))) == 1
    assert between(nets.AllCNN(10, None)) == pytest.approx(1 / 7)
    assert between(nets.AllCNN(10, SpectralNorm()), (32, 32, 3)) == pytest.approx(1 / 8)
    assert between(Net(chain)) == pytest.approx(1 / 28)


@pytest.mark.parametrize("net", [nets.AllCNN(10, None), Net(chain)], ids=["allcnn", "chain"])
def test_no_jacobian_is_above_the_bound_of_a_net_with_means(net):
    shape = (8, 8, 3)
    program, state = made(net, shape)
    states = jax.tree.map(lambda x: np.asarray(x)[None], state)
    names, norms = layer_norms.norms(states, program=program, image_shape=shape)
    if isinstance(net, Net):
        assert names == ["conv1", "stage/conv0", "stage/conv1", "dense1"]
        positions = 64
    else:
        positions = 4
    expected = norms.layer[0].prod() / np.sqrt(positions)
    assert float(norms.upper_bound[0]) == pytest.approx(expected, rel=1e-6)
    assert 0 < largest_derivative(program, state, shape) <= norms.upper_bound[0]


def test_the_product_is_no_bound_of_a_residual_net():
    """Why it is refused: a layer that halves, added to the identity, does not halve."""
    program, state = made(Net(residual), shape := (8, 8, 1))
    params = jax.tree.map(lambda x: x, state.params)
    params["conv2"]["kernel"] *= 1e-3
    state = state.replace(params=params)
    variables = {"params": state.params, **state.variables}
    product = 1.0
    for layer in layer_norms.layers(program.net, variables, shape):
        kernel = np.asarray(layer.kernel) * np.asarray(layer.factor)
        product *= (
            np.linalg.norm(kernel, ord=2)
            if layer.padding is None
            else operator_norm.convolution_norm(kernel, layer.padding, layer.input_shape)
        )
    assert largest_derivative(program, state, shape) > product
