"""Norms against dense matrices, the FFT form and by hand; bounds that hold."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.layers import conv
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.spectrum import layer_norms
from jaxnoise.spectrum.jacobian import gram, singular_values
from jaxnoise.training import eval_step as es

# Products in float32, and Lanczos' method stops at 1e-6 of σ².
CLOSE = 1e-5


def random_kernel(*shape, seed=0):
    return np.asarray(jax.random.normal(jax.random.key(seed), shape, jnp.float32))


def dense_matrix(linear, shape):
    """Its columns are the images of all unit pictures."""
    units = jnp.eye(int(np.prod(shape)), dtype=jnp.float32).reshape(*shape, -1)
    return np.float64(linear(units)).reshape(-1, units.shape[-1])


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize(
    ("kernel", "shape"),
    [((3, 3, 1, 2), (1, 6, 5)), ((5, 5, 2, 3), (2, 7, 7)), ((1, 1, 3, 4), (3, 4, 4))],
)
def test_convolution_norm_is_the_dense_matrixs(kernel, shape, padding):
    kernel = random_kernel(*kernel)
    dense = dense_matrix(lambda x: conv.convolve(x, kernel, padding=padding), shape)
    found = layer_norms.convolution_norm(kernel, padding, shape)
    assert found == pytest.approx(np.linalg.norm(dense, ord=2), rel=CLOSE)


def circular(x, kernel):
    margin = (kernel.shape[0] - 1) // 2
    x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="wrap")
    return conv.convolve(x, kernel, padding="VALID")[:, 0]


def test_fft_form_is_the_dense_matrixs_with_circular_padding():
    kernel, shape = random_kernel(3, 3, 2, 4), (2, 6, 5)
    dense = dense_matrix(lambda x: circular(x, kernel), shape)
    found = layer_norms.circular_convolution_norm(kernel, *shape[1:])
    assert found == pytest.approx(np.linalg.norm(dense, ord=2), rel=CLOSE)


def test_lanczos_with_circular_padding_is_the_fft_form():
    kernel, shape = random_kernel(3, 3, 3, 4), (3, 8, 8)
    forward = jax.jit(lambda x: circular(x.reshape(*shape, 1), kernel).ravel())
    _, transposed = jax.vjp(forward, jnp.zeros(3 * 64, jnp.float32))
    found = layer_norms.operator_norm(
        lambda x: forward(np.float32(x)),
        lambda y: transposed(np.float32(y))[0],
        3 * 64,
        4 * 64,
    )
    expected = layer_norms.circular_convolution_norm(kernel, *shape[1:])
    assert found == pytest.approx(expected, rel=CLOSE)


def test_fft_form_by_hand():
    # Averaging has gain 1 at frequency 0; [1, 0, −1] has gain 2 at a quarter of the sampling rate.
    average = np.full((3, 3, 1, 1), 1 / 9)
    assert layer_norms.circular_convolution_norm(average, 8, 8) == pytest.approx(1)
    difference = np.zeros((3, 3, 1, 1))
    difference[1, :, 0, 0] = 1, 0, -1
    assert layer_norms.circular_convolution_norm(difference, 8, 8) == pytest.approx(2)


@pytest.mark.parametrize("size", [(3, 20), (20, 3), (12, 12)])
def test_operator_norm_of_matrices(size):
    matrix = random_kernel(*size)
    found = layer_norms.operator_norm(
        lambda x: matrix @ x, lambda y: matrix.T @ y, size[1], size[0]
    )
    assert found == pytest.approx(np.linalg.norm(matrix, ord=2), rel=CLOSE)


def test_operator_norm_with_equal_singular_values():
    found = layer_norms.operator_norm(lambda x: 3 * x, lambda y: 3 * y, 30, 30)
    assert found == pytest.approx(3, rel=1e-6)


def made(name, *, spectral, shape=(28, 28, 1)):
    """A program and its first state, with statistics as if batch norm had run."""
    program = ts.Program(
        nets.NETS[name](10, spectral), name, optax.constant_schedule(0.1), "projection"
    )

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
    program, state = made("lenet", spectral=request.param)
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


def test_no_jacobian_is_above_the_bound(lenet):
    program, state, _, norms = lenet
    images = jax.random.uniform(jax.random.key(1), (8, 28, 28, 1), jnp.float32)
    forward = functools.partial(es.logits_step, state, program=program)
    grams = jax.jit(functools.partial(gram, forward))(images)
    largest = singular_values(np.asarray(grams))[:, 0].max()
    assert 0 < largest <= norms.upper_bound


def test_a_mean_over_positions_divides_the_bound():
    """AllCNN ends with one over 7×7 positions of 28×28 pictures."""
    program, state = made("allcnn", spectral=None)
    found = jax.eval_shape(
        lambda: tuple(
            layer.kernel
            for layer in layer_norms.layers(
                program.net, {"params": state.params, **state.variables}, (28, 28, 1)
            )
        )
    )
    assert [kernel.shape[-1] for kernel in found] == [96] * 3 + [192] * 5 + [10]
