"""The optimizer of each net: learning-rate schedule and one optax chain."""

import jax
import optax


def learning_rate_schedule(
    network: str, *, learning_rate: float | None, decay_epochs: int | None, steps_per_epoch: int
) -> optax.Schedule:
    """Step decay, lr · 0.1^⌊epoch / decay_epochs⌋, by default LeNet 0.01 / 15, AllCNN 0.001 / 10.

    Args:
      network: `lenet` or `allcnn`; gives the values that are None.
      learning_rate: initial rate, > 0.
      decay_epochs: epochs between decays, ≥ 1.
      steps_per_epoch: optimizer steps in one epoch.

    Returns:
      a function from the step index (from 0) to the rate.
    """
    default_rate, default_epochs = {"lenet": (0.01, 15), "allcnn": (0.001, 10)}[network]
    steps = (decay_epochs or default_epochs) * steps_per_epoch
    return optax.exponential_decay(
        learning_rate or default_rate,
        transition_steps=min(steps, 2**31 - 1),  # steps are counted in int32
        decay_rate=0.1,
        staircase=True,
    )


def decayed(params: optax.Params) -> optax.Params:
    """True for what weight decay acts on: kernels and batch norm's factors γ, no biases."""
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

    Coupled: weight_decay · w is added to the gradient before momentum or Adam see it, which makes
    it the gradient of weight_decay · ½Σw². Decoupled: lr · weight_decay · w is taken off the
    weights after them, which is the gradient of no loss (SGDW and AdamW: Loshchilov and Hutter,
    "Decoupled Weight Decay Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101).
    `weight_decay` may be traced, so that members can differ in it.
    """
    scaler = {"lenet": lambda: optax.trace(decay=0.9), "allcnn": optax.scale_by_adam}[network]
    parts = [optax.add_decayed_weights(weight_decay, mask=decayed), scaler()]
    if wd_mode == "decoupled":
        parts.reverse()
    return optax.chain(*parts, optax.scale_by_learning_rate(schedule))
