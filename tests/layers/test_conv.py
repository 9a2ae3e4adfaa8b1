import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnoise.layers import conv


def arrays(*, side, channels, features, k, batch=3):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (channels, side, side, batch), jnp.float32)
    return x, jax.random.normal(keys[1], (k, k, channels, features), jnp.float32)


def reference(x, kernel, padding):
    """XLA's own convolution, in this module's layout."""
    y = lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("CHWN", "HWIO", "CHWN")
    )
    return y


def reference_pooled(x, kernel, padding):
    y = reference(x, kernel, padding)
    return lax.reduce_window(y, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def pooled(x, kernel, padding):
    return conv.max_pool(conv.convolve(x, kernel, padding=padding, before_pooling=True))


# (side, channels, features, k, padding, whether phases are expected before pooling)
CASES = [
    (28, 1, 6, 5, "VALID", True),
    (12, 6, 16, 5, "VALID", True),
    (12, 3, 5, 3, "SAME", True),
    (9, 2, 4, 3, "SAME", False),  # odd sides have no whole windows
    (29, 1, 6, 5, "VALID", False),
    (8, 40, 40, 3, "SAME", False),  # above MAX_PRODUCT_FOR_PHASES
    (7, 4, 3, 1, "SAME", False),
]


@pytest.mark.parametrize("side,channels,features,k,padding,phases", CASES)
def test_equals_xla_convolution_and_pooling(side, channels, features, k, padding, phases):
    x, kernel = arrays(side=side, channels=channels, features=features, k=k)
    # Sums of up to 360 float32 products of unit normals.
    close = dict(rtol=1e-4, atol=1e-4)
    plain = conv.convolve(x, kernel, padding=padding)
    np.testing.assert_allclose(plain[:, 0], reference(x, kernel, padding), **close)
    before = conv.convolve(x, kernel, padding=padding, before_pooling=True)
    assert before.shape[1] == (4 if phases else 1)
    np.testing.assert_allclose(
        pooled(x, kernel, padding), reference_pooled(x, kernel, padding), **close
    )


def test_phases_hold_every_output_once():
    x, kernel = arrays(side=12, channels=2, features=3, k=5)
    phases = conv.convolve(x, kernel, padding="VALID", before_pooling=True)
    plain = conv.convolve(x, kernel, padding="VALID")[:, 0]
    for phase, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        np.testing.assert_allclose(
            phases[:, phase], plain[:, row::2, column::2], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("side,channels,features,k,padding,phases", CASES[:4])
def test_first_and_second_derivatives_equal_xla(side, channels, features, k, padding, phases):
    x, kernel = arrays(side=side, channels=channels, features=features, k=k, batch=2)

    def penalty(function, kernel):
        """The shape of the Jacobian penalty: a gradient's square, to be differentiated again."""
        gradient = jax.grad(lambda x: jnp.sum(jnp.tanh(function(x, kernel, padding))))(x)
        return jnp.sum(jnp.square(gradient))

    for derivative in (jax.grad, jax.value_and_grad):
        ours = derivative(lambda kernel: penalty(pooled, kernel))(kernel)
        theirs = derivative(lambda kernel: penalty(reference_pooled, kernel))(kernel)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3), ours, theirs
        )


def test_vmap_over_kernels_equals_one_by_one():
    x, kernel = arrays(side=12, channels=2, features=3, k=5)
    kernels = jnp.stack([kernel, -2 * kernel])
    together = jax.vmap(lambda kernel: pooled(x, kernel, "VALID"))(kernels)
    for i in range(2):
        np.testing.assert_allclose(
            together[i], pooled(x, kernels[i], "VALID"), rtol=1e-5, atol=1e-5
        )


def test_pooling_drops_an_odd_last_row_and_column():
    y = jnp.arange(9, dtype=jnp.float32).reshape(1, 1, 3, 3, 1)
    np.testing.assert_array_equal(conv.max_pool(y), [[[[4.0]]]])
