"""Fourier spectrum of the learned mapping along lines through real pictures, of one member.

Along the segment x + h·v, |h| ≤ L/2, with x a picture, v a unit direction and h the L2 distance in
pixels of range [0, 1], a logit is a function z(h) of one variable, sampled at the middles of N
equal cells. Each z is decomposed by the window w(h) = cos²(πh/L) (Hann) into

    z = a + b·h + r,    a and b by least squares with weights w²,
    P_0 = Σ w²(b·h)² / Σ w² + DC bin of |DFT(w·r)|² / (N Σ w²),
    P_k = (2 − δ_{k, N/2}) |DFT(w·r)_k|² / (N Σ w²),    k = 1, …, N/2,

so that Σ_k P_k is the weighted variance of z along the line (Parseval). a does not matter to a
prediction and is left out. P_0 is the *trend*: what varies more slowly than the line can resolve; a
linear mapping has nothing else. P_k is the power (logits²) at k cycles per line, k/L cycles per
unit distance; a sinusoid of frequency k/L, k ≥ 3, has it in the bins k − 1, k, k + 1. Powers are
summed over the logits, and a picture's spectrum is normalized to p_k = P_k / Σ_j P_j, so that all
pictures count alike and the scale of the logits does not count.

It differs from Zhang, Xiong and Wu, "Rethink the Connections among Generalization, Memorization,
and the Spectral Bias of DNNs" (IJCAI 2021, https://www.ijcai.org/proceedings/2021/467; code
https://github.com/ZhangXiao96/RethinkSpectralBias), who average the magnitudes |DFT(z)_k|, DC
included, of a segment of length 1 without a window. Without one the jump from the segment's end to
its start, which any slope makes, appears as power ∝ 1/k² at every frequency. Windowed, a
continuous, piecewise linear z has only what its own kinks give.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnoise import train_step as ts
from jaxnoise.training import eval_step as es
from jaxnoise.training.evaluation import Pictures

POINTS = 64
# A segment's ends differ from its middle by an eighth of the pixels' range, in root mean square.
LENGTH_PER_ROOT_PIXEL = 0.25
# By default, frequencies of this many cycles per line and more are high: it is the first bin that a
# Hann window keeps apart from the trend.
CUTOFF = 3
# Where a line leads: anywhere, to a picture of the same (true) class, to one of another.
DIRECTIONS = ("random", "same_class", "other_class")


class Lines(NamedTuple):
    """Which pictures to lay lines through, and towards which others."""

    index: jax.Array  # int32 (lines,), of x
    same_class: jax.Array  # int32 (lines,), of a picture of the same true class
    other_class: jax.Array  # int32 (lines,), of one of another


def length(image_shape: tuple[int, ...]) -> float:
    """L for pictures of (height, width, channels): 7 for 28×28×1, 13.9 for 32×32×3."""
    return LENGTH_PER_ROOT_PIXEL * float(np.sqrt(np.prod(image_shape)))


def distances(length: float, points: int) -> np.ndarray:
    """h, float32 (points,): the middles of equal cells of [−L/2, L/2]."""
    return ((np.arange(points) + 0.5) / points - 0.5).astype(np.float32) * np.float32(length)


def frequencies(length: float, points: int) -> np.ndarray:
    """Cycles per unit distance of P_0, …, P_{N/2}, float64; the trend P_0 counts as 0."""
    return np.arange(points // 2 + 1) / length


def power_spectrum(values: jax.Array) -> jax.Array:
    """P of every function, see the module's docstring.

    Args:
      values: float32 (..., points), points even, at `distances` along a line of any length.

    Returns:
      float32 (..., points/2 + 1), ≥ 0, in squared units of `values`.
    """
    points = values.shape[-1]
    h = distances(1.0, points)[None]
    weights = np.cos(np.pi * h) ** 4
    weights /= weights.sum()
    rows = values.reshape(-1, points)
    # 1 and h are orthogonal under the weights, since both are symmetric.
    rows = rows - (rows * weights).sum(axis=1, keepdims=True)
    slope = (rows * weights * h).sum(axis=1, keepdims=True) / (weights * h**2).sum()
    windowed = (rows - slope * h) * np.sqrt(weights / points)
    # Not jnp.fft: on a CPU, two programs that run at once wait for each other's threads in it.
    # The phases are reduced in integers, so that they are as exact as float32 can hold them.
    phase = np.outer(np.arange(points), np.arange(points // 2 + 1)) % points / points
    waves = np.concatenate([np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)], axis=1)
    parts = jnp.matmul(windowed, waves.astype(np.float32), precision=lax.Precision.HIGHEST)
    power = jnp.square(parts).reshape(len(rows), 2, -1).sum(axis=1)
    power = power.at[:, 1:-1].multiply(2).at[:, :1].add(slope**2 * (weights * h**2).sum())
    return power.reshape(*values.shape[:-1], -1)


def line_spectra(
    state: ts.TrainState,
    lines: Lines,
    pictures: Pictures,
    key: jax.Array,
    *,
    program: ts.Program,
    points: int = POINTS,
) -> jax.Array:
    """Power spectra in evaluation mode and float32, summed over the logits.

    Args:
      key: typed; it and a picture's index alone determine the picture's random direction.

    Returns:
      float32 (lines, len(DIRECTIONS), points/2 + 1), logits².
    """
    measured = program.measuring()
    unit = 255 * pictures.scale  # of a pixel's range [0, 1], in what the net sees
    h = distances(length(pictures.images.shape[1:]), points)

    def of_line(line):
        x, *others = (
            pictures.preprocess(pictures.images[i][None])[0]
            for i in (line.index, line.same_class, line.other_class)
        )
        random = jax.random.normal(jax.random.fold_in(key, line.index), x.shape, jnp.float32)
        along = jnp.stack([random, *(other - x for other in others)])
        norms = jnp.sqrt(jnp.square(along).sum(axis=(1, 2, 3), keepdims=True))
        along = along / jnp.maximum(norms, 1e-12)  # no direction between equal pictures
        steps = unit * jnp.asarray(h).reshape(1, -1, 1, 1, 1)
        images = x[None, None] + steps * along[:, None]
        logits = es.logits_step(state, images.reshape(-1, *x.shape), program=measured)
        logits = logits.reshape(len(DIRECTIONS), points, -1)
        return power_spectrum(logits.swapaxes(1, 2)).sum(axis=1)

    return lax.map(of_line, lines)
