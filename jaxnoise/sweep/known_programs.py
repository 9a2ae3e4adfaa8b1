"""What dry runs have measured of programs on this machine, kept in `estimates` of the cache.

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
from jaxnoise.training import assembly, program_cache, surroundings


class Estimate(NamedTuple):
    """The estimate for one program."""

    at_once: int  # members that train side by side
    compile_seconds: float
    epoch_seconds: tuple[float, float]  # of `at_once` members: without and with the Jacobian term
    bytes: int  # of device memory, or on a CPU of the process
    measured: str  # on which day, as in 2026-11-26

    def seconds(self, configs: Sequence[Config]) -> float:
        """The time to train all these runs, without the final measurements and figures."""
        config, members = configs[0], sum(config.total_repeats for config in configs)
        plain, jacobian = self.epoch_seconds
        off = config.jacob_start_epoch if config.jacob_coef > 0 else config.epochs_num
        rounds = members / self.at_once
        epochs = off * plain + (config.epochs_num - off) * jacobian
        return self.compile_seconds + rounds * epochs


def today() -> str:
    return time.strftime("%Y-%m-%d")


def read(configs: Sequence[Config], splits: SplitDataset) -> Estimate | None:
    """The estimate that `write` kept for these runs of one program; None if there is none."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # none, or damaged
        found = files.read_json(_path(configs, splits))
        plain, jacobian = map(float, found["epoch_seconds"])
        at_once, compiling = int(found["at_once"]), float(found["compile_seconds"])
        if at_once >= 1 and all(seconds >= 0 for seconds in (compiling, plain, jacobian)):
            memory, measured = int(found["bytes"]), str(found["measured"])
            return Estimate(at_once, compiling, (plain, jacobian), memory, measured)
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
