import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxnoise import losses


def test_cross_entropy_of_known_probabilities():
    p = jnp.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], jnp.float32)
    loss = losses.cross_entropy(logits=jnp.log(p) + 5, labels=jnp.array([1, 2]))
    np.testing.assert_allclose(loss, -np.log([0.5, 0.2]), rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_entropy_of_uniform_logits_is_log_k(classes):
    logits = jnp.full((3, classes), 7, jnp.float32)
    np.testing.assert_allclose(losses.entropy(logits=logits), np.log(classes), rtol=1e-5)


def test_entropy_gradient_flows_through_both_factors():
    """∂H/∂z_j = −p_j (log p_j + H)."""
    logits = jnp.array([[0.3, -1.0, 2.0, 0.5]], jnp.float32)
    p = np.asarray(jax.nn.softmax(logits))
    entropy = -np.sum(p * np.log(p))
    gradient = jax.grad(lambda logits: losses.entropy(logits=logits).sum())(logits)
    np.testing.assert_allclose(gradient, -p * (np.log(p) + entropy), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("extreme", [1e4, 1e30])
def test_entropy_is_finite_at_extreme_logits(extreme):
    logits = jnp.array([[extreme, 0, -extreme]], jnp.float32)
    value, gradient = jax.value_and_grad(lambda z: losses.entropy(logits=z).sum())(logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_a_positive_entropy_coefficient_sharpens():
    logits = jnp.array([[1.0, 0.5, 0.0]], jnp.float32)
    gradient = jax.grad(lambda logits: losses.entropy(logits=logits).sum())(logits)
    stepped = logits - 0.1 * gradient
    assert losses.entropy(logits=stepped)[0] < losses.entropy(logits=logits)[0]


CLASSES, SHAPE = 6, (3, 2, 1)


def small_net(coupled=False):
    """A smooth net, whose batch members influence each other if `coupled`, as under batch norm."""
    keys = jax.random.split(jax.random.key(0), 2)
    first = jax.random.normal(keys[0], (6, 8), jnp.float32)
    second = jax.random.normal(keys[1], (8, CLASSES), jnp.float32)

    def forward(images):
        hidden = jnp.tanh(images.reshape(len(images), -1) @ first)
        if coupled:
            hidden = hidden - hidden.mean(axis=0, keepdims=True) * 0.5
        return hidden @ second, "more"

    images = jax.random.normal(jax.random.key(1), (4, *SHAPE), jnp.float32)
    return forward, images


def finite_difference_jacobian(forward, images, step=1e-2):
    """∂(Σ_b' z_b')/∂x_b by central differences: (batch, K, pixels)."""
    flat = np.asarray(images, np.float32).reshape(len(images), -1)
    out = np.zeros((*flat.shape, CLASSES))
    for b, i in np.ndindex(*flat.shape):
        moved = []
        for sign in (1, -1):
            x = flat.copy()
            x[b, i] += sign * step
            moved.append(np.asarray(forward(jnp.asarray(x).reshape(images.shape))[0]).sum(axis=0))
        out[b, i] = (moved[0] - moved[1]) / (2 * step)
    return out.transpose(0, 2, 1)


@pytest.mark.parametrize("coupled", [False, True])
def test_jacobian_norms_equal_finite_differences(coupled):
    forward, images = small_net(coupled)
    jacobian = finite_difference_jacobian(forward, images)
    exact, (logits, more) = losses.exact_jacobian(forward, images)
    # Central differences of a tanh net at step 0.01: a relative error of about 1e-3.
    np.testing.assert_allclose(exact, np.square(jacobian).sum(axis=(1, 2)), rtol=1e-2)
    np.testing.assert_array_equal(logits, forward(images)[0])
    assert more == "more"


def test_projection_equals_finite_differences_where_batch_members_are_apart():
    forward, images = small_net()
    projection = jax.random.normal(jax.random.key(2), (4, CLASSES), jnp.float32)
    squared, _ = losses.projected_jacobian(forward, images, projection=projection)
    jacobian = finite_difference_jacobian(forward, images)
    expected = np.square(np.einsum("bk,bki->bi", projection, jacobian)).sum(axis=1)
    np.testing.assert_allclose(squared, expected, rtol=1e-2)


def test_exact_norm_is_that_of_jacrev():
    forward, images = small_net(coupled=True)
    rows = jax.jacrev(lambda x: forward(x)[0].sum(axis=0))(images)
    exact, _ = losses.exact_jacobian(forward, images)
    np.testing.assert_allclose(exact, np.square(rows).sum(axis=(0, 2, 3, 4)), rtol=1e-5)


@pytest.mark.parametrize("classes", [1, 10, 13, 30])
def test_jacobian_norm_of_a_linear_map_is_its_frobenius_norm(classes):
    matrix = jax.random.normal(jax.random.key(0), (6, classes), jnp.float32)
    images = jnp.ones((3, *SHAPE), jnp.float32)
    exact, _ = losses.exact_jacobian(lambda x: (x.reshape(3, -1) @ matrix, None), images)
    np.testing.assert_allclose(exact, np.full(3, np.square(matrix).sum()), rtol=1e-5)


def test_mean_norm_and_its_gradient_are_those_of_jacrev():
    """Alone and among members, with respect to something that acts on every layer."""
    forward, images = small_net(coupled=True)

    def ours(scale):
        mean, (logits, more) = losses.mean_exact_jacobian(lambda x: forward(x * scale), images)
        assert logits.shape == (4, CLASSES) and more == "more"
        return mean

    def by_jacrev(scale):
        rows = jax.jacrev(lambda x: forward(x * scale)[0].sum(axis=0))(images)
        return jnp.square(rows).sum(axis=(0, 2, 3, 4)).mean()

    scales = jnp.float32([0.7, 1.3])
    value, gradient = jax.vmap(jax.value_and_grad(ours))(scales)
    expected, expected_gradient = jax.vmap(jax.value_and_grad(by_jacrev))(scales)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4)
    assert ours(scales[0]) == pytest.approx(float(value[0]), rel=1e-5)


def test_projection_s_expectation_is_the_exact_norm():
    forward, images = small_net()
    exact, _ = losses.exact_jacobian(forward, images)
    draws = jax.random.normal(jax.random.key(3), (4000, 4, CLASSES), jnp.float32)
    squared = jax.vmap(
        lambda projection: losses.projected_jacobian(forward, images, projection=projection)[0]
    )(draws)
    error = squared.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(squared.mean(axis=0) - exact) < 4 * error).all()
    assert (error < 0.05 * exact).all()


def test_gradients_of_gradients():
    forward, images = small_net()
    projection = jax.random.normal(jax.random.key(2), (4, CLASSES), jnp.float32)

    def penalties(scale):
        def scaled(x):
            logits, more = forward(x * scale)
            return logits, more

        projected, _ = losses.projected_jacobian(scaled, images, projection=projection)
        return projected.mean() + losses.mean_exact_jacobian(scaled, images)[0]

    check_grads(penalties, (jnp.float32(0.7),), order=1, modes=["rev"], rtol=1e-2)
