"""Training methods for noisy labels other than losses: mixup, ELR, SAM, early stopping, truncation.

A method is a frozen dataclass of hyper-parameters, a static part of a `Program`. Symbols are as in
`losses`.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


@dataclasses.dataclass(frozen=True)
class Mixup:
    """Trains on mixed pictures: x = λ x_b + (1 − λ) x_b', loss λ ℓ(y_b) + (1 − λ) ℓ(y_b').

    b' is a random permutation of the batch, and λ ~ Beta(alpha, alpha) is drawn once per batch.
    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (ICLR 2018,
    https://arxiv.org/abs/1710.09412).
    """

    alpha: float  # > 0; the larger it is, the closer λ tends to be to 1/2


@dataclasses.dataclass(frozen=True)
class ELR:
    """Early-learning regularization: keeps the net close to its earlier predictions.

    Source: Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy Labels"
    (NeurIPS 2020, https://arxiv.org/abs/2007.00151). See `elr_targets` and `elr_penalty`.
    """

    beta: float  # momentum of the targets, in [0, 1]
    weight: float  # λ of the penalty, ≥ 0


@dataclasses.dataclass(frozen=True)
class SAM:
    """Sharpness-aware minimization: steps by the gradient at w + rho g / ‖g‖, g the gradient at w.

    Source: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization"
    (ICLR 2021, https://arxiv.org/abs/2010.01412).
    """

    rho: float  # size of the perturbation, ≥ 0, in the norm over all parameters


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stops a member whose validation accuracy has not risen for `patience` epochs.

    The member returns to the state of its best epoch and stays there. Source: Prechelt, "Early
    Stopping – But When?" (1998, https://doi.org/10.1007/3-540-49430-8_3).
    """

    patience: int  # epochs, ≥ 1


@dataclasses.dataclass(frozen=True)
class Truncation:
    """Leaves out the samples whose label the best net so far finds unlikely, p_y ≤ k.

    They are chosen anew every `every` epochs, from `start_epoch` on; until then all are trained on.
    With --loss=gce this minimizes the truncated loss min(ℓ(p_y), ℓ(k)) by alternating between nets
    and samples: Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural
    Networks with Noisy Labels" (NeurIPS 2018, https://arxiv.org/abs/1805.07836), algorithm 1.
    """

    k: float  # in (0, 1)
    start_epoch: int  # index from 0
    every: int  # epochs, ≥ 1


class Pruning(NamedTuple):
    """What `Truncation` remembers of a member."""

    kept: jax.Array  # float32 (training samples,): 1 for those trained on, else 0
    best_loss: jax.Array  # float32 (training samples,), of the best net so far, nats


Method = Mixup | ELR | SAM | EarlyStopping | Truncation

METHODS: dict[str, type[Method]] = {
    "mixup": Mixup,
    "elr": ELR,
    "sam": SAM,
    "early_stopping": EarlyStopping,
    "truncation": Truncation,
}

# Keeps log(1 − ⟨t, p⟩) finite, as the authors' code does.
_ELR_MARGIN = 1e-4


def mixture(
    key: jax.Array, images: jax.Array, labels: jax.Array, *, alpha: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mixes the pictures of a batch, as defined in `Mixup`.

    Args:
      key: typed PRNG key.
      images: float (batch, height, width, channels).
      labels: int (batch,).

    Returns:
      the mixed pictures, the labels y_b' of the second pictures, and λ, float32 ().
    """
    order_key, share_key = jax.random.split(key)
    order = jax.random.permutation(order_key, images.shape[0])
    share = jax.random.beta(share_key, alpha, alpha, dtype=jnp.float32)
    return share * images + (1 - share) * images[order], labels[order], share


def elr_targets(targets: jax.Array, *, logits: jax.Array, beta: float) -> jax.Array:
    """Running average of the predictions, t ← β t + (1 − β) p; no gradient flows through it.

    p is clipped to [1e-4, 1 − 1e-4] and rescaled to sum to one.

    Args:
      targets: t, float32 (batch, K); 0 for a sample that has not been seen yet.
      logits: float (batch, K).
    """
    p = _clipped_softmax(jax.lax.stop_gradient(logits))
    return beta * targets + (1 - beta) * p / p.sum(axis=1, keepdims=True)


def elr_penalty(*, logits: jax.Array, targets: jax.Array) -> jax.Array:
    """log(1 − ⟨t, p⟩), float (batch,), ≤ 0; lower for a prediction nearer to its target."""
    p = _clipped_softmax(logits)
    return jnp.log1p(-jnp.sum(p * targets, axis=1))


def _clipped_softmax(logits: jax.Array) -> jax.Array:
    return jnp.clip(jax.nn.softmax(logits), _ELR_MARGIN, 1 - _ELR_MARGIN)


def pruned(pruning: Pruning, epoch: jax.Array, *, method: Truncation) -> Pruning:
    """The samples to train on in an epoch: those with −log p_y < −log k, if it is time to choose.

    Args:
      epoch: int32 (), index from 0.
    """
    since = epoch - method.start_epoch
    likely = pruning.best_loss < -math.log(method.k)
    now = (since >= 0) & (since % method.every == 0)
    return pruning._replace(kept=jnp.where(now, likely.astype(jnp.float32), pruning.kept))


def ascend(params: Any, gradient: Any, *, rho: float) -> Any:
    """w + rho g / ‖g‖, with the norm over all parameters; w itself where g = 0."""
    norm = optax.tree.norm(gradient)
    step = rho / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny)
    return jax.tree.map(lambda w, g: w + step * g, params, gradient)
