"""Spectral norms against SVD, and the original's formulas against a transcription in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnoise.layers import conv
from jaxnoise.layers.spectral_norm import SpectralNorm, normalize, reshaped, unit

PAPER = SpectralNorm(stop_gradient=False, in_evaluation=True)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32)


@functools.cache
def convolution(padding, before_pooling=False):
    def linear_map(u, kernel):
        return conv.convolve(u[..., None], kernel, padding=padding, before_pooling=before_pooling)

    return linear_map


def dense_matrix(kernel, picture, padding):
    """The convolution of one picture as a matrix, (outputs, inputs), by XLA's convolution."""
    channels, height, width = picture
    size = channels * height * width
    basis = jnp.eye(size, dtype=jnp.float32).reshape(size, channels, height, width)
    outputs = lax.conv_general_dilated(
        basis, kernel, (1, 1), padding, dimension_numbers=("NCHW", "HWIO", "NCHW")
    )
    return np.asarray(outputs, np.float64).reshape(size, -1).T


@pytest.mark.parametrize("shape", [(5, 5, 6, 16), (256, 120), (3, 3, 8, 4)])
def test_reshaped_sigma_approaches_the_largest_singular_value(shape):
    kernel, u = normal(0, *shape), unit(jnp.ones(shape[-1], jnp.float32))
    for _ in range(50):
        normalized, u, sigma = normalize(kernel, u, SpectralNorm())
    exact = np.linalg.norm(np.asarray(kernel).reshape(-1, shape[-1]), ord=2)
    assert float(sigma) == pytest.approx(exact, rel=0.01)
    largest = np.linalg.norm(np.asarray(normalized).reshape(-1, shape[-1]), ord=2)
    assert largest == pytest.approx(1, rel=0.01)
    assert float(jnp.linalg.norm(u)) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("kernel_shape", "picture", "padding", "before_pooling"),
    [
        ((5, 5, 1, 6), (1, 10, 10), "VALID", True),  # in four phases
        ((5, 5, 2, 3), (2, 9, 8), "VALID", True),  # odd: in one
        ((3, 3, 4, 3), (4, 6, 7), "SAME", False),
        ((1, 1, 5, 4), (5, 3, 3), "SAME", False),
        ((3, 3, 64, 64), (64, 4, 3), "SAME", False),  # on a CPU by Winograd's form
    ],
)
def test_exact_sigma_is_the_largest_singular_value_of_the_convolution(
    kernel_shape, picture, padding, before_pooling
):
    kernel = normal(0, *kernel_shape)
    matrix = dense_matrix(kernel, picture, padding)
    largest = np.linalg.norm(matrix, ord=2)
    estimate = jax.jit(
        lambda kernel, u: normalize(
            kernel,
            u,
            SpectralNorm("exact", iterations=200),
            convolution(padding, before_pooling),
        )
    )
    normalized, u, sigma = estimate(kernel, unit(normal(1, *picture)))
    assert u.shape == picture
    # From below, and after 200 iterations to what close singular values leave.
    assert 0.998 * largest < float(sigma) < 1.0001 * largest
    np.testing.assert_allclose(normalized, kernel / sigma, rtol=1e-5)
    assert (
        sigma
        != pytest.approx(
            np.linalg.norm(np.reshape(kernel, (-1, kernel_shape[-1])), ord=2), rel=0.01
        )
        or kernel_shape[0] == 1
    )  # a 1×1 convolution is its matrix, pixel by pixel


def test_one_exact_iteration_by_hand_on_the_dense_matrix():
    """v = A u / ‖A u‖, u' = Aᵀ v / ‖Aᵀ v‖, σ = vᵀ A u'; ∂σ/∂K is linear in the kernel."""
    kernel, u, picture = normal(0, 3, 3, 2, 3), unit(normal(1, 2, 5, 4)), (2, 5, 4)
    linear_map = convolution("SAME")

    @jax.jit
    def one(kernel):
        _, moved, sigma = normalize(kernel, u, SpectralNorm("exact"), linear_map)
        return sigma, moved

    (sigma, moved), gradient = jax.value_and_grad(one, has_aux=True)(kernel)
    matrix = dense_matrix(kernel, picture, "SAME")
    v = matrix @ np.ravel(u)
    v /= np.linalg.norm(v)
    expected_u = matrix.T @ v
    expected_u /= np.linalg.norm(expected_u)
    np.testing.assert_allclose(np.ravel(moved), expected_u, rtol=1e-4, atol=1e-5)
    assert float(sigma) == pytest.approx(v @ matrix @ expected_u, rel=1e-5)
    direction = normal(2, *kernel.shape)
    along = v @ dense_matrix(direction, picture, "SAME") @ expected_u
    assert float(jnp.vdot(gradient, direction)) == pytest.approx(along, rel=1e-3)


@pytest.mark.parametrize("mode", ["reshaped", "exact"])
def test_members_and_steps_in_one_program_equal_those_alone(mode):
    """vmap over kernels around a scan over steps, as in training, gradient included."""
    kernels, us = (
        normal(0, 2, 3, 3, 4, 4),
        normal(1, 2, *((4,) if mode == "reshaped" else (4, 6, 6))),
    )
    linear_map = reshaped if mode == "reshaped" else convolution("SAME")

    def step(state, _):
        kernel, u = state

        def loss(kernel):
            normalized, moved, sigma = normalize(kernel, u, SpectralNorm(mode), linear_map)
            return jnp.sum(normalized**3), (moved, sigma)

        gradient, (u, sigma) = jax.grad(loss, has_aux=True)(kernel)
        return (kernel - 0.1 * gradient, u), sigma

    def steps(kernel, u):
        return lax.scan(step, (kernel, unit(u)), None, length=3)

    together = jax.jit(jax.vmap(steps))(kernels, us)
    for i in range(2):
        alone = kernels[i], unit(us[i])
        for _ in range(3):
            alone, sigma = step(alone, None)
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5),
            (together[0], together[1][:, -1]),
            (alone, sigma),
        )


def test_one_reshaped_iteration_is_that_of_an_independent_implementation():
    kernel = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    normalized, u, sigma = normalize(kernel, jnp.array([1.0, 0.0]), SpectralNorm())
    assert float(sigma) == pytest.approx(9.5033828563, rel=1e-6)
    np.testing.assert_allclose(u, [0.62252357, 0.78260105], rtol=1e-6)
    np.testing.assert_allclose(normalized, kernel / 9.5033828563, rtol=1e-6)


def test_sigma_s_gradient_is_v_u_transposed():
    """With u and v held constant, ∂σ/∂W = v uᵀ (Miyato et al. 2018, equation 11)."""
    kernel = normal(0, 6, 4)
    u0 = jnp.array([1, 0, 0, 0], jnp.float32)
    gradient = jax.grad(lambda kernel: normalize(kernel, u0, SpectralNorm())[2])(kernel)
    v = np.asarray(kernel @ u0) / np.linalg.norm(kernel @ u0)
    u1 = v @ np.asarray(kernel)
    np.testing.assert_allclose(gradient, np.outer(v, u1 / np.linalg.norm(u1)), atol=1e-5)


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_iterations_are_as_many_calls_of_one(stop_gradient):
    kernel, u = normal(0, 6, 4), unit(normal(1, 4))
    once = SpectralNorm(stop_gradient=stop_gradient)
    thrice = SpectralNorm(iterations=3, stop_gradient=stop_gradient)

    def in_turn(kernel, u):
        for _ in range(3):
            normalized, u, sigma = normalize(kernel, u, once)
        return jnp.sum(normalized**3), (u, sigma)

    def together(kernel, u):
        normalized, u, sigma = normalize(kernel, u, thrice)
        return jnp.sum(normalized**3), (u, sigma)

    expected, ours = (
        jax.value_and_grad(function, has_aux=True)(kernel, u) for function in (in_turn, together)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ours, expected
    )


@pytest.mark.parametrize(("cap", "factor"), [(0.5, 6.0), (3.0, 1.0), (4.0, 1.0)])
def test_cap_divides_only_what_exceeds_it(cap, factor):
    """Of diag(3, 1), σ = 3: kernel / max(1, σ / cap)."""
    kernel, u = jnp.diag(jnp.array([3.0, 1.0])), jnp.array([1.0, 0.0])
    normalized, _, sigma = normalize(kernel, u, SpectralNorm(cap=cap))
    assert float(sigma) == pytest.approx(3, rel=1e-6)
    np.testing.assert_allclose(normalized, kernel / factor, rtol=1e-6)
    if cap == 4.0:  # then σ has no part in it, in the gradient neither
        gradient = jax.grad(lambda k: normalize(k, u, SpectralNorm(cap=cap))[0].sum())(kernel)
        np.testing.assert_array_equal(gradient, 1)


# The original's formulas, in float64. REFERENCE: kernel reshaped to (−1, C_out),
# v = normalize(W u), u' = normalize(Wᵀ v), σ = vᵀ W u', kernel / σ.


def transcribed(kernel, u):
    matrix = kernel.reshape(-1, kernel.shape[-1])
    v = matrix @ u
    v = v / np.linalg.norm(v)
    new_u = matrix.T @ v
    new_u = new_u / np.linalg.norm(new_u)
    sigma = v @ matrix @ new_u
    return kernel / sigma, new_u, sigma


def finite_differences(function, kernel, step=1e-6):
    gradient = np.zeros_like(kernel)
    for place in np.ndindex(kernel.shape):
        shift = np.zeros_like(kernel)
        shift[place] = step
        gradient[place] = (function(kernel + shift) - function(kernel - shift)) / (2 * step)
    return gradient


@pytest.mark.parametrize("shape", [(3, 3, 2, 4), (7, 5)])
def test_paper_is_the_original_in_value_and_in_gradient_through_u_and_v(shape):
    rng = np.random.default_rng(0)
    kernel, weights, u = (rng.normal(size=size) for size in (shape, shape, shape[-1]))
    u /= np.linalg.norm(u)
    expected = transcribed(kernel, u)
    gradient = finite_differences(lambda k: np.sum(weights * transcribed(k, u)[0]), kernel)

    def value(kernel, norm):
        normalized, moved, sigma = normalize(kernel, jnp.float32(u), norm)
        return jnp.sum(jnp.float32(weights) * normalized), (normalized, moved, sigma)

    of = jax.value_and_grad(value, has_aux=True)
    (_, ours), our_gradient = of(jnp.float32(kernel), PAPER)
    (_, default), default_gradient = of(jnp.float32(kernel), SpectralNorm())
    # Values are the same in both; ...
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, expected
    )
    jax.tree.map(np.testing.assert_array_equal, ours, default)
    np.testing.assert_allclose(our_gradient, gradient, rtol=1e-3, atol=1e-4)
    # ... the default's gradient is that with the vectors held where they are.
    matrix = kernel.reshape(-1, shape[-1])
    v = matrix @ u / np.linalg.norm(matrix @ u)
    held = finite_differences(
        lambda k: np.sum(weights * k / (v @ k.reshape(-1, shape[-1]) @ expected[1])), kernel
    )
    np.testing.assert_allclose(default_gradient, held, rtol=1e-3, atol=1e-4)
    assert np.abs(gradient - held).max() > 0.01 * np.abs(held).max()


def test_presets_have_one_gradient_where_the_vectors_have_converged():
    """At the singular vectors σ is stationary in u and v, so nothing flows through them."""
    kernel = normal(0, 6, 4)
    u = jnp.asarray(np.linalg.svd(kernel)[2][0])
    ours, default = (
        jax.grad(lambda k, norm=norm: jnp.sum(normalize(k, u, norm)[0] ** 3))(kernel)
        for norm in (PAPER, SpectralNorm())
    )
    np.testing.assert_allclose(ours, default, rtol=1e-3, atol=1e-4)
