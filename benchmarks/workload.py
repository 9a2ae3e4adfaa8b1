"""The workload of jaxnoise's benchmarks: the library's own epochs of M members, random pictures."""

import statistics
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, not installed

from throughput import BATCH

from jaxnoise import nets
from jaxnoise.config import Config
from jaxnoise.layers.spectral_norm import SpectralNorm  # noqa: E402
from jaxnoise.methods.robust_losses import Loss  # noqa: E402
from jaxnoise.methods.robust_training import Method  # noqa: E402
from jaxnoise.train_step import Coefficients, Program  # noqa: E402
from jaxnoise.training import assembly, loop  # noqa: E402
from jaxnoise.training.evaluation import Samples  # noqa: E402
from jaxnoise.training.trainer import Trainer  # noqa: E402

SHAPES = {"lenet": (28, 28, 1), "allcnn": (32, 32, 3), "resnet18": (32, 32, 3)}

# The PyTorch side only trains, so the evaluation at the end of an epoch is left out here too.
loop.evaluate = lambda state, pictures, labels, *_, **__: (
    {"valid_accuracy": jnp.float32(0)},
    Samples(jnp.zeros(labels.shape, jnp.float32), labels),
)


class Workload:
    """Members in the library's `Trainer`, compiled on construction by one epoch of training."""

    def __init__(
        self,
        net: str,
        members: int,
        steps: int,
        *,
        classes: int = 10,
        jacob_mode: str | None = None,
        precision: str = "float32",
        spectral: SpectralNorm | None = None,
        loss: Loss = Loss("ce"),  # noqa: B008 frozen
        transition_matrix: np.ndarray | None = None,
        method: Method | None = None,
        members_at_once: int = 0,
    ):
        """An epoch has `steps` optimizer steps; `jacob_mode` None means no Jacobian penalty."""
        samples = steps * BATCH[net]
        rng = np.random.default_rng(0)
        shape = SHAPES[net]
        labels = rng.integers(0, classes, samples, dtype=np.int32)
        self._pictures = loop.Pictures(
            images=jnp.asarray(rng.integers(0, 256, (samples, *shape), dtype=np.uint8)),
            labels=jnp.asarray(labels),
            split=jnp.zeros(samples, jnp.int32),
            mean=jnp.zeros(shape, jnp.float32),
            scale=jnp.float32(1 / 255),
        )
        program = Program(
            nets.NETS[net](classes, spectral, nets.DTYPES[precision]),
            assembly.optimizer(Config(net=net), steps_per_epoch=steps),
            jacob_mode or "projection",
            precision,
            loss=loss,
            method=method,
            renew_averages=False,  # for evaluation alone, and a large part of so short an epoch
        )
        coefficients = Coefficients(*map(np.float32, (1e-4, 1e-3, 0.0)))
        self._members = [
            loop.Member(loop.member_key(0, i), labels, labels[:0], coefficients, transition_matrix)
            for i in range(members)
        ]
        self._trainer = Trainer(program, BATCH[net], members_at_once=members_at_once)
        self._steps, self._jacob = steps, jacob_mode is not None
        self.compile_seconds = 1 / self.rate(epochs=1) * members * steps

    @property
    def memory(self) -> int:
        """Bytes that training takes on a device, by the compiler's own account."""
        return self._trainer.memory(self._members, self._pictures)

    def rate(self, epochs: int) -> float:
        """Trains for `epochs` epochs; returns seed-steps per second, from start to end."""
        started = time.perf_counter()
        for _ in self._trainer.epochs(
            self._members,
            self._pictures,
            epochs=epochs,
            jacob_start_epoch=0 if self._jacob else epochs,
        ):
            pass
        return epochs * len(self._members) * self._steps / (time.perf_counter() - started)


def in_turn(
    workloads: dict[str, Workload], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Times all workloads in every round.

    Returns:
      ms per seed-step, and the same as multiples of the first workload's time in the same round,
      so that a drift of the whole machine cancels.
    """
    times = {name: [] for name in workloads}
    for _ in range(rounds):
        for name, workload in workloads.items():
            times[name].append(1e3 / workload.rate(epochs=1))
    first = next(iter(times.values()))
    return times, {
        name: [ms / plain for ms, plain in zip(row, first, strict=True)]
        for name, row in times.items()
    }


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, minimum and maximum."""
    return statistics.median(values), min(values), max(values)
