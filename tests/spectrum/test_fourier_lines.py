"""Spectra of functions that are known in closed form, and of nets along real lines."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise import train_step as ts
from jaxnoise.methods.optim import Optimizer
from jaxnoise.spectrum import fourier_lines
from jaxnoise.spectrum.fourier_lines import POINTS, power_spectrum
from jaxnoise.spectrum.shares import centroid, normalized, share_above
from jaxnoise.training.evaluation import Pictures

H = fourier_lines.distances(1.0, POINTS)
SHAPE = (4, 4, 1)
LENGTH = fourier_lines.length(SHAPE)


def power(function):
    return np.asarray(power_spectrum(jnp.asarray(np.float32(function(H)))))


# One function


@pytest.mark.parametrize("phase", [0.0, 0.7, np.pi / 2])
@pytest.mark.parametrize("k", [3, 8, 20, 30])
def test_a_sinusoid_peaks_at_its_frequency(k, phase):
    found = power(lambda h: 5 + 2 * np.sin(2 * np.pi * k * h + phase))
    assert found.argmax() == k
    # Amplitude 2 has power 2; a Hann window leaves 2/3 of it at k and 1/6 on either side. What a
    # straight line takes of the sinusoid falls with k.
    np.testing.assert_allclose(found[k - 1 : k + 2] / 2, [1 / 6, 2 / 3, 1 / 6], atol=0.03)
    assert found.sum() == pytest.approx(2, rel=0.01)
    assert centroid(found, 1.0) == pytest.approx(k, rel=0.03)
    assert share_above(found, k + 2) < 1e-3 < 0.9 < share_above(found, k - 1)


def test_a_sinusoid_between_two_bins_leaks_to_its_neighbours_alone():
    found = power(lambda h: np.sin(2 * np.pi * 10.5 * h))
    assert set(np.argsort(found)[-2:]) == {10, 11}
    assert found[8:14].sum() > 0.99 * found.sum()


@pytest.mark.parametrize("slope", [0.02, -2.0, 300.0])
def test_a_straight_line_has_nothing_above_the_trend(slope):
    found = power(lambda h: 7 + slope * h)
    # float32 rounds 7 by up to 2e-7: 1e-13 of power, 1e-8 of the smallest slope's.
    assert share_above(found, 1) < 1e-6
    weights = np.cos(np.pi * H) ** 4
    assert found[0] == pytest.approx(slope**2 * np.average(H**2, weights=weights), rel=1e-2)
    assert centroid(found, 1.0) == pytest.approx(0, abs=len(found) * 1e-6)


def test_without_a_window_a_straight_line_would_have_high_frequencies():
    """Why there is one."""
    found = np.abs(np.fft.rfft(H)) ** 2
    assert found[4:].sum() > 0.1 * found[1:].sum()


def test_a_constant_has_no_spectrum():
    assert np.isnan(share_above(power(lambda h: 0 * h), 1))


@pytest.mark.parametrize("points", [8, 64, 100])
def test_powers_sum_to_the_weighted_variance(points):
    values = np.random.default_rng(0).normal(3, 2, (5, 2, points)).astype(np.float32)
    weights = np.cos(np.pi * fourier_lines.distances(1.0, points)) ** 4
    mean = np.average(values, weights=weights, axis=-1)[..., None]
    expected = np.average((values - mean) ** 2, weights=weights, axis=-1)
    found = power_spectrum(jnp.asarray(values))
    assert found.shape == (5, 2, points // 2 + 1) and (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=-1), expected, rtol=1e-5)


def test_a_kink_decays_like_the_fourth_power():
    found = power(lambda h: np.maximum(h - 0.05, 0))
    # |DFT| ∝ 1/k² for a kink; the average over neighbours hides the phase.
    early, late = found[6:10].mean(), found[12:20].mean()
    assert early / late == pytest.approx(2**4, rel=0.5)


def test_scale_and_offset_do_not_count():
    rng = np.random.default_rng(0).normal(size=POINTS)
    first, second = power(lambda h: rng), power(lambda h: 100 * rng + 3)
    np.testing.assert_allclose(normalized(first), normalized(second), atol=1e-6)


# Nets along lines


class Waves(nn.Module):
    """sin(2πf·(vᵀx)), cos of it, and a linear logit, for one direction v."""

    frequency: float = 0.0
    slope: float = 0.0
    num_classes: int = 3
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        self.param("unused", nn.initializers.zeros, (1,), jnp.float32)
        along = images.reshape(len(images), -1)[:, 0]
        wave = 2 * np.pi * self.frequency * along
        return jnp.stack([jnp.sin(wave), jnp.cos(wave), self.slope * along], axis=1)


def program(net):
    return ts.Program(net, Optimizer("sgd", optax.constant_schedule(0.1)))


def pictures(scale=1 / 255):
    """The second differs from the first, and the third from the second, in the first pixel."""
    images = np.full((4, *SHAPE), 100, np.uint8)
    images[1, 0, 0], images[2, 0, 0] = 140, 200
    images[3] = 180
    return Pictures(
        jnp.asarray(images),
        jnp.zeros(4, jnp.int32),
        jnp.zeros(4, jnp.int32),
        jnp.zeros(SHAPE, jnp.float32),
        jnp.float32(scale),
    )


def spectra(net, lines, *, scale=1 / 255, seed=0):
    state = ts.create_state(program(net), jax.random.key(0), SHAPE)
    lines = fourier_lines.Lines(*(jnp.asarray(x, jnp.int32) for x in lines))
    return np.asarray(
        fourier_lines.line_spectra(
            state, lines, pictures(scale), jax.random.key(seed), program=program(net)
        )
    )


@pytest.mark.parametrize("scale", [1 / 255, 1.0])
def test_a_wave_is_found_along_the_line_to_another_picture(scale):
    """Of 8 cycles per line; h is in pixels of range [0, 1], whatever the net sees."""
    net = Waves(frequency=8 / LENGTH / (255 * scale))
    found = spectra(net, ([0, 1], [1, 2], [3, 3]), scale=scale)
    assert found.shape == (2, 3, POINTS // 2 + 1)
    assert (found[:, 1].argmax(axis=-1) == 8).all()
    np.testing.assert_allclose(centroid(found[:, 1], LENGTH), 8 / LENGTH, rtol=0.03)
    # To a picture that is lighter all over, the first pixel changes a quarter as fast.
    assert found[0, 2].argmax() == 2


def test_a_linear_net_has_nothing_above_the_trend():
    found = spectra(Waves(slope=3.0), ([0, 1], [1, 2], [3, 3]))
    np.testing.assert_allclose(share_above(found, 1), 0, atol=1e-6)
    assert (found[..., 0] > 0).all()


def test_between_equal_pictures_there_is_no_line():
    assert np.isnan(share_above(spectra(Waves(slope=3.0), ([0], [0], [1]))[0, 1], 1))


def test_a_pictures_random_direction_is_its_own():
    """The same beside other pictures, another with another key."""
    net = Waves(frequency=5 / LENGTH)
    alone = spectra(net, ([2], [1], [3]))
    among = spectra(net, ([0, 2], [1, 1], [3, 3]))
    np.testing.assert_allclose(alone[0], among[1], rtol=1e-5, atol=1e-7)
    other = spectra(net, ([2], [1], [3]), seed=1)
    assert np.abs(other[0, 0] - alone[0, 0]).max() > 1e-3
    np.testing.assert_allclose(other[0, 1:], alone[0, 1:], rtol=1e-5, atol=1e-7)


def test_length_by_hand():
    assert fourier_lines.length((28, 28, 1)) == 7
    assert fourier_lines.length((32, 32, 3)) == pytest.approx(13.856, abs=1e-3)
    h = fourier_lines.distances(7.0, 14)
    np.testing.assert_allclose(h, np.arange(-3.25, 3.5, 0.5), atol=1e-6)
    np.testing.assert_allclose(fourier_lines.frequencies(7.0, 4), [0, 1 / 7, 2 / 7])


def test_measured_in_float32_whatever_the_net_was_trained_in():
    low = dataclasses.replace(program(Waves(dtype=jnp.bfloat16)), precision="bf16")
    assert (low.measuring().net.dtype, low.measuring().precision) == (jnp.float32, "float32")
