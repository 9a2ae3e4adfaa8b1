"""What jaxnoise's benchmarks train: the library's own epoch of M members, on random pictures."""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, not installed

from jaxnoise import loop, nets, optim  # noqa: E402
from jaxnoise.train_step import Coefficients, Program  # noqa: E402

SHAPES = {"lenet": (28, 28, 1), "allcnn": (32, 32, 3)}
BATCH = 32


class Workload:
    """An epoch to be repeated: `run()` trains all members once over the samples and waits."""

    def __init__(self, net: str, members: int, samples: int, jacob_mode: str | None = None):
        rng = np.random.default_rng(0)
        shape, classes = SHAPES[net], 10
        labels = jnp.asarray(rng.integers(0, classes, samples, dtype=np.int32))
        self.pictures = loop.Pictures(
            images=jnp.asarray(rng.integers(0, 256, (samples, *shape), dtype=np.uint8)),
            labels=labels,
            split=jnp.zeros(samples, jnp.int32),
            mean=jnp.zeros(shape, jnp.float32),
            scale=jnp.float32(1 / 255),
        )
        self.seed_steps = members * -(-samples // BATCH)
        schedule = optim.learning_rate_schedule(
            net, learning_rate=None, decay_epochs=None, steps_per_epoch=-(-samples // BATCH)
        )
        program = Program(nets.NETS[net](classes, False), net, schedule, jacob_mode or "projection")
        coefficients = Coefficients(*map(np.float32, (1e-4, 1e-3, 0.0)))
        self.members = loop.stack_members(
            [loop.Member(loop.member_key(0, i), labels, coefficients) for i in range(members)]
        )
        self.state = loop.Trainer(program, BATCH).start(self.members, shape).state
        epoch = functools.partial(
            loop.train_epoch,
            program=program,
            batch_size=BATCH,
            with_jacobian=jacob_mode is not None,
        )
        self.epoch = jax.jit(jax.vmap(epoch, (0, 0, None, None)))

    def run(self) -> None:
        state, _ = self.epoch(self.state, self.members, self.pictures, jnp.int32(0))
        jax.block_until_ready(state)
