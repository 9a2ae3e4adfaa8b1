"""Losses that are robust to label noise, per example, and one of them with its hyper-parameters.

Symbols: z logits, p = softmax(z), y label, K classes, e_y the one-hot vector of y. A loss of your
own is a function here, of `logits`, `labels` and its hyper-parameters, and a line in the table
`LOSSES` of `method_config`, which names it for --loss.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxnoise.losses import cross_entropy
from jaxnoise.losses import cross_entropy as ce
from jaxnoise.methods.bi_tempered import bi_tempered
from jaxnoise.methods.corrected_losses import forward, label_smoothing


def mae(*, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean absolute error, ‖e_y − p‖₁ = 2 (1 − p_y).

    Symmetric: its sum over all K labels is 2 (K − 1), whatever p is, which makes its minimizer
    tolerant to uniform noise. Source: Ghosh, Kumar and Sastry, "Robust Loss Functions under Label
    Noise for Deep Neural Networks" (AAAI 2017, https://arxiv.org/abs/1712.09482).

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K).

    Returns:
      float (batch,), in [0, 2].
    """
    return -2 * jnp.expm1(-cross_entropy(logits=logits, labels=labels))


def gce(*, logits: jax.Array, labels: jax.Array, q: float) -> jax.Array:
    """Generalized cross-entropy, (1 − p_y^q) / q.

    Tends to cross-entropy as q → 0, and is `mae` / 2 at q = 1. Source: Zhang and Sabuncu,
    "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels" (NeurIPS
    2018, https://arxiv.org/abs/1805.07836), without its truncation.

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K).
      q: in (0, 1].

    Returns:
      float (batch,), in [0, 1/q].
    """
    # Through the logarithm: the gradient of p^q itself is infinite where p underflows.
    return -jnp.expm1(-q * cross_entropy(logits=logits, labels=labels)) / q


def sce(
    *, logits: jax.Array, labels: jax.Array, alpha: float, beta: float, log_zero: float
) -> jax.Array:
    """Symmetric cross-entropy, α · CE + β · RCE.

    RCE = −Σ_k p_k log e_y,k is cross-entropy reversed, with log 0 := A, so RCE = −A (1 − p_y): a
    multiple of `mae`. Source: Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy
    Labels" (ICCV 2019, https://arxiv.org/abs/1908.06112); its A is −4, that of its published code
    log 1e-4 = −9.21.

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K).
      alpha: α ≥ 0.
      beta: β ≥ 0.
      log_zero: A < 0, nats.

    Returns:
      float (batch,), ≥ 0, nats.
    """
    forwards = cross_entropy(logits=logits, labels=labels)
    return alpha * forwards + beta * _reverse_cross_entropy(forwards, log_zero)


def nce_rce(
    *, logits: jax.Array, labels: jax.Array, alpha: float, beta: float, log_zero: float
) -> jax.Array:
    """Active passive loss of normalized and reverse cross-entropy, α · NCE + β · RCE.

    NCE = log p_y / Σ_k log p_k is cross-entropy over its sum for all labels; RCE as in `sce`. Both
    are symmetric: summed over the K labels they are 1 and −A (K − 1), whatever p is. Source: Ma et
    al., "Normalized Loss Functions for Deep Learning with Noisy Labels" (ICML 2020,
    https://arxiv.org/abs/2006.13554).

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K).
      alpha: α ≥ 0.
      beta: β ≥ 0.
      log_zero: A < 0, nats.

    Returns:
      float (batch,), in [0, α − A β].
    """
    active = cross_entropy(logits=logits, labels=labels)
    normalized = -active / jax.nn.log_softmax(logits).sum(axis=1)
    return alpha * normalized + beta * _reverse_cross_entropy(active, log_zero)


def _reverse_cross_entropy(cross_entropies: jax.Array, log_zero: float) -> jax.Array:
    return log_zero * jnp.expm1(-cross_entropies)


# The losses that the table names; some are defined elsewhere.
__all__ = [
    "Loss",
    "bi_tempered",
    "ce",
    "forward",
    "gce",
    "label_smoothing",
    "mae",
    "nce_rce",
    "sce",
]


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss with its hyper-parameters; equal settings are equal, so that jit can key on it."""

    name: str  # of `method_config.LOSSES`, and of a function in this module
    hyper: tuple[tuple[str, float], ...] = ()  # argument and value

    def __call__(
        self, *, logits: jax.Array, labels: jax.Array, transition_matrix: jax.Array | None = None
    ) -> jax.Array:
        """float (batch,); the matrix goes to the loss only where there is one."""
        more = {} if transition_matrix is None else {"transition_matrix": transition_matrix}
        return globals()[self.name](logits=logits, labels=labels, **dict(self.hyper), **more)
