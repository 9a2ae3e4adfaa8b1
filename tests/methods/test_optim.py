import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise.methods.optim import Optimizer
from jaxnoise.methods.schedules import Schedule

CONSTANT = optax.constant_schedule(0.1)

pytestmark = pytest.mark.usefixtures("standard_dtype_promotion")


def params():
    return {
        "conv": {"kernel": jnp.array([1.0, -2.0]), "bn": {"scale": jnp.array([3.0])}},
        "dense": {"bias": jnp.array([4.0]), "bn": {"bias": jnp.array([5.0])}},
    }


def test_weight_decay_acts_on_kernels_and_scales_alone():
    assert Optimizer("sgd", CONSTANT).decayed(params()) == {
        "conv": {"kernel": True, "bn": {"scale": True}},
        "dense": {"bias": False, "bn": {"bias": False}},
    }
    everything = Optimizer("sgd", CONSTANT, decays_all=True).decayed(params())
    assert all(jax.tree.leaves(everything))


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weight_decay_is_the_gradient_of_half_the_squared_norm(name):
    """Coupled: the step with decay equals the step on a loss that holds ½·wd·Σw²."""
    gradient = jax.tree.map(lambda x: 0.1 * x + 0.3, params())
    by_hand = jax.tree.map(
        lambda g, w, on: g + 0.25 * w if on else g,
        gradient,
        params(),
        Optimizer(name, CONSTANT).decayed(params()),
    )

    def two_steps(weight_decay, gradient):
        optimizer = Optimizer(name, CONSTANT).chain(weight_decay)
        state, updates = optimizer.init(params()), []
        for _ in range(2):
            update, state = optimizer.update(gradient, state, params())
            updates.append(update)
        return updates

    for ours, expected in zip(two_steps(0.25, gradient), two_steps(0.0, by_hand), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, expected)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_decoupled_weight_decay_comes_off_the_weights_past_the_scaler(name):
    """Every update is that without decay less lr · wd · w, on kernels and scales alone."""
    gradient = jax.tree.map(lambda x: 0.1 * x + 0.3, params())

    def two_steps(weight_decay):
        schedule = Schedule("step", 0.1, 2, decay_epochs=1).of_step(1)
        optimizer = Optimizer(name, schedule, decoupled=True).chain(weight_decay)
        state, updates = optimizer.init(params()), []
        for _ in range(2):
            update, state = optimizer.update(gradient, state, params())
            updates.append(update)
        return updates

    rates = (0.1, 0.01)  # the schedule applies to both parts
    decayed, plain = two_steps(jnp.float32(0.25)), two_steps(jnp.float32(0))
    for rate, ours, expected in zip(rates, decayed, plain, strict=True):
        jax.tree.map(
            lambda a, b, w, on, rate=rate: np.testing.assert_allclose(
                a, b - rate * 0.25 * w if on else b, rtol=1e-5
            ),
            ours,
            expected,
            params(),
            Optimizer(name, CONSTANT).decayed(params()),
        )


def test_momentum_and_adam_by_hand():
    gradient = {"kernel": jnp.array([2.0])}
    sgd = Optimizer("sgd", CONSTANT).chain(0.0)
    state = sgd.init(gradient)
    for expected in (-0.1 * 2, -0.1 * (2 + 0.9 * 2)):
        update, state = sgd.update(gradient, state, gradient)
        np.testing.assert_allclose(update["kernel"], [expected], rtol=1e-6)
    adam = Optimizer("adam", CONSTANT).chain(0.0)
    update, _ = adam.update(gradient, adam.init(gradient), gradient)
    np.testing.assert_allclose(update["kernel"], [-0.1], rtol=1e-5)  # the first step is lr·sign(g)


def test_nesterov_by_hand():
    """As torch.optim.SGD: v ← m v + g, and the step is lr (g + m v)."""
    gradient, sgd = {"kernel": jnp.array([2.0])}, Optimizer("sgd", CONSTANT, nesterov=True)
    chain = sgd.chain(0.0)
    state, velocity = chain.init(gradient), 0.0
    for _ in range(2):
        velocity = 0.9 * velocity + 2.0
        update, state = chain.update(gradient, state, gradient)
        np.testing.assert_allclose(update["kernel"], [-0.1 * (2 + 0.9 * velocity)], rtol=1e-6)


def test_clipping_scales_the_gradient_over_all_parameters_before_weight_decay():
    gradient = {"kernel": jnp.array([3.0]), "bias": jnp.array([4.0])}
    weights = {"kernel": jnp.array([10.0]), "bias": jnp.array([1.0])}
    chain = Optimizer("sgd", CONSTANT, momentum=0.0, clip_norm=1.0).chain(0.5)
    update, _ = chain.update(gradient, chain.init(weights), weights)
    np.testing.assert_allclose(update["kernel"], [-0.1 * (0.6 + 0.5 * 10)], rtol=1e-6)
    np.testing.assert_allclose(update["bias"], [-0.1 * 0.8], rtol=1e-6)
    short = jax.tree.map(lambda g: g / 10, gradient)
    update, _ = chain.update(short, chain.init(weights), weights)
    np.testing.assert_allclose(update["bias"], [-0.1 * 0.4], rtol=1e-6)
