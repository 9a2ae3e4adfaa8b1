"""Losses that are robust to label noise, per example, and `Loss`, one with its hyper-parameters.

Symbols: z logits, p = softmax(z), y label, K classes, e_y the one-hot vector of y. To add a loss,
define a function of `logits`, `labels` and its hyper-parameters here, and add a line to the table
`LOSSES` of `config/methods.py`, which names it for --loss.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnoise.config import InputError
from jaxnoise.losses import cross_entropy
from jaxnoise.losses import cross_entropy as ce
from jaxnoise.methods.bi_tempered import bi_tempered
from jaxnoise.methods.corrected_losses import forward, label_smoothing


def mae(*, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean absolute error, ‖e_y − p‖₁ = 2 (1 − p_y).

    It is symmetric: its sum over all K labels is 2 (K − 1) for any p, which makes its minimizer
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

    It tends to cross-entropy as q → 0, and is `mae` / 2 at q = 1. Source: Zhang and Sabuncu,
    "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels" (NeurIPS
    2018, https://arxiv.org/abs/1805.07836), without its truncation.

    Args:
      logits: float (batch, K).
      labels: int (batch,), in [0, K).
      q: in (0, 1].

    Returns:
      float (batch,), in [0, 1/q].
    """
    # Computed from the logarithm, because the gradient of p^q is infinite where p underflows.
    return -jnp.expm1(-q * cross_entropy(logits=logits, labels=labels)) / q


def sce(
    *, logits: jax.Array, labels: jax.Array, alpha: float, beta: float, log_zero: float
) -> jax.Array:
    """Symmetric cross-entropy, α · CE + β · RCE.

    RCE = −Σ_k p_k log e_y,k is reverse cross-entropy, with log 0 := A, so RCE = −A (1 − p_y), a
    multiple of `mae`. Source: Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy
    Labels" (ICCV 2019, https://arxiv.org/abs/1908.06112); A is −4 in the paper and log 1e-4 = −9.21
    in its published code.

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

    NCE = log p_y / Σ_k log p_k is cross-entropy divided by its sum over all labels; RCE is as in
    `sce`. Both are symmetric: their sums over the K labels are 1 and −A (K − 1) for any p. Source:
    Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels" (ICML 2020,
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


# The losses that the table names, some of which are defined in other modules.
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
    """A loss with its hyper-parameters; hashable by value, so that jit can key on it."""

    name: str  # in `config.LOSSES`, and of a function in this module
    hyper: tuple[tuple[str, float], ...] = ()  # pairs of argument and value
    own: Callable[..., jax.Array] | None = None  # a function of --user_code, to use instead

    def __call__(
        self, *, logits: jax.Array, labels: jax.Array, transition_matrix: jax.Array | None = None
    ) -> jax.Array:
        """The loss, float (batch,); the matrix is passed to the function only if it is given."""
        more = {} if transition_matrix is None else {"transition_matrix": transition_matrix}
        function = self.own or globals()[self.name]
        loss = function(logits=logits, labels=labels, **dict(self.hyper), **more)
        if self.own and (loss.shape != labels.shape or loss.dtype != logits.dtype):
            raise InputError(
                f"--loss={self.name}: returns {loss.dtype}{list(loss.shape)}; allowed is a loss "
                f"for each sample, {logits.dtype}{list(labels.shape)}"
            )
        return loss
