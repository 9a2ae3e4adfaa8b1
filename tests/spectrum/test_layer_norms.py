"""The norms of all layers of a net, and that its Jacobians are below the bound from them."""

import functools
import math
import zlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.layers import blocks, conv, operator_norm, residual
from jaxnoise.layers.batch_norm import BatchNorm
from jaxnoise.layers.conventions import PAPER, PYTORCH
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


def largest_derivative(program, state, shape, pictures=8):
    images = jax.random.uniform(jax.random.key(1), (pictures, *shape), jnp.float32)
    forward = functools.partial(es.logits_step, state, program=program)
    grams = jax.jit(functools.partial(gram, forward))(images)
    return singular_values(np.asarray(grams))[:, 0].max()


def test_no_jacobian_is_above_the_bound(lenet):
    program, state, _, norms = lenet
    assert 0 < largest_derivative(program, state, (28, 28, 1)) <= norms.upper_bound


# Nets with sums, strides and layers without batch norm


class Small(nn.Module):
    """All kinds of layers, in both kinds of residual blocks."""

    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        x = conv.from_images(images.astype(self.dtype))
        x = blocks.Conv(4, self.spectral, 3, name="conv1")(x, train=train)
        x = residual.BasicBlock(4, self.spectral, name="block1")(x, train=train)
        x = residual.PreActBlock(8, self.spectral, stride=2, name="block2")(x, train=train)
        x = BatchNorm(self.spectral is None, name="bn")(x, train=train)
        last = blocks.DenseBlock(self.num_classes, self.spectral, last=True, name="linear")
        return last(x.mean(axis=(1, 2)), train=train).T


SMALL = ["conv1", "block1/conv1", "block1/conv2", "block2/bn", "block2/conv1", "block2/conv2",
         "block2/shortcut", "bn", "linear"]  # fmt: skip


def with_random_statistics(net, shape):
    """A program and a state whose batch norms multiply by anything, of either sign."""
    program = program_of(net)

    @jax.jit
    def create(key):
        state = ts.create_state(program, key, shape)

        def drawn(path, x):
            name = path[-1].key
            mine = jax.random.fold_in(key, zlib.crc32(str(path).encode()))
            if name == "var":
                return jax.random.uniform(mine, x.shape, x.dtype, 0.2, 2.0)
            return jax.random.normal(mine, x.shape, x.dtype) if name in ("mean", "scale") else x

        params, variables = (
            jax.tree_util.tree_map_with_path(drawn, tree)
            for tree in (state.params, state.variables)
        )
        return state.replace(params=params, variables=variables)

    return program, create(jax.random.key(0))


def norms_of(program, state, shape):
    """The layers' names and norms of one member."""
    states = jax.tree.map(lambda x: np.asarray(x)[None], state)
    names, norms = layer_norms.norms(states, program=program, image_shape=shape)
    return names, jax.tree.map(lambda x: x[0], norms)


@pytest.fixture(
    scope="module",
    params=[None, SpectralNorm(), SpectralNorm("exact")],
    ids=["plain", "sn", "exact"],
)
def small(request):
    shape = (8, 8, 3)
    program, state = with_random_statistics(Small(10, request.param), shape)
    return program, state, *norms_of(program, state, shape)


def test_the_bound_of_a_residual_net_by_hand(small):
    *_, names, norms = small
    assert names == SMALL
    of = dict(zip(names, norms.layer, strict=True))
    basic = 1 + of["block1/conv1"] * of["block1/conv2"]
    pre_activation = of["block2/bn"] * (
        of["block2/shortcut"] + of["block2/conv1"] * of["block2/conv2"]
    )
    expected = of["conv1"] * basic * pre_activation * of["bn"] / np.sqrt(16) * of["linear"]
    assert float(norms.upper_bound) == pytest.approx(expected)


def test_norms_are_those_of_dense_matrices(small):
    """With stride and without batch norm; the layers' kernels are normalized already."""
    program, state, names, norms = small

    @jax.jit
    def dense_matrices(variables):
        matrices = {}
        for layer in layer_norms.layers(program.net, variables, (8, 8, 3)):
            if layer.padding is not None:
                units = jnp.eye(math.prod(layer.input_shape), dtype=jnp.float32)
                units = units.reshape(*layer.input_shape, -1)
                kernel = layer.kernel * layer.factor.reshape(1, 1, 1, -1)
                how = {"padding": layer.padding, "stride": layer.stride}
                columns = conv.convolve(units, kernel, **how)
                matrices[layer.name] = columns.reshape(-1, units.shape[-1])
        return matrices

    found = dense_matrices({"params": state.params, **state.variables})
    assert set(found) == {name for name in SMALL if "conv" in name or "shortcut" in name}
    for name, matrix in found.items():
        i = names.index(name)
        assert norms.layer[i] == pytest.approx(np.linalg.norm(matrix, ord=2), rel=CLOSE)
        if name in ("conv1", "block2/conv2", "block2/shortcut"):  # no batch norm
            assert norms.batch_norm[i] == 1 and norms.operator[i] == norms.layer[i]
    pixels = {name: len(found[name]) // (4 if name in SMALL[:3] else 8) for name in found}
    assert pixels["block2/conv1"] == pixels["block2/shortcut"] == pixels["conv1"] / 4  # stride 2


def test_a_batch_norm_of_its_own_has_no_kernel(small):
    program, state, names, norms = small
    for name, epsilon in (("block2/bn", PYTORCH.epsilon), ("bn", PAPER.epsilon)):
        i, place = names.index(name), name.split("/")
        assert np.isnan(norms.reshaped[i]) and np.isnan(norms.operator[i])
        params, stats = state.params, state.variables["batch_stats"]
        for key in place:
            params, stats = params[key], stats[key]
        gamma = params.get("scale", np.ones(len(stats["var"]), np.float32))
        expected = np.abs(gamma / np.sqrt(stats["var"] + epsilon)).max()
        assert norms.layer[i] == norms.batch_norm[i] == pytest.approx(float(expected), rel=1e-5)


def test_members_have_their_own_norms_and_bounds(small):
    program, state, _, norms = small
    states = jax.tree.map(lambda x: np.stack([x, np.full_like(x, np.nan)])
                          if jnp.issubdtype(x.dtype, jnp.floating) else np.stack([x, x]),
                          jax.device_get(state))  # fmt: skip
    _, both = layer_norms.norms(states, program=program, image_shape=(8, 8, 3))
    assert both.upper_bound[0] == pytest.approx(float(norms.upper_bound), rel=CLOSE)
    assert np.isnan(both.upper_bound[1]) and np.isnan(both.layer[1]).all()


@pytest.mark.parametrize("factor", [1.0, 1e-3])
def test_small_kernels_do_not_make_a_residual_net_flat(factor):
    """The product of all norms is no bound: beside each pair of kernels is the identity."""
    program, state = with_random_statistics(Small(10, None), shape := (8, 8, 3))
    params = jax.tree.map(lambda x: x, state.params)
    for name in ("block1", "block2"):
        for layer in ("conv1", "conv2"):
            params[name][layer]["kernel"] *= factor
    state = state.replace(params=params)
    _, norms = norms_of(program, state, shape)
    found = largest_derivative(program, state, shape)
    assert (found > norms.layer.prod() / 4) == (factor < 1)
    assert found <= norms.upper_bound


# The deepest ones, in a fraction of the time: of as many kinds of layers and connections.
FEWER = {"resnet34": dict(blocks=(2, 1, 2, 1)), "wrn28_10": dict(blocks=(2, 1, 1))}


@pytest.mark.parametrize("name", nets.NETS)
def test_no_jacobian_of_any_net_is_above_its_bound(name, monkeypatch):
    # The norms of wide layers to 1e-6 take a minute, and the bound is many times what is found.
    monkeypatch.setattr(operator_norm, "TOLERANCE", 1e-2)
    stages = nets._stages
    monkeypatch.setattr(
        nets, "_stages", lambda widths, blocks: stages(tuple(x // 8 for x in widths), blocks)
    )
    shape = (16, 16, 3)
    net = nets.NETS[name](10, None, **FEWER.get(name, {}))
    program, state = with_random_statistics(net, shape)
    _, norms = norms_of(program, state, shape)
    found = largest_derivative(program, state, shape, pictures=2)
    assert 0 < found <= norms.upper_bound < np.inf
