"""Norms against dense matrices, the FFT form and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise.layers import conv, operator_norm

# Products in float32, and Lanczos' method stops at 1e-6 of σ².
CLOSE = 1e-5


def random_kernel(*shape, seed=0):
    return np.asarray(jax.random.normal(jax.random.key(seed), shape, jnp.float32))


def dense_matrix(linear, shape):
    """Its columns are the images of all unit pictures."""
    units = jnp.eye(int(np.prod(shape)), dtype=jnp.float32).reshape(*shape, -1)
    return np.float64(linear(units)).reshape(-1, units.shape[-1])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize(
    ("kernel", "shape"),
    [((3, 3, 1, 2), (1, 6, 5)), ((5, 5, 2, 3), (2, 7, 7)), ((1, 1, 3, 4), (3, 4, 4))],
)
def test_convolution_norm_is_the_dense_matrixs(kernel, shape, padding, stride):
    kernel, how = random_kernel(*kernel), {"padding": padding, "stride": stride}
    dense = dense_matrix(lambda x: conv.convolve(x, kernel, **how), shape)
    found = operator_norm.convolution_norm(kernel, padding, shape, stride)
    assert found == pytest.approx(np.linalg.norm(dense, ord=2), rel=CLOSE)


def circular(x, kernel):
    margin = (kernel.shape[0] - 1) // 2
    x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="wrap")
    return conv.convolve(x, kernel, padding="VALID")[:, 0]


def test_fft_form_is_the_dense_matrixs_with_circular_padding():
    kernel, shape = random_kernel(3, 3, 2, 4), (2, 6, 5)
    dense = dense_matrix(lambda x: circular(x, kernel), shape)
    found = operator_norm.circular_convolution_norm(kernel, *shape[1:])
    assert found == pytest.approx(np.linalg.norm(dense, ord=2), rel=CLOSE)


def test_lanczos_with_circular_padding_is_the_fft_form():
    kernel, shape = random_kernel(3, 3, 3, 4), (3, 8, 8)
    forward = jax.jit(lambda x: circular(x.reshape(*shape, 1), kernel).ravel())
    _, transposed = jax.vjp(forward, jnp.zeros(3 * 64, jnp.float32))
    found = operator_norm.operator_norm(
        lambda x: forward(np.float32(x)),
        lambda y: transposed(np.float32(y))[0],
        3 * 64,
        4 * 64,
    )
    expected = operator_norm.circular_convolution_norm(kernel, *shape[1:])
    assert found == pytest.approx(expected, rel=CLOSE)


def test_fft_form_by_hand():
    # Averaging has gain 1 at frequency 0; [1, 0, −1] has gain 2 at a quarter of the sampling rate.
    average = np.full((3, 3, 1, 1), 1 / 9)
    assert operator_norm.circular_convolution_norm(average, 8, 8) == pytest.approx(1)
    difference = np.zeros((3, 3, 1, 1))
    difference[1, :, 0, 0] = 1, 0, -1
    assert operator_norm.circular_convolution_norm(difference, 8, 8) == pytest.approx(2)


@pytest.mark.parametrize("size", [(3, 20), (20, 3), (12, 12)])
def test_operator_norm_of_matrices(size):
    matrix = random_kernel(*size)
    found = operator_norm.operator_norm(
        lambda x: matrix @ x, lambda y: matrix.T @ y, size[1], size[0]
    )
    assert found == pytest.approx(np.linalg.norm(matrix, ord=2), rel=CLOSE)


def test_operator_norm_with_equal_singular_values():
    found = operator_norm.operator_norm(lambda x: 3 * x, lambda y: 3 * y, 30, 30)
    assert found == pytest.approx(3, rel=1e-6)
