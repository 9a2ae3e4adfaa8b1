"""The nets of the literature against an independent PyTorch form, in float64.

In float32, a rounding error can move an activation across ReLU's kink, and a gradient with it; so
the forms are compared in float64. What float32 changes is tested apart. Where PyTorch is missing,
the numbers that it gave before stand in for it: `python tests/layers/test_pytorch_nets.py` writes
them.
"""

import functools
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import nets
from jaxnoise.losses import cross_entropy

GOLDEN = pathlib.Path(__file__).with_name("pytorch_nets.json")
NAMES = ("cnn8", "resnet18", "resnet34", "preact_resnet18", "wrn28_10")
PRE_ACTIVATED = ("preact_resnet18", "wrn28_10")
PARAMETERS = {
    "cnn8": 1_638_762,
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "preact_resnet18": 11_171_146,
    "wrn28_10": 36_479_194,
}
rng = np.random.RandomState(0)
IMAGES, LABELS = rng.uniform(-2, 2, (16, 32, 32, 3)), rng.randint(10, size=16)


def batch(name):
    """Two pictures; more for cnn8, whose dense layer has batch norm over the pictures alone."""
    size = 16 if name == "cnn8" else 2
    return IMAGES[:size], LABELS[:size]


@functools.cache
def variables(name):
    """Parameters and statistics that NumPy draws, so that PyTorch can have the same."""
    draw = np.random.RandomState(1)
    shapes = jax.eval_shape(
        lambda: nets.NETS[name](10, None).init(
            jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False
        )
    )

    def drawn(path, leaf):
        noise = draw.standard_normal(leaf.shape)
        if leaf.ndim > 1:
            return np.float32(noise * np.sqrt(2 / np.prod(leaf.shape[:-1])))
        around, by = (1, 0.2) if path[-1].key in ("scale", "var") else (0, 0.5)
        return np.float32(around + by * np.clip(noise, -2, 2))

    return jax.tree_util.tree_map_with_path(drawn, shapes)


@functools.cache
def ours(name, dtype):
    """Logits in training mode, gradient of the loss, and logits in evaluation mode."""
    with jax.enable_x64(True):
        images, labels = batch(name)
        net, images = nets.NETS[name](10, None, jnp.dtype(dtype)), jnp.asarray(images, dtype)

        @jax.jit
        def measure(variables):
            def loss(params):
                logits, _ = net.apply(
                    variables | {"params": params}, images, train=True, mutable=["batch_stats"]
                )
                return cross_entropy(logits=logits, labels=jnp.asarray(labels)).mean(), logits

            gradient, logits = jax.grad(loss, has_aux=True)(variables["params"])
            return logits, gradient, net.apply(variables, images, train=False)

        return jax.tree.map(np.asarray, measure(variables(name)))


def theirs(name):
    """The same of PyTorch's form: the gradient by the names of PyTorch, and without its axes."""
    sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
    import torch
    import torch_nets

    state = functools.partial(torch_nets.state, preact=name in PRE_ACTIVATED)
    net, of = torch_nets.NETS[name](), variables(name)
    biases = {key: each for key, each in net.named_parameters() if key.endswith("bias")}
    found = net.load_state_dict(state(of["params"]) | state(of["batch_stats"]), strict=False)
    missing = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    assert set(missing) <= set(biases) and not found.unexpected_keys
    net = net.double()
    images, labels = (torch.from_numpy(x) for x in batch(name))
    images = images.permute(0, 3, 1, 2)
    for key in missing:
        torch.nn.init.zeros_(biases[key])
    evaluated = net.eval()(images).detach().numpy()
    for key in missing:  # in training mode, batch norm cancels the biases before it
        torch.nn.init.normal_(biases[key])
    logits = net.train()(images)
    torch.nn.functional.cross_entropy(logits, labels).backward()
    gradient = {key: each.grad.numpy() for key, each in net.named_parameters()}
    parameters = sum(x.numel() for key, x in net.named_parameters() if key not in missing)
    names = {key: x.numpy() for key, x in state(ours(name, "float64")[1]).items()}
    return logits.detach().numpy(), gradient, evaluated, parameters, names


def norms(gradient):
    """Of every parameter, in the order of its path."""
    return [float(np.linalg.norm(leaf)) for leaf in jax.tree.leaves(gradient)]


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_are_pytorch_s(name):
    pytest.importorskip("torch")
    logits, gradient, evaluated = ours(name, "float64")
    expected, by_name, expected_evaluated, parameters, named = theirs(name)
    assert parameters == PARAMETERS[name]
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    np.testing.assert_allclose(evaluated, expected_evaluated, atol=1e-6)
    for key, found in named.items():  # parameters, and so their gradients, are float32
        error = np.linalg.norm(found - by_name[key]) / np.linalg.norm(by_name[key])
        assert error < 1e-6, key
    assert len(named) == len(jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_are_those_that_pytorch_gave(name):
    golden = json.loads(GOLDEN.read_text())[name]
    logits, gradient, evaluated = ours(name, "float64")
    parameters = sum(leaf.size for leaf in jax.tree.leaves(gradient))
    assert parameters == golden["parameters"] == PARAMETERS[name]
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)
    np.testing.assert_allclose(evaluated, golden["evaluated"], atol=1e-5)
    np.testing.assert_allclose(norms(gradient), golden["gradient_norms"], rtol=1e-4)


@pytest.mark.parametrize("name", ["cnn8", "resnet18", "preact_resnet18"])
def test_float32_gives_the_same_logits(name):
    """With Winograd's form of the convolutions, to 1e-4."""
    exact, rounded = (ours(name, dtype) for dtype in ("float64", "float32"))
    assert rounded[0].dtype == np.float32
    for i in (0, 2):
        np.testing.assert_allclose(rounded[i], exact[i], atol=1e-4 * np.abs(exact[i]).max())


if __name__ == "__main__":
    document = {}
    for name in NAMES:
        logits, gradient, evaluated, parameters, _ = theirs(name)
        import torch_nets

        names = [
            torch_nets.name(tuple(key.key for key in path), name in PRE_ACTIVATED)
            for path, _ in jax.tree_util.tree_leaves_with_path(variables(name)["params"])
        ]
        document[name] = {
            "parameters": parameters,
            "logits": logits.round(8).tolist(),
            "evaluated": evaluated.round(8).tolist(),
            "gradient_norms": [float(f"{np.linalg.norm(gradient[key]):.8g}") for key in names],
        }
    GOLDEN.write_text(json.dumps(document) + "\n")
