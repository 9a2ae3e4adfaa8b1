"""How fast a net learns each frequency, and how much of it remains under a regularizer.

A wide net is trained on a circle, where theory is exact, and drawn beside the closed form.
The target is a sum of small cosines,
y(θ) = A Σ_k cos kθ; the net f(θ) = √(2/m) Σ_j a_j relu(w_j·x) has m hidden units, standard normal
at the start, and x = (cos θ, sin θ, 1)/√2. Its neural tangent kernel at infinite width,

    Θ(u) = u κ₀(u) + κ₁(u),  u = (1 + cos Δθ)/2,
    κ₀(u) = 1 − arccos(u)/π,  κ₁(u) = u κ₀(u) + √(1 − u²)/π,

depends on Δθ alone, so cosines are its eigenfunctions; on N equal steps the eigenvalues are
λ_k = mean_n Θ(Δθ_n) cos kΔθ_n. Under gradient flow of ½ mean (f − y)² + regularizer, the amplitude
of each cosine evolves on its own as a_k(t) = g_k (1 − e^{−r_k t}) · A, with

    regularizer                      rate r_k             gain g_k = a_k(∞)/A
    none                             λ_k                  1
    Jacobian: ½μ mean s(θ)²          λ_k (1 + μ s_k²)     1 / (1 + μ s_k²)
    weight decay: ½ω ‖p − p(0)‖²     λ_k + ω              λ_k / (λ_k + ω)

with s the slope between neighbours on the circle, whose square at cos kθ is s_k² =
(2 sin(kΔ/2)/Δ)² ≈ k², Δ = 2π/N. So the Jacobian penalty is a low-pass filter of second order, and
weight decay one by the kernel's own spectrum. A Jacobian penalty by automatic differentiation, as
with --jacob_coef, acts differently: it treats a ReLU net as linear between its kinks, its gradient
does not see the kinks move, and the net escapes most of it. It is drawn too, without theory.

Sources: Jacot, Gabriel and Hongler, "Neural Tangent Kernel" (NeurIPS 2018,
https://arxiv.org/abs/1806.07572); Cho and Saul, "Kernel Methods for Deep Learning" (NeurIPS 2009);
Basri et al., "The Convergence Rate of Neural Networks for Learned Functions of Different
Frequencies" (NeurIPS 2019, https://arxiv.org/abs/1906.00425).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from matplotlib.figure import Figure

from jaxnoise.figures.colours import CIRCLE, Look
from jaxnoise.figures.drawing import decorate, legend_below
from jaxnoise.training import surroundings

FREQUENCIES = (1, 2, 3, 4, 5, 6, 8, 10)
POINTS, WIDTH, RATE, STEPS = 64, 4096, 0.5, 4000
# Of each cosine in the target: so small that the kernel stays as it is at the start.
AMPLITUDE = 0.05


class Regularizer(NamedTuple):
    """Coefficients of its terms; at most one is not 0 in what is drawn."""

    jacobian: float = 0.0  # μ
    wd: float = 0.0  # ω
    autodiff: float = 0.0  # μ, with f′ by automatic differentiation instead of s

    def rate(self, k: np.ndarray, points: int) -> np.ndarray:
        """r_k, per unit of gradient flow's time; `autodiff` has no closed form."""
        slope = np.sin(np.pi * k / points) * points / np.pi
        return eigenvalues(k, points) * (1 + self.jacobian * slope**2) + self.wd

    def amplitude(self, k: np.ndarray, points: int, time: float) -> np.ndarray:
        """a_k at a time, as a share of the target's amplitude, in [0, 1]."""
        rate = self.rate(k, points)
        return eigenvalues(k, points) / rate * -np.expm1(-rate * time)


def _look(name: str, coefficient: str) -> Look:
    look = CIRCLE[name]
    return look._replace(label=f"{look.label}, {coefficient}")


REGULARIZERS = {
    Regularizer(): CIRCLE["none"],
    Regularizer(jacobian=0.02): _look("jacobian", "μ = 0.02"),
    Regularizer(autodiff=0.02): _look("autodiff", "μ = 0.02"),
    Regularizer(wd=0.005): _look("wd", "ω = 0.005"),
}


def kernel(difference: np.ndarray) -> np.ndarray:
    """Θ at an angle Δθ in radians, of any shape."""
    u = np.clip((1 + np.cos(difference)) / 2, -1, 1)
    zeroth = 1 - np.arccos(u) / np.pi
    return 2 * u * zeroth + np.sqrt(1 - u**2) / np.pi


def eigenvalues(k: np.ndarray, points: int) -> np.ndarray:
    """λ_k of frequencies (frequencies,), on so many equal steps of the circle."""
    difference = 2 * np.pi * np.arange(points) / points
    return (kernel(difference) * np.cos(np.multiply.outer(k, difference))).mean(axis=-1)


@surroundings.pinned()
def train(
    regularizer: Regularizer,
    k: tuple[int, ...] = FREQUENCIES,
    *,
    points: int = POINTS,
    width: int = WIDTH,
    rate: float = RATE,
    steps: int = STEPS,
) -> np.ndarray:
    """Gradient descent from f = 0 (the initial f is subtracted).

    Returns:
      a_k as a share of the target's amplitude after every step, float32 (steps, frequencies); step
      i is at the time (i + 1) · rate.
    """
    angles = (2 * np.pi * np.arange(points) / points).astype(np.float32)
    waves = np.cos(np.multiply.outer(np.array(k), angles)).astype(np.float32)
    target = AMPLITUDE * waves.sum(axis=0)
    first, second = jax.random.split(surroundings.key(0))
    start = (
        jax.random.normal(first, (3, width), jnp.float32),
        jax.random.normal(second, (width,), jnp.float32),
    )

    def net(parameters, theta):
        weights, out = parameters
        x = jnp.stack([jnp.cos(theta), jnp.sin(theta), jnp.ones_like(theta)]) / np.sqrt(2)
        hidden = jax.nn.relu(jnp.matmul(x.T, weights, precision=lax.Precision.HIGHEST))
        return jnp.matmul(hidden, out, precision=lax.Precision.HIGHEST) * np.sqrt(2 / width)

    def function(parameters):
        """f, s and f′ at all angles."""
        of = functools.partial(net, parameters)
        value, derivative = jax.jvp(of, (jnp.asarray(angles),), (jnp.ones(points, jnp.float32),))
        return value, (jnp.roll(value, -1) - value) * (points / (2 * np.pi)), derivative

    def loss(parameters, before):
        value, slope, derivative = (
            now - then for now, then in zip(function(parameters), before, strict=True)
        )
        moved = sum(
            jnp.square(now - then).sum() for now, then in zip(parameters, start, strict=True)
        )
        terms = (
            jnp.square(value - target).mean()
            + regularizer.jacobian * jnp.square(slope).mean()
            + regularizer.autodiff * jnp.square(derivative).mean()
            + regularizer.wd * moved
        )
        return terms / 2, value

    @jax.jit
    def descend():
        before = function(start)

        def step(parameters, _):
            gradient = jax.grad(loss, has_aux=True)(parameters, before)[0]
            parameters = tuple(p - rate * g for p, g in zip(parameters, gradient, strict=True))
            value = net(parameters, jnp.asarray(angles)) - before[0]
            return parameters, jnp.matmul(waves, value, precision=lax.Precision.HIGHEST)

        return lax.scan(step, start, None, length=steps)[1] * (2 / points / AMPLITUDE)

    return np.asarray(descend())


def half_time(amplitudes: np.ndarray, rate: float) -> np.ndarray:
    """When each amplitude (steps, frequencies) first has half of its last value."""
    reached = np.abs(amplitudes) >= np.abs(amplitudes[-1]) / 2
    return rate * (1 + reached.argmax(axis=0))


def draw(measured: dict[Regularizer, np.ndarray]) -> Figure:
    """Time to half and gain of every frequency, measured (points) and in closed form (lines)."""
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    fine = np.arange(1, max(FREQUENCIES) + 1)
    for regularizer, amplitudes in measured.items():
        label, colour, _, marker = REGULARIZERS[regularizer]
        how = {"color": colour, "markersize": 5}
        left.plot(FREQUENCIES, half_time(amplitudes, RATE), marker, label=label, **how)
        right.plot(FREQUENCIES, amplitudes[-1], marker, **how)
        if not regularizer.autodiff:
            times = RATE * np.arange(1, STEPS + 1)
            theory = regularizer.amplitude(fine, POINTS, times[:, None])
            left.plot(fine, half_time(theory, RATE), color=colour, linewidth=1.2)
            right.plot(fine, theory[-1], color=colour, linewidth=1.2)
    left.set_yscale("log")
    left.set_ylabel("time to half of the final amplitude\n(step size × steps, log scale)")
    right.set_ylabel(f"amplitude learned at time {RATE * STEPS:g}\n(share of the target's)")
    right.set_ylim(0, 1.1)
    for axes in (left, right):
        axes.set_xlabel("frequency (cycles per turn)")
        decorate(axes)
    figure.suptitle("a wide net on a circle: measured (points), neural tangent kernel (lines)",
                    fontsize=10)  # fmt: skip
    legend_below(figure, left)
    return figure
