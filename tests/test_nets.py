import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.config import IMAGE_SIDES
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.methods.optim import Optimizer

SHAPES = [(28, 28, 1), (28, 28, 3), (29, 31, 1), (32, 32, 3)]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def init(name, *, spectral=None, classes=10, shape=(28, 28, 1), seed=0):
    net = nets.NETS[name](classes, spectral)
    images = jax.random.uniform(jax.random.key(1), (4, *shape), jnp.float32)
    first = jax.jit(functools.partial(net.init, train=False))
    return net, first(jax.random.key(seed), images), images


# By hand: kernels, 2 per batch-normalized feature (1 under spectral normalization), the last bias.
# LeNet 28x28x1: 150 + 2400 + 256·120 + 120·84 + 84·10 kernels, 226 features, 10.
# AllCNN 32x32x3: 9·(3·96 + 2·96² + 96·192 + 4·192²) + 192·10 kernels, 3·96 + 5·192 + 10 features.
@pytest.mark.parametrize(
    "name,shape,classes,spectral,expected",
    [
        ("lenet", (28, 28, 1), 10, None, 44_190 + 2 * 226 + 10),
        ("lenet", (28, 28, 1), 10, SpectralNorm(), 44_190 + 226 + 10),
        ("lenet", (32, 32, 3), 100, None, 450 + 2400 + 48_000 + 10_080 + 8_400 + 452 + 100),
        ("allcnn", (32, 32, 3), 10, None, 1_663_392 + 2 * 1258),
        ("allcnn", (32, 32, 3), 10, SpectralNorm(), 1_663_392 + 1258),
        ("allcnn", (32, 32, 3), 100, None, 1_680_672 + 2 * 1348),
    ],
)
def test_parameter_counts(name, shape, classes, spectral, expected):
    net = nets.NETS[name](classes, spectral)
    images = jnp.zeros((1, *shape), jnp.float32)
    variables = jax.eval_shape(lambda: net.init(jax.random.key(0), images, train=False))
    assert count(variables["params"]) == expected


def shallow(name, *settings):
    """A net; of a residual one with one block for each width: the others only repeat them."""
    net = nets.NETS[name](7, *settings)
    return net.clone(blocks=(1,) * len(net.blocks)) if hasattr(net, "blocks") else net


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", list(nets.NETS))
def test_every_net_takes_every_picture_size(name, shape):
    net = shallow(name, SpectralNorm())

    def forward():
        images = jnp.zeros((5, *shape), jnp.float32)
        variables = net.init(jax.random.key(0), images, train=False)
        return net.apply(variables, images, train=False)

    logits = jax.eval_shape(forward)
    assert (logits.shape, logits.dtype) == ((5, 7), jnp.float32)


@pytest.mark.parametrize("shape", [(side, side, 3) for side in IMAGE_SIDES])
@pytest.mark.parametrize("name", ["lenet", "allcnn"])
def test_the_paper_s_nets_take_the_smallest_and_the_largest_images(name, shape):
    net = nets.NETS[name](7, None)

    def forward():
        images = jnp.zeros((2, *shape), jnp.float32)
        return net.apply(net.init(jax.random.key(0), images, train=False), images, train=False)

    assert jax.eval_shape(forward).shape == (2, 7)


def test_kernels_start_at_their_variance_and_shifts_at_a_tenth():
    _, variables, _ = init("allcnn", shape=(32, 32, 3))
    kernel = variables["params"]["conv5"]["kernel"]  # fan-in 9·192
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / (9 * 192)), rel=0.02)
    _, variables, _ = init("lenet")
    dense = variables["params"]["dense1"]["kernel"]
    assert np.abs(dense).max() <= np.sqrt(6 / (256 + 120))
    for layer in ("conv1", "conv2", "dense1", "dense2"):
        bn = variables["params"][layer]["bn"]
        np.testing.assert_array_equal(bn["bias"], np.float32(0.1))
        np.testing.assert_array_equal(bn["scale"], 1)
    np.testing.assert_array_equal(variables["params"]["dense3"]["bias"], 0)


def test_batch_norm_is_the_reference_s():
    """Running statistics move by a hundredth per step; evaluation uses them and nothing else."""
    net, variables, images = init("lenet")
    logits, new = net.apply(variables, images, train=True, mutable=["batch_stats"])
    kernel = variables["params"]["conv1"]["kernel"]
    x = jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    stats = new["batch_stats"]["conv1"]["bn"]
    np.testing.assert_allclose(stats["mean"], 0.01 * mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.99 + 0.01 * variance, rtol=1e-4)
    # Evaluation sees the running statistics, so a picture's logits do not depend on its batch.
    alone = net.apply(variables, images[:1], train=False)
    among = net.apply(variables, images, train=False)
    np.testing.assert_allclose(alone[0], among[0], rtol=1e-4, atol=1e-5)
    assert np.abs(logits - among).max() > 1e-2


@pytest.mark.parametrize("mode", ["reshaped", "exact"])
def test_spectral_vectors_move_in_training_only(mode):
    net, variables, images = init("lenet", spectral=SpectralNorm(mode))
    mutable = ["batch_stats", "spectral"]
    _, trained = net.apply(variables, images, train=True, mutable=mutable)
    _, evaluated = net.apply(variables, images, train=False, mutable=mutable)
    for before, after, same in zip(
        jax.tree.leaves(variables["spectral"]),
        jax.tree.leaves(trained["spectral"]),
        jax.tree.leaves(evaluated["spectral"]),
        strict=True,
    ):
        assert np.abs(before - after).max() > 1e-3
        np.testing.assert_array_equal(before, same)


def test_exact_vectors_have_the_shape_of_the_layers_inputs():
    _, variables, _ = init("lenet", spectral=SpectralNorm("exact"), shape=(32, 28, 3))
    shapes = {name: layer["u"].shape for name, layer in variables["spectral"].items()}
    assert shapes == {
        "conv1": (3, 32, 28),
        "conv2": (6, 14, 12),
        "dense1": (120,),
        "dense2": (84,),
        "dense3": (10,),
    }


@pytest.mark.parametrize("name", list(nets.NETS))
def test_every_net_takes_exact_spectral_normalization(name):
    net, images = shallow(name, SpectralNorm("exact")), jnp.zeros((5, 32, 32, 3), jnp.float32)

    def forward():
        variables = net.init(jax.random.key(0), images, train=False)
        return net.apply(variables, images, train=True, mutable=["batch_stats", "spectral"])

    logits, _ = jax.eval_shape(forward)
    assert (logits.shape, logits.dtype) == ((5, 7), jnp.float32)


def test_spectral_normalization_makes_logits_blind_to_kernel_scale():
    net, variables, images = init("lenet", spectral=SpectralNorm())
    scaled = variables | {
        "params": jax.tree_util.tree_map_with_path(
            lambda path, x: 3 * x if path[-1].key == "kernel" else x, variables["params"]
        )
    }
    np.testing.assert_allclose(
        net.apply(variables, images, train=False),
        net.apply(scaled, images, train=False),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", list(nets.NETS))
@pytest.mark.parametrize(
    ("spectral", "dtype", "jacob_mode"),
    [(SpectralNorm(), jnp.bfloat16, "projection"), (SpectralNorm("exact"), jnp.float32, "exact")],
    ids=["sn, bf16, projected Jacobian", "exact sn, exact Jacobian"],
)
def test_every_net_takes_a_step_with_every_term(name, spectral, dtype, jacob_mode):
    """Only traced, and residual nets with fewer blocks: a step is tested on smaller nets."""
    optimizer = Optimizer("sgd", lambda step: 0.1)
    net = nets.NETS[name](7, spectral, dtype)
    if hasattr(net, "blocks"):
        net = net.clone(blocks=(1, 1), widths=(8, 8, 16))
    p = ts.Program(net, optimizer, jacob_mode)
    batch = ts.Batch(jnp.zeros((4, 16, 16, 3), jnp.float32), jnp.zeros(4, jnp.int32))
    coefficients = ts.Coefficients(*(jnp.float32(0.1),) * 3)

    def step(key):
        state = ts.create_state(p, key, (16, 16, 3))
        return state, ts.train_step(state, batch, coefficients, key, program=p, with_jacobian=True)

    before, (after, parts) = jax.eval_shape(step, jax.random.key(0))
    assert jax.tree.map(jnp.shape, before) == jax.tree.map(jnp.shape, after)
    assert {leaf.dtype for leaf in jax.tree.leaves((after.params, parts))} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "net",
    [
        nets.ResNet18(5, None, blocks=(1, 1), widths=(4, 4, 8)),
        nets.PreActResNet18(5, None, blocks=(1, 1), widths=(4, 4, 8), activate_last=True),
        nets.ResNet18(5, SpectralNorm("exact"), blocks=(1, 1), widths=(4, 4, 8)),
    ],
    ids=["post", "pre", "exact sn"],
)
def test_residual_nets_learn_what_can_be_learned(net):
    """Eight noise images by heart, and members side by side as alone."""
    rng = np.random.RandomState(0)
    batch = ts.Batch(
        jnp.asarray(rng.uniform(size=(8, 16, 16, 3)), jnp.float32),
        jnp.asarray(rng.randint(5, size=8), jnp.int32),
    )
    p = ts.Program(net, Optimizer("sgd", lambda step: 0.05))
    coefficients = ts.Coefficients(*(jnp.float32(0),) * 3)

    @jax.jit
    @jax.vmap
    def trained(key):
        def step(state, _):
            state, parts = ts.train_step(
                state, batch, coefficients, key, program=p, with_jacobian=False
            )
            return state, parts.cross_entropy

        return jax.lax.scan(step, ts.create_state(p, key, (16, 16, 3)), None, length=60)[1]

    losses = trained(jax.vmap(jax.random.key)(jnp.arange(2)))
    assert (losses[:, -1] < 0.15 * losses[:, 0]).all()
    np.testing.assert_allclose(
        losses[1, :5], trained(jax.vmap(jax.random.key)(jnp.arange(1, 2)))[0, :5], rtol=1e-3
    )


def test_initial_values_are_pytorch_s():
    """Kernels uniform on ± 1/√fan_in; WRN's normal with variance 2 / fan_out."""
    _, variables, _ = init("resnet18", shape=(16, 16, 3))
    kernel = np.asarray(variables["params"]["layer2_1"]["conv2"]["kernel"])
    bound = 1 / np.sqrt(9 * 128)
    assert np.abs(kernel).max() <= bound and kernel.std() == pytest.approx(bound / 3**0.5, rel=0.01)
    last = variables["params"]["linear"]
    assert 0 < np.abs(last["bias"]).max() <= 1 / np.sqrt(512)
    np.testing.assert_array_equal(variables["params"]["conv1"]["bn"]["bias"], 0)
    net = nets.WRN28x10(10, None, blocks=(1, 1, 1), widths=(16, 32, 64, 128))
    params = net.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)), train=False)["params"]
    kernel = np.asarray(params["layer3_1"]["conv2"]["kernel"])
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)
    assert np.abs(kernel).max() > 3 * kernel.std()
    np.testing.assert_array_equal(params["linear"]["bias"], 0)
