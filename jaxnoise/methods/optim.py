"""The optimizer of a member, as an optax chain."""

import dataclasses

import jax
import optax


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """The static part of an optimizer."""

    name: str  # "sgd" or "adam"
    schedule: optax.Schedule  # from the step, from 0, to the learning rate
    momentum: float = 0.9  # of sgd, in [0, 1)
    nesterov: bool = False  # for sgd
    decoupled: bool = False  # weight decay: SGDW and AdamW
    decays_all: bool = False  # weight decay acts on biases and shifts too
    clip_norm: float | None = None  # > 0, the largest norm of a gradient

    def decayed(self, params: optax.Params) -> optax.Params:
        """True for the parameters that weight decay acts on.

        These are kernels and batch norm's γ, or with `decays_all` all parameters.
        """
        return jax.tree_util.tree_map_with_path(
            lambda path, _: self.decays_all or path[-1].key in ("kernel", "scale"), params
        )

    def chain(self, weight_decay: jax.Array | float) -> optax.GradientTransformation:
        """Clipping, then weight decay and momentum or Adam, then the step by −learning rate.

        A gradient g with a norm over all parameters above `clip_norm` becomes clip_norm g / ‖g‖;
        weight decay does not count in g. Coupled weight decay adds weight_decay · w to the gradient
        before momentum or Adam, which is the gradient of weight_decay · ½Σw². Decoupled, it
        subtracts lr · weight_decay · w from the weights after momentum or Adam, which is not the
        gradient of any loss (SGDW and AdamW: Loshchilov and Hutter, "Decoupled Weight Decay
        Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101).

        Args:
          weight_decay: ≥ 0; it may be traced, so members can have different ones.
        """
        if self.name == "sgd":
            scaler = optax.trace(decay=self.momentum, nesterov=self.nesterov)
        else:
            scaler = optax.scale_by_adam()
        parts = [optax.add_decayed_weights(weight_decay, mask=self.decayed), scaler]
        if self.decoupled:
            parts.reverse()
        if self.clip_norm is not None:
            parts.insert(0, optax.clip_by_global_norm(self.clip_norm))
        return optax.chain(*parts, optax.scale_by_learning_rate(self.schedule))
