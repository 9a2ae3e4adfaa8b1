"""Losses that are robust to label noise, per example, and the table of them by name.

Symbols: z logits, p = softmax(z), y label, K classes, e_y the one-hot vector of y. A loss of your
own is a function of `logits`, `labels` and its hyper-parameters, and a line in `LOSSES`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoise.bi_tempered import bi_tempered
from jaxnoise.config import InputError
from jaxnoise.corrected_losses import forward, label_smoothing
from jaxnoise.losses import cross_entropy


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


class Hyper(NamedTuple):
    """A hyper-parameter: what it may be, and what it is by default."""

    allowed: str  # an interval, in words
    fits: Callable[[float], bool]
    default: float
    mnist: float | None = None  # the default on grey digits and clothes, where it differs
    cifar100: float | None = None  # the same on CIFAR-100 and its relatives

    def by_default(self, dataset: str) -> float:
        """The default on a data set, by the name that --dataset takes."""
        if "mnist" in dataset or dataset == "digits":
            like = self.mnist
        else:
            like = self.cifar100 if dataset.startswith("cifar100") else None
        return self.default if like is None else like


class Entry(NamedTuple):
    """A loss, and its hyper-parameters by argument; their flags are --{prefix}_{argument}."""

    function: Callable[..., jax.Array]
    prefix: str = ""
    hyper: Mapping[str, Hyper] = {}
    needs_matrix: bool = False  # whether the function takes a transition_matrix too


def _weight(default: float, **by_dataset: float) -> Hyper:
    return Hyper("[0, inf)", lambda weight: 0 <= weight < math.inf, default, **by_dataset)


def _log_zero(default: float) -> Hyper:
    return Hyper("(-inf, 0)", lambda log_zero: -math.inf < log_zero < 0, default)


# Defaults are the papers'; of nce_rce those of the configurations its authors published. The paper
# on bi_tempered has no CIFAR-10: it takes CIFAR-100's.
LOSSES: dict[str, Entry] = {
    "cross_entropy": Entry(cross_entropy),
    "mae": Entry(mae),
    "gce": Entry(gce, "gce", {"q": Hyper("(0, 1]", lambda q: 0 < q <= 1, 0.7)}),
    "sce": Entry(
        sce,
        "sce",
        {
            "alpha": _weight(0.1, mnist=0.01, cifar100=6.0),
            "beta": _weight(1.0, cifar100=0.1),
            "log_zero": _log_zero(-4.0),
        },
    ),
    "nce_rce": Entry(
        nce_rce,
        "nce_rce",
        {
            "alpha": _weight(1.0, cifar100=10.0),
            "beta": _weight(1.0, mnist=10.0, cifar100=0.1),
            "log_zero": _log_zero(math.log(1e-4)),
        },
    ),
    "bi_tempered": Entry(
        bi_tempered,
        "bt",
        {
            "t1": Hyper("[0, 1]", lambda t1: 0 <= t1 <= 1, 0.8, mnist=0.5),
            "t2": Hyper("[1, inf)", lambda t2: 1 <= t2 < math.inf, 1.2, mnist=4.0),
        },
    ),
    "label_smoothing": Entry(
        label_smoothing, "ls", {"smoothing": Hyper("[0, 1)", lambda s: 0 <= s < 1, 0.1)}
    ),
    "forward": Entry(forward, needs_matrix=True),
}


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss with its hyper-parameters; equal settings are equal, so that jit can key on it."""

    name: str  # of `LOSSES`
    hyper: tuple[tuple[str, float], ...] = ()  # argument and value

    @property
    def needs_matrix(self) -> bool:
        return LOSSES[self.name].needs_matrix

    def __call__(
        self, *, logits: jax.Array, labels: jax.Array, transition_matrix: jax.Array | None = None
    ) -> jax.Array:
        """float (batch,); `transition_matrix` is for losses that need one, others ignore it."""
        more = {"transition_matrix": transition_matrix} if self.needs_matrix else {}
        return LOSSES[self.name].function(logits=logits, labels=labels, **dict(self.hyper), **more)


def build(name: str, dataset: str, given: Mapping[str, float | None]) -> Loss:
    """The loss of --loss with its hyper-parameters: those given, else the data set's defaults.

    Args:
      name: a key of `LOSSES`.
      dataset: as --dataset; what is not like MNIST or CIFAR-100 has CIFAR-10's defaults.
      given: values by flag, without dashes; None is not given.

    Raises:
      InputError: the name is unknown, a value is out of range, or belongs to another loss.
    """
    if name not in LOSSES:
        raise InputError(f"--loss={name}: allowed are {', '.join(LOSSES)}")
    given = {flag: value for flag, value in given.items() if value is not None}
    values = []
    for argument, hyper in LOSSES[name].hyper.items():
        flag = f"{LOSSES[name].prefix}_{argument}"
        value = float(given.pop(flag, hyper.by_default(dataset)))
        if not hyper.fits(value):
            raise InputError(f"--{flag}={value:g}: allowed is {hyper.allowed}")
        values.append((argument, value))
    for flag, value in given.items():
        raise InputError(
            f"--{flag}={value:g} with --loss={name}: allowed is none, this loss does not use it"
        )
    return Loss(name, tuple(values))
