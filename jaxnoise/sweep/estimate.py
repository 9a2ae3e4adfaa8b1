"""Estimates of a sweep's time and memory, measured on a small part of the pictures."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from jaxnoise.config import Config, counted
from jaxnoise.experiments import known_programs
from jaxnoise.experiments.known_programs import Estimate
from jaxnoise.labels.noisy_dataset import SPLITS, SplitDataset, load_splits
from jaxnoise.runs import folders
from jaxnoise.sweep.grid import PlannedRun
from jaxnoise.terminal import announcements
from jaxnoise.terminal.display import duration
from jaxnoise.terminal.time_left import TimeLeft
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
    # Two epochs of each kind; the first includes compilation.
    stages = assembly.stages(config)
    epochs, jacob_start = 2 * len(stages), 2 * stages.count(False)
    took, started = TimeLeft(epochs, 0, jacob_start), time.time()
    for _ in trainer.epochs(
        members, assembly.pictures(part), epochs=epochs, jacob_start_epoch=jacob_start
    ):
        took.ended(time.time() - started)
    return Estimate(
        at_once,
        took.compiling,
        took.measured.scaled(len(splits.labels) / len(part.labels)),
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
    titles = announcements.titles([run.config for run in planned])
    rows = [
        (run.name or "", told, run.config.total_repeats,
         "finished" if run.config in finished else "to do", run.folder)
        for run, told in zip(planned, titles, strict=True)
    ]  # fmt: skip
    without = None if any(run.name for run in planned) else "row"
    log.info("%s\n", _table(["row", "run", "repeats", "state", "folder"], rows, without=without))
    rows, total, programs = [], 0.0, assembly.by_program(left)
    apart = _told_apart([program[0] for program in programs])
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
            (number, apart[number - 1], program[0].network, len(program), members, estimate.at_once,
             f"{estimate.compile_seconds:.0f} s", duration(seconds),
             f"{estimate.bytes / 2**20:.0f} MiB", estimate.measured)
        )  # fmt: skip
    header = ["program", "settings", "net", "runs", "repeats", "at once", "compilation", "time",
              "memory", "measured"]  # fmt: skip
    log.info("%s\n", _table(header, rows, without=None if len(programs) > 1 else "settings"))
    log.info(
        "%s, %d already finished; the rest takes about %s, without the final measurements and "
        "figures of each run (measured in earlier runs of each program, or on %d steps or fewer; "
        "memory without JAX itself)",
        counted(len(configs), "run"), len(finished), duration(total), STEPS,
    )  # fmt: skip


def _told_apart(configs: Sequence[Config]) -> list[str]:
    """The settings in which programs differ, apart from the net, in words."""
    settings = [assembly.program_settings(config) for config in configs]
    words = [[] for _ in settings]
    for name in settings[0] if settings else ():
        values = [each[name] for each in settings]
        if name != "net" and len(set(values)) > 1:
            for told, value in zip(words, values, strict=True):
                told += [] if value in (None, False) else [_setting(name, value)]
    return [", ".join(told) or "–" for told in words]


def _setting(name: str, value: Any) -> str:
    words = name.replace("_", " ") if name == "jacobian_term" else name
    return words if value is True else f"{words} {value}"


def _table(header: list[str], rows: list[tuple], *, without: str | None) -> str:
    chosen = [i for i, name in enumerate(header) if name != without]
    header, *rows = ([row[i] for i in chosen] for row in (header, *rows))
    return tabulate(rows, header, disable_numparse=True)
