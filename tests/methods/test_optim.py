import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise.methods import optim

pytestmark = pytest.mark.usefixtures("standard_dtype_promotion")


@pytest.mark.parametrize("network,rate,decay", [("lenet", 0.01, 15), ("allcnn", 0.001, 10)])
def test_default_schedules(network, rate, decay):
    schedule = optim.learning_rate_schedule(
        network, learning_rate=None, decay_epochs=None, steps_per_epoch=7
    )
    for epoch in (0, decay - 1, decay, 2 * decay - 1, 2 * decay):
        for step in (7 * epoch, 7 * epoch + 6):
            expected = rate * 0.1 ** (epoch // decay)
            assert float(schedule(step)) == pytest.approx(expected, rel=1e-5), (epoch, step)


def test_given_schedule():
    schedule = optim.learning_rate_schedule(
        "lenet", learning_rate=0.5, decay_epochs=2, steps_per_epoch=3
    )
    assert [float(schedule(step)) for step in (0, 5, 6)] == pytest.approx([0.5, 0.5, 0.05])


@pytest.mark.parametrize("steps_per_epoch,decay_epochs", [(1688, 15), (1, 55), (7, 3), (1407, 10)])
def test_a_compiled_schedule_drops_on_the_step(steps_per_epoch, decay_epochs):
    """Also where 1 / (steps between drops) is rounded: for MNIST, and with one step an epoch."""
    between = steps_per_epoch * decay_epochs
    schedule = jax.jit(
        optim.learning_rate_schedule(
            "lenet", learning_rate=1.0, decay_epochs=decay_epochs, steps_per_epoch=steps_per_epoch
        )
    )
    for drops in (1, 2, 3):
        rates = [float(schedule(jnp.int32(drops * between + i))) for i in (-1, 0, 1)]
        expected = [0.1 ** (drops - 1), 0.1**drops, 0.1**drops]
        assert rates == pytest.approx(expected, rel=1e-5)


def test_a_schedule_longer_than_int32_never_drops():
    schedule = optim.learning_rate_schedule(
        "lenet", learning_rate=0.5, decay_epochs=2**31, steps_per_epoch=2**31
    )
    assert float(jax.jit(schedule)(jnp.int32(2**31 - 2))) == 0.5


def params():
    return {
        "conv": {"kernel": jnp.array([1.0, -2.0]), "bn": {"scale": jnp.array([3.0])}},
        "dense": {"bias": jnp.array([4.0]), "bn": {"bias": jnp.array([5.0])}},
    }


def test_weight_decay_acts_on_kernels_and_scales_alone():
    assert optim.decayed(params()) == {
        "conv": {"kernel": True, "bn": {"scale": True}},
        "dense": {"bias": False, "bn": {"bias": False}},
    }


@pytest.mark.parametrize("network", ["lenet", "allcnn"])
def test_weight_decay_is_the_gradient_of_half_the_squared_norm(network):
    """Coupled: the step with decay equals the step on a loss that holds ½·wd·Σw²."""
    gradient = jax.tree.map(lambda x: 0.1 * x + 0.3, params())
    by_hand = jax.tree.map(
        lambda g, w, on: g + 0.25 * w if on else g, gradient, params(), optim.decayed(params())
    )

    def two_steps(weight_decay, gradient):
        optimizer = optim.optimizer(
            network, optax.constant_schedule(0.1), weight_decay=weight_decay
        )
        state, updates = optimizer.init(params()), []
        for _ in range(2):
            update, state = optimizer.update(gradient, state, params())
            updates.append(update)
        return updates

    for ours, expected in zip(two_steps(0.25, gradient), two_steps(0.0, by_hand), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, expected)


@pytest.mark.parametrize("network", ["lenet", "allcnn"])
def test_decoupled_weight_decay_comes_off_the_weights_past_the_scaler(network):
    """Every update is that without decay less lr · wd · w, on kernels and scales alone."""
    gradient = jax.tree.map(lambda x: 0.1 * x + 0.3, params())

    def two_steps(weight_decay):
        schedule = optim.learning_rate_schedule(
            network, learning_rate=0.1, decay_epochs=1, steps_per_epoch=1
        )
        optimizer = optim.optimizer(
            network, schedule, weight_decay=weight_decay, wd_mode="decoupled"
        )
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
            optim.decayed(params()),
        )


def test_momentum_and_adam_by_hand():
    gradient = {"kernel": jnp.array([2.0])}
    sgd = optim.optimizer("lenet", optax.constant_schedule(0.1), weight_decay=0.0)
    state = sgd.init(gradient)
    for expected in (-0.1 * 2, -0.1 * (2 + 0.9 * 2)):
        update, state = sgd.update(gradient, state, gradient)
        np.testing.assert_allclose(update["kernel"], [expected], rtol=1e-6)
    adam = optim.optimizer("allcnn", optax.constant_schedule(0.1), weight_decay=0.0)
    update, _ = adam.update(gradient, adam.init(gradient), gradient)
    np.testing.assert_allclose(update["kernel"], [-0.1], rtol=1e-5)  # the first step is lr·sign(g)
