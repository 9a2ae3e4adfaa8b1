"""Learning rates as functions of the epoch, made of optax's schedules.

Epochs are counted from 0, in integers: optax counts in float32, and a boundary that is counted in
steps can then come a step late (steps · (1 / steps) may round to less than 1).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The learning rate of every epoch, for --schedule and its flags."""

    name: str  # "step", "milestones", "cosine", "cosine_restarts" or "constant"
    learning_rate: float  # of epoch 0, > 0
    epochs: int  # of the whole run
    decay_epochs: int = 0  # for `step`: epochs between decays; for `cosine_restarts`: a cycle's
    milestones: tuple[int, ...] = ()  # for `milestones`: the epochs that begin with a decay
    gamma: float = 0.1  # the factor of a decay
    minimum: float = 0.0  # of the cosines
    warmup_epochs: int = 0

    def of_epoch(self, epoch: jax.Array) -> jax.Array:
        """The learning rate in an epoch, int32 () from 0, without warm-up: float32 ().

        With rate η, minimum m, gamma γ and epoch t:

        * step: η γ^⌊t / decay_epochs⌋;
        * milestones: η γ^(number of milestones ≤ t);
        * cosine: m + (η − m) (1 + cos(π t / epochs)) / 2;
        * cosine_restarts: the same with t mod decay_epochs and decay_epochs in place of t and
          epochs (Loshchilov and Hutter, "SGDR", ICLR 2017, https://arxiv.org/abs/1608.03983);
        * constant: η.

        The values are those of torch.optim's StepLR, MultiStepLR, CosineAnnealingLR and
        CosineAnnealingWarmRestarts, stepped once an epoch.
        """
        rate = np.float32(self.learning_rate)
        if self.name == "step":
            decays = (epoch // self.decay_epochs).astype(jnp.float32)
            return rate * jnp.power(jnp.float32(self.gamma), decays)
        if self.name == "milestones":
            factors = dict.fromkeys(self.milestones, self.gamma)
            return optax.piecewise_constant_schedule(rate, factors)(epoch.astype(jnp.float32))
        if self.name == "constant":
            return jnp.full((), rate)
        period = self.decay_epochs if self.name == "cosine_restarts" else self.epochs
        share = np.float32(self.minimum / self.learning_rate)
        count = (epoch % period).astype(jnp.float32)
        return optax.cosine_decay_schedule(rate, period, alpha=share)(count)

    def of_step(self, steps_per_epoch: int) -> optax.Schedule:
        """A function from the step, from 0, to the learning rate.

        During the first `warmup_epochs` the rate of the epoch is multiplied by (step + 1) / (steps
        of these epochs). Source: Goyal et al., "Accurate, Large Minibatch SGD" (2017,
        https://arxiv.org/abs/1706.02677), section 2.2.
        """

        def schedule(step: jax.Array | int) -> jax.Array:
            step = jnp.asarray(step, jnp.int32)
            rate = self.of_epoch(step // steps_per_epoch)
            if not self.warmup_epochs:
                return rate
            done = (step + 1).astype(jnp.float32) / (self.warmup_epochs * steps_per_epoch)
            return rate * jnp.minimum(done, 1.0)

        return schedule
