"""Estimates of a sweep's time and memory, measured on a small part of the pictures."""

import dataclasses
import logging
import time
from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from jaxnoise.config import Config, counted
from jaxnoise.labels.noisy_dataset import SPLITS, SplitDataset, load_splits
from jaxnoise.runs import folders
from jaxnoise.sweep import known_programs
from jaxnoise.sweep.grid import PlannedRun
from jaxnoise.sweep.known_programs import Estimate
from jaxnoise.terminal import console
from jaxnoise.training import assembly, loop, measurement

log = logging.getLogger("jaxnoise")

# Training steps that are timed: enough to measure the time of a step, in a second or two.
STEPS = 64


def measure(configs: Sequence[Config], splits: SplitDataset) -> Estimate:
    """Trains some epochs on a few of the pictures, and compiles the program for all of them.

    Args:
      configs: of one program.
      splits: its pictures.
    """
    config = configs[0]
    part = _part(splits, share=min(1, STEPS * config.batch_size / len(splits.train_index)))
    _, trainer, whole = assembly.engine(config, splits)
    everyone = _members(config, splits, sum(config.total_repeats for config in configs))
    at_once = min(trainer.at_once(everyone, whole), len(everyone))
    members = _members(config, part, at_once)
    # Two epochs without the Jacobian term, and two with it if the program has it; the first of each
    # includes compilation.
    epochs = 4 if config.jacob_coef > 0 else 2
    times = [time.time()]
    for _ in trainer.epochs(members, assembly.pictures(part), epochs=epochs, jacob_start_epoch=2):
        times.append(time.time())
    first, second = np.diff(times)[::2], np.diff(times)[1::2]
    scale = len(splits.labels) / len(part.labels)
    return Estimate(
        at_once,
        float(np.maximum(0, first - second).sum()),
        (second[0] * scale, second[-1] * scale),
        trainer.memory(everyone, whole),
        known_programs.today(),
    )


def _part(splits: SplitDataset, *, share: float) -> SplitDataset:
    """Every n-th picture of each split, for a share of about 1/n."""
    total = len(splits.labels)
    places = measurement.evenly(np.arange(total), max(1, round(share * total)))
    split = splits.split[places]
    return dataclasses.replace(
        splits,
        images=splits.images[places],
        labels=splits.labels[places],
        split=split,
        train_index=np.arange((split == SPLITS.index("train")).sum()),
        valid_index=np.arange((split == SPLITS.index("valid")).sum()),
    )


def _members(config: Config, splits: SplitDataset, number: int) -> list[loop.Member]:
    """Members that train on true labels."""
    train, valid = (
        splits.labels[splits.split == SPLITS.index(name)] for name in ("train", "valid")
    )
    matrix = np.eye(splits.num_classes, dtype=np.float32) if config.loss == "forward" else None
    coefficients = assembly.coefficients(config)
    return [
        loop.Member(loop.member_key(config.seed, i), train, valid, coefficients, matrix)
        for i in range(number)
    ]


def tell(planned: Sequence[PlannedRun]) -> None:
    """Prints the runs and the programs, with their estimates."""
    configs = list(dict.fromkeys(run.config for run in planned))
    left = folders.unfinished(configs)
    finished = set(configs) - set(left)
    rows = [
        (run.name or "", console.title(run.config, " · "), run.config.total_repeats,
         "finished" if run.config in finished else "", run.folder)
        for run in planned
    ]  # fmt: skip
    named = any(run.name for run in planned)
    log.info("%s\n", _table(["row", "run", "repeats", "", "folder"], rows, named=named))
    rows, total, programs = [], 0.0, assembly.by_program(left)
    for number, program in enumerate(programs, start=1):
        splits = load_splits(program[0])
        estimate = known_programs.read(program, splits)
        if estimate is None:
            log.info("Compiling and measuring program %d of %d …", number, len(programs))
            estimate = measure(program, splits)
            known_programs.write(estimate, program, splits)
        seconds = estimate.seconds(program)
        total += seconds
        members = sum(config.total_repeats for config in program)
        rows.append(
            (len(rows) + 1, program[0].network, len(program), members, estimate.at_once,
             f"{estimate.compile_seconds:.0f} s", _minutes(seconds),
             f"{estimate.bytes / 2**20:.0f} MiB", estimate.measured)
        )  # fmt: skip
    header = ["program", "net", "runs", "repeats", "at once", "compilation", "time", "memory",
              "measured"]  # fmt: skip
    log.info("%s\n", tabulate(rows, header, disable_numparse=True))
    log.info(
        "%s, %d already finished; the rest takes about %s, without the final measurements and "
        "figures of each run (measured on %d steps or fewer of each program; memory without JAX "
        "itself)",
        counted(len(configs), "run"), len(finished), _minutes(total), STEPS,
    )  # fmt: skip


def _table(header: list[str], rows: list[tuple], *, named: bool) -> str:
    if not named:
        header, rows = header[1:], [row[1:] for row in rows]
    return tabulate(rows, header, disable_numparse=True)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
