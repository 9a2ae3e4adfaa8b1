import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise.config import Config
from jaxnoise.methods.schedules import Schedule
from jaxnoise.training import assembly


def rates(schedule, epochs):
    return [float(schedule.of_epoch(jnp.int32(epoch))) for epoch in range(epochs)]


@pytest.mark.parametrize("network,rate,decay", [("lenet", 0.01, 15), ("allcnn", 0.001, 10)])
def test_defaults_of_the_papers_nets(network, rate, decay):
    schedule = assembly.optimizer(Config(net=network), steps_per_epoch=7).schedule
    for epoch in (0, decay - 1, decay, 2 * decay - 1, 2 * decay):
        for step in (7 * epoch, 7 * epoch + 6):
            expected = rate * 0.1 ** (epoch // decay)
            assert float(schedule(step)) == pytest.approx(expected, rel=1e-5), (epoch, step)


def test_step_and_milestones_by_hand():
    schedule = Schedule("step", 0.5, 7, decay_epochs=3, gamma=0.5)
    assert rates(schedule, 7) == pytest.approx([0.5] * 3 + [0.25] * 3 + [0.125])
    schedule = Schedule("milestones", 0.1, 6, milestones=(2, 5), gamma=0.01)
    assert rates(schedule, 6) == pytest.approx([0.1, 0.1, 1e-3, 1e-3, 1e-3, 1e-5])
    assert rates(Schedule("constant", 0.1, 3), 3) == pytest.approx([0.1] * 3)


def test_cosines_by_their_formula():
    epochs = np.arange(10)
    expected = 0.1 + (0.5 - 0.1) * (1 + np.cos(np.pi * epochs / 10)) / 2
    assert rates(Schedule("cosine", 0.5, 10, minimum=0.1), 10) == pytest.approx(expected, rel=1e-5)
    expected = 0.1 + (0.5 - 0.1) * (1 + np.cos(np.pi * (epochs % 4) / 4)) / 2
    schedule = Schedule("cosine_restarts", 0.5, 10, decay_epochs=4, minimum=0.1)
    assert rates(schedule, 10) == pytest.approx(expected, rel=1e-5)


def test_warm_up_rises_step_by_step_to_what_the_schedule_says():
    schedule = Schedule("constant", 1.0, 5, warmup_epochs=2).of_step(steps_per_epoch=3)
    expected = [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1]
    assert [float(schedule(step)) for step in range(7)] == pytest.approx(expected)
    decayed = Schedule("step", 1.0, 5, decay_epochs=1, warmup_epochs=2).of_step(steps_per_epoch=3)
    assert [float(decayed(step)) for step in (2, 3)] == pytest.approx([0.5, 0.1 * 4 / 6])


@pytest.mark.parametrize("name", ["step", "milestones"])
@pytest.mark.parametrize("steps_per_epoch,decay_epochs", [(1688, 15), (1, 55), (7, 3), (1407, 10)])
def test_a_compiled_schedule_drops_on_the_step(name, steps_per_epoch, decay_epochs):
    """Also where 1 / (steps between drops) is rounded: for MNIST, and with one step an epoch."""
    between = steps_per_epoch * decay_epochs
    milestones = tuple(decay_epochs * i for i in (1, 2, 3))
    made = Schedule(name, 1.0, 200, decay_epochs, milestones)
    schedule = jax.jit(made.of_step(steps_per_epoch))
    for drops in (1, 2, 3):
        rates = [float(schedule(jnp.int32(drops * between + i))) for i in (-1, 0, 1)]
        expected = [0.1 ** (drops - 1), 0.1**drops, 0.1**drops]
        assert rates == pytest.approx(expected, rel=1e-5)


def test_a_schedule_longer_than_any_run_never_drops():
    longest = 2**31 - 1
    schedule = Schedule("step", 0.5, longest, decay_epochs=longest).of_step(longest)
    assert float(jax.jit(schedule)(jnp.int32(longest - 1))) == 0.5
