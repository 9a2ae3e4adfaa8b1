"""What runs and dry runs took of this machine's time and memory, kept in `estimates` of the cache.

An estimate is found again only by all that the time and memory of its program depend on: its
settings, code and surroundings, the sizes of its data, the number of repeats, and the machine.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.labels.noisy_dataset import SplitDataset
from jaxnoise.runs import files
from jaxnoise.terminal.time_left import EpochSeconds, TimeLeft
from jaxnoise.training import assembly, loop, program_cache, surroundings
from jaxnoise.training.assembly import Engine


class Estimate(NamedTuple):
    """The estimate for one program."""

    at_once: int  # members that train side by side
    compile_seconds: float
    epoch_seconds: EpochSeconds  # of `at_once` members
    bytes: int  # of device memory, or on a CPU of the process
    measured: str  # on which day, as in 2026-11-26

    def seconds(self, configs: Sequence[Config]) -> float:
        """The time to train all these runs, without the final measurements and figures."""
        config, members = configs[0], sum(config.total_repeats for config in configs)
        known = self.of_epochs(members)
        left = TimeLeft(config.epochs_num, 0, assembly.jacob_start(config), known)
        return self.compile_seconds + left.seconds[0]

    def of_epochs(self, members: int) -> EpochSeconds:
        """The time that an epoch of so many members takes."""
        return self.epoch_seconds.scaled(members / self.at_once)


def today() -> str:
    return time.strftime("%Y-%m-%d")


def learn(
    configs: Sequence[Config],
    splits: SplitDataset,
    engine: Engine,
    members: list[loop.Member],
    took: TimeLeft,
) -> None:
    """Keeps what training these runs together took, if all their kinds of epochs were measured.

    Args:
      members: of the runs.
      took: the time of all members together.
    """
    if all(
        took.measured[with_jacobian] is not None for with_jacobian in assembly.stages(configs[0])
    ):
        at_once = min(engine.trainer.at_once(members, engine.pictures), len(members))
        epochs = took.measured.scaled(at_once / len(members))
        memory = engine.trainer.memory(members, engine.pictures)
        write(Estimate(at_once, took.compiling, epochs, memory, today()), configs, splits)


def read(configs: Sequence[Config], splits: SplitDataset) -> Estimate | None:
    """The estimate that `write` kept for these runs of one program; None if there is none."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # none, or damaged
        found = files.read_json(_path(configs, splits))
        epochs = EpochSeconds(*(each and float(each) for each in found["epoch_seconds"]))
        at_once, compiling = int(found["at_once"]), float(found["compile_seconds"])
        needed = [epochs[with_jacobian] for with_jacobian in assembly.stages(configs[0])]
        if at_once >= 1 and all(seconds >= 0 for seconds in (compiling, *needed)):
            return Estimate(at_once, compiling, epochs, int(found["bytes"]), str(found["measured"]))
    return None


def write(estimate: Estimate, configs: Sequence[Config], splits: SplitDataset) -> None:
    """Keeps an estimate; where that is not possible, the next dry run measures again."""
    path = _path(configs, splits)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, json.dumps(estimate._asdict(), indent=2) + "\n")


def _path(configs: Sequence[Config], splits: SplitDataset) -> Path:
    config = configs[0]
    parts = (
        assembly.program_key(config),
        sum(config.total_repeats for config in configs),
        config.members_at_once,
        splits.images.shape,
        np.bincount(splits.split).tolist(),
        surroundings.of_run(config),
        program_cache.machine(),
        [str(device.device_kind) for device in jax.devices()],
    )
    name = hashlib.sha256(repr(parts).encode()).hexdigest()
    return data.cache_folder(config.cache_dir) / "estimates" / f"{name}.json"
