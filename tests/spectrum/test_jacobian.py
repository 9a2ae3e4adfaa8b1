"""Singular values against NumPy's, and against the norm that the scores report."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import losses
from jaxnoise.spectrum.jacobian import gram, singular_values


def images(count=3):
    return jax.random.normal(jax.random.key(0), (count, 4, 3, 2), jnp.float32)


def of(forward, x):
    return singular_values(np.asarray(gram(forward, x)))


@pytest.mark.parametrize("classes", [1, 5, 30])
def test_singular_values_of_a_linear_map(classes):
    matrix = jax.random.normal(jax.random.key(1), (24, classes), jnp.float32)
    found = of(lambda x: x.reshape(len(x), -1) @ matrix, images())
    expected = np.zeros(classes)
    values = np.linalg.svd(matrix, compute_uv=False)
    expected[: len(values)] = values
    assert found.shape == (3, classes)
    # Roots of eigenvalues: float32's 6e-8 becomes 2.4e-4 of the largest for those near 0.
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), atol=2e-3 * expected[0])
    np.testing.assert_allclose(found[:, 0], expected[0], rtol=1e-5)


def curved(weights, x):
    return jnp.tanh(x.reshape(len(x), -1) @ weights) ** 2


def test_squares_sum_to_the_frobenius_norm_of_the_scores():
    forward = functools.partial(curved, jax.random.normal(jax.random.key(2), (24, 4), jnp.float32))
    expected, _ = losses.exact_jacobian(lambda x: (forward(x), None), images())
    found = np.square(of(forward, images())).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_picture_whose_jacobian_is_not_finite_is_told_apart():
    found = of(lambda x: jnp.sqrt(x[:, :, 0, 0]), jnp.abs(images()).at[1].set(0.0))
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(found).any(axis=1).tolist() == [False, True, False]
