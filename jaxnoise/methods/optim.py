"""The optimizer of each network: a learning-rate schedule and an optax chain."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class Recipe(NamedTuple):
    """How a network is trained by default."""

    learning_rate: float
    decay_epochs: int  # between divisions of the learning rate by ten
    scaler: Callable[[], optax.GradientTransformation]


RECIPES: dict[str, Recipe] = {
    "lenet": Recipe(0.01, 15, lambda: optax.trace(decay=0.9)),
    "allcnn": Recipe(0.001, 10, optax.scale_by_adam),
}


def learning_rate_schedule(
    network: str, *, learning_rate: float | None, decay_epochs: int | None, steps_per_epoch: int
) -> optax.Schedule:
    """Step decay of the learning rate, lr · 0.1^⌊epoch / decay_epochs⌋.

    Args:
      network: a name in `RECIPES`, whose values replace those that are None.
      learning_rate: initial learning rate lr, > 0.
      decay_epochs: epochs between decays, ≥ 1.
      steps_per_epoch: optimizer steps in one epoch.

    Returns:
      a function from the step index (from 0) to the learning rate.
    """
    recipe = RECIPES[network]
    rate = np.float32(learning_rate or recipe.learning_rate)
    steps = (decay_epochs or recipe.decay_epochs) * steps_per_epoch
    steps = min(steps, 2**31 - 1)  # steps are counted in int32

    def schedule(step: jax.Array | int) -> jax.Array:
        # Not optax.exponential_decay, which divides in float32: compiled, it is a step late where
        # steps · (1 / steps) rounds to less than 1, as for the 25,320 of Fashion-MNIST.
        decays = jnp.asarray(step, jnp.int32) // steps
        return rate * jnp.power(jnp.float32(0.1), decays.astype(jnp.float32))

    return schedule


def decayed(params: optax.Params) -> optax.Params:
    """True for the parameters that weight decay acts on: kernels and batch norm's γ, not biases."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key in ("kernel", "scale"), params
    )


def optimizer(
    network: str,
    schedule: optax.Schedule,
    *,
    weight_decay: jax.Array | float,
    wd_mode: str = "coupled",
) -> optax.GradientTransformation:
    """SGD with momentum 0.9 for LeNet, Adam for AllCNN, with weight decay.

    Weight decay acts on the parameters w that are `decayed`. Coupled, it adds weight_decay · w to
    the gradient before momentum or Adam; this is the gradient of weight_decay · ½Σw². Decoupled, it
    subtracts lr · weight_decay · w from the weights after momentum or Adam, which is not the
    gradient of any loss (SGDW and AdamW: Loshchilov and Hutter, "Decoupled Weight Decay
    Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101). `weight_decay` may be traced, so
    members can have different ones.
    """
    scaler = RECIPES[network].scaler()
    parts = [optax.add_decayed_weights(weight_decay, mask=decayed), scaler]
    if wd_mode == "decoupled":
        parts.reverse()
    return optax.chain(*parts, optax.scale_by_learning_rate(schedule))
