"""Nets as plain arrays: rebuilt with Flax's own layers, or PyTorch's, they compute the same."""

import functools
import pathlib
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import nets
from jaxnoise.layers import spectral_norm
from jaxnoise.layers.plain import plain
from jaxnoise.layers.spectral_norm import SpectralNorm

GREY = (28, 28, 1)
rng = np.random.default_rng(0)
SMALL = {"blocks": (1, 2), "widths": (4, 4, 8)}


def drawn(net, shape):
    """Variables that NumPy draws: kernels that keep a picture's size, u of length 1."""
    shapes = jax.eval_shape(
        lambda: net.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False)
    )

    def draw(path, leaf):
        x = rng.standard_normal(leaf.shape)
        if path[-1].key == "u":
            return np.float32(x / np.linalg.norm(x))
        if path[-1].key == "kernel":
            return np.float32(x * np.sqrt(2 / np.prod(leaf.shape[:-1])))
        return np.float32(rng.uniform(0.5, 1.5, leaf.shape))

    return jax.tree_util.tree_map_with_path(draw, shapes)


def images(shape, count=5):
    return rng.uniform(-1, 1, (count, *shape)).astype(np.float32)


@functools.cache
def lenet(spectral=None):
    net = nets.LeNet(10, spectral)
    variables = drawn(net, GREY)
    return net, variables, plain(net, variables, GREY)


@pytest.mark.parametrize("norm", [
    SpectralNorm(), SpectralNorm(cap=0.5), SpectralNorm("exact", iterations=3),
])  # fmt: skip
def test_kernels_are_those_that_the_layers_apply(norm):
    net, variables, found = lenet(norm)
    assert not [path for path in found.arrays if path.startswith("spectral/")]
    kernel, u = variables["params"]["dense2"]["kernel"], variables["spectral"]["dense2"]["u"]
    expected, *_ = spectral_norm.normalize(jnp.asarray(kernel), u, norm)
    np.testing.assert_allclose(found.arrays["params/dense2/kernel"], expected, rtol=1e-5)
    # Put into a net without normalization, they give the same logits.
    bare = {"params": {}, "batch_stats": {}}
    for path, array in found.arrays.items():
        *within, leaf = path.split("/")
        at = bare
        for part in within:
            at = at.setdefault(part, {})
        at[leaf] = array
    for name, of in bare["params"].items():
        if "bn" in of:  # γ, which batch norm lacks under spectral normalization
            of["bn"]["scale"] = np.ones_like(bare["batch_stats"][name]["bn"]["mean"])
    x = images(GREY)
    logits, expected = (
        jax.jit(functools.partial(each.apply, train=False))(of, x)
        for each, of in ((nets.LeNet(10, None), bare), (net, variables))
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_other_arrays_are_as_they_are():
    _, variables, found = lenet()
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    assert found.arrays.keys() == {"/".join(key.key for key in path) for path, _ in leaves}
    for path, leaf in leaves:
        np.testing.assert_array_equal(found.arrays["/".join(key.key for key in path)], leaf)


def test_lenet_is_described():
    _, _, found = lenet()
    assert list(found.layers) == [
        "conv1", "conv1/bn", "conv2", "conv2/bn", "dense1", "dense1/bn", "dense2", "dense2/bn",
        "dense3",
    ]  # fmt: skip
    assert found.layers["conv2"] == {"kind": "conv", "stride": 1, "padding": 0, "max_pool": True}
    assert found.layers["conv2/bn"] == {
        "kind": "batch_norm", "epsilon": 1e-3, "scale": True, "relu": True,
    }  # fmt: skip
    assert found.layers["dense3"] == {"kind": "dense", "bias": True}
    assert found.flatten == "CHW"
    assert found.names["params/conv2/kernel"] == ("conv2.weight", (3, 2, 0, 1))
    assert found.names["params/dense1/kernel"] == ("dense1.weight", (1, 0))
    assert found.names["params/dense2/bn/scale"] == ("bn4.weight", (0,))
    assert found.names["batch_stats/dense1/bn/var"] == ("bn3.running_var", (0,))
    assert found.names["params/dense3/bias"] == ("dense3.bias", (0,))


def test_residual_nets_have_the_published_names():
    def modules(net, shape=(16, 16, 3)):
        found = plain(net, drawn(net, shape), shape)
        assert found.flatten is None
        return {each.pytorch.rpartition(".")[0] for each in found.names.values()}

    basic = modules(nets.ResNet18(10, None, **SMALL))
    assert basic == {
        "conv1", "bn1", "linear",
        *(f"layer{block}.{of}{i}" for block in ("1.0", "2.0", "2.1") for of in ("conv", "bn")
          for i in (1, 2)),
        "layer2.0.shortcut.0", "layer2.0.shortcut.1",
    }  # fmt: skip
    pre_activated = modules(nets.PreActResNet18(10, None, activate_last=True, **SMALL))
    assert pre_activated == basic - {"bn1", "layer2.0.shortcut.1"} | {"bn"}


@pytest.mark.parametrize("name", ["cnn8", "resnet18", "preact_resnet18", "wrn28_10"])
def test_names_are_those_of_the_pytorch_forms(name):
    pytest.importorskip("torch")
    sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
    import torch_nets

    small, preact = ({} if name == "cnn8" else SMALL), name in ("preact_resnet18", "wrn28_10")
    net = nets.NETS[name](10, None, **small)
    found = plain(net, drawn(net, (32, 32, 3)), (32, 32, 3))
    for path, named in found.names.items():
        expected = torch_nets.name(tuple(path.split("/")[1:]), preact)
        assert named.pytorch == expected
        of = found.arrays[path]
        np.testing.assert_array_equal(of.transpose(named.axes), torch_nets.axes(of))


def test_a_residual_net_is_rebuilt_in_flax():
    """From the arrays and `layers` alone."""
    ours = nets.ResNet18(10, SpectralNorm(), blocks=(1, 1), widths=(4, 4, 8))
    variables = drawn(ours, (16, 16, 3))
    found = plain(ours, variables, (16, 16, 3))

    def of(place):
        paths = (path.rpartition("/") for path in found.arrays)
        return {leaf: found.arrays[f"{at}/{leaf}"] for at, _, leaf in paths if at == place}

    def conv(name, x):
        how, kernel = found.layers[name], of(f"params/{name}")["kernel"]
        layer = nn.Conv(
            kernel.shape[-1], kernel.shape[:2], how["stride"], how["padding"], use_bias=False
        )
        x, how = layer.apply({"params": {"kernel": kernel}}, x), found.layers[f"{name}/bn"]
        norm = nn.BatchNorm(True, epsilon=how["epsilon"], use_scale=how["scale"])
        stats = {"params": of(f"params/{name}/bn"), "batch_stats": of(f"batch_stats/{name}/bn")}
        x = norm.apply(stats, x)
        return nn.relu(x) if how["relu"] else x

    @jax.jit
    def rebuilt(x):
        x = conv("conv1", x)
        for block in ("layer1_1", "layer2_1"):
            y = conv(f"{block}/conv2", conv(f"{block}/conv1", x))
            shortcut = f"{block}/shortcut"
            x = nn.relu((conv(shortcut, x) if shortcut in found.layers else x) + y)
        return nn.Dense(10).apply({"params": of("params/linear")}, x.mean(axis=(1, 2)))

    x = images((16, 16, 3))
    expected = jax.jit(functools.partial(ours.apply, train=False))(variables, x)
    np.testing.assert_allclose(rebuilt(x), expected, rtol=1e-5, atol=1e-5)


class Foreign(nn.Module):
    """A layer of jaxnoise after one of Flax; the names of batch norms clash if they are to."""

    clash: bool = False

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.BatchNorm(use_running_average=True, name="first")(images)
        x = x.transpose(1, 2, 3, 0)  # (H, W, C, batch)
        x = nets.DenseBlock(4, None, name="dense")(x.reshape(-1, x.shape[-1]), train=train)
        if self.clash:
            x = nets.BatchNorm(True, name="bn1")(x, train=train)
        return nets.DenseBlock(3, None, last=True, name="last")(x, train=train).T


def test_arrays_of_other_layers_are_as_they_are_and_have_no_names():
    net = Foreign()
    variables = drawn(net, GREY)
    found = plain(net, variables, GREY)
    assert found.flatten is None  # HWC
    for path in ("params/first/scale", "batch_stats/first/mean"):
        collection, *within = path.split("/")
        assert found.names[path] == (None, None)
        np.testing.assert_array_equal(
            found.arrays[path], variables[collection][within[0]][within[1]]
        )
    assert found.names["params/last/kernel"] == ("last.weight", (1, 0))


def test_names_that_clash_are_left_out():
    net = Foreign(clash=True)
    found = plain(net, drawn(net, GREY), GREY)
    assert {each.pytorch for each in found.names.values()} == {None}
