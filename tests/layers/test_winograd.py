import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnoise.layers import conv, winograd


def arrays(side, channels=5, features=7, batch=2):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((channels, side[0], side[1], batch)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(
        rng.standard_normal((3, 3, channels, features)).astype(np.float32)
    )


def reference(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("CHWN", "HWIO", "CHWN"), precision="highest"
    )


def assert_close(ours, theirs):
    """To 2e-5 of the largest value, the accuracy that the module promises."""
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 2e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("side", [(3, 3), (6, 6), (7, 9), (10, 10), (18, 5)])
def test_convolution_and_gradients_equal_xla(side):
    x, kernel = arrays(side)
    y, pullback = jax.vjp(winograd.convolve3x3, x, kernel)
    expected, expected_pullback = jax.vjp(reference, x, kernel)
    assert_close(y, expected)
    gradient = jnp.sin(expected)
    jax.tree.map(assert_close, pullback(gradient), expected_pullback(gradient))


def test_second_derivatives_equal_xla():
    x, kernel = arrays((7, 7))

    def penalty(convolve):
        def function(kernel):
            gradient = jax.grad(lambda x: jnp.sum(jnp.tanh(convolve(x, kernel) / 10)))(x)
            return jnp.sum(jnp.square(gradient))

        return jax.jit(jax.grad(function))(kernel)

    ours, theirs = penalty(winograd.convolve3x3), penalty(reference)
    # Twice through tanh: an order of magnitude more than one pass.
    assert np.abs(ours - theirs).max() < 2e-4 * np.abs(theirs).max()


def test_members_equal_one_by_one():
    x, kernel = arrays((6, 6))
    kernels, xs = jnp.stack([kernel, -2 * kernel]), jnp.stack([x, x + 1])
    together = jax.vmap(winograd.convolve3x3)(xs, kernels)
    for i in range(2):
        assert_close(together[i], winograd.convolve3x3(xs[i], kernels[i]))


def test_wide_convolutions_take_it_and_agree_with_xla(monkeypatch):
    monkeypatch.setattr(conv, "MIN_CHANNELS_FOR_WINOGRAD", 5)
    taken = []
    real = winograd.convolve3x3
    monkeypatch.setattr(winograd, "convolve3x3", lambda *a: taken.append(1) or real(*a))
    x, kernel = arrays((8, 8))
    y = conv.convolve(x, kernel, padding="SAME", before_pooling=True)
    assert bool(taken) == (jax.default_backend() == "cpu")
    assert_close(y[:, 0], reference(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), kernel))
