"""Any number of runs of one program, as many at once as are worth it, each in its own folder."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxnoise import (
    assembly,
    cell,
    console,
    experiment,
    forward_matrix,
    interruption,
    loop,
    results,
    task,
)
from jaxnoise.cell import Cell
from jaxnoise.config import Config, InputError
from jaxnoise.train_step import Program
from jaxnoise.trainer import Trainer

log = logging.getLogger("jaxnoise")


class Outcome(NamedTuple):
    """How a run ended."""

    config: Config
    error: str | None = None  # one line; None: it is finished


class _Engine(NamedTuple):
    program: Program
    trainer: Trainer
    pictures: loop.Pictures


def run(configs: Sequence[Config], watch: interruption.Watch) -> Iterator[Outcome]:
    """Runs what is not finished of some settings, all of one program (see `grid.by_program`).

    Runs that fail do not end the others: if a batch fails, its runs are tried again one by one,
    from their last whole epochs.

    Yields:
      how each run ended, as soon as it has. First those that others need: see
      `forward_matrix.first_stage`.

    Raises:
      Interrupted: `watch` asked to stop; the epochs so far are saved.
    """
    first_stages = [stage for config in configs if (stage := forward_matrix.first_stage(config))]
    if unfinished := [stage for stage in first_stages if not _done(stage)]:
        yield from run(unfinished, watch)
    try:
        splits = task.load_splits(configs[0])
    except InputError as error:
        yield from (Outcome(config, str(error)) for config in configs)
        return
    program, pictures = assembly.program(configs[0], splits), assembly.pictures(splits)
    at_once = configs[0].members_at_once
    trainer = Trainer(program, configs[0].batch_size, members_at_once=at_once)
    engine, left = _Engine(program, trainer, pictures), list(configs)
    while left:
        outcomes, taken = _batch(left, splits, engine, watch)
        left = left[taken:]
        failed = [outcome for outcome in outcomes if outcome.error]
        yield from (outcome for outcome in outcomes if not outcome.error)
        for outcome in failed:
            if taken > 1:
                (outcome,), _ = _batch([outcome.config], splits, engine, watch)
            yield outcome


def _batch(
    configs: Sequence[Config], splits: task.Splits, engine: _Engine, watch: interruption.Watch
) -> tuple[list[Outcome], int]:
    """Runs the first of some settings, as many as fit, and says how many they were."""
    outcomes: dict[Config, str | None] = {}
    cells: list[Cell] = []
    with contextlib.ExitStack() as folders:
        for config in configs:
            if cells and not _fits(config, cells, configs, engine):
                break
            try:
                opened = folders.enter_context(cell.opened(config, splits))
                outcomes[config] = None
                if not _done(config):  # by another process, meanwhile
                    with console.about(opened.folder):
                        opened.begin(engine.program, engine.pictures)
                    cells.append(opened)
            except InputError as error:
                outcomes[config] = str(error)
        for epochs in sorted({each.epochs for each in cells}):
            equal = [each for each in cells if each.epochs == epochs]
            outcomes |= _train(equal, engine, watch)
    return [Outcome(*outcome) for outcome in outcomes.items()], len(outcomes)


def _fits(config: Config, cells: list[Cell], configs: Sequence[Config], engine: _Engine) -> bool:
    """Whether one more run is to go into a batch."""
    everyone = cells[0].members[:1] * sum(each.total_repeats for each in configs)
    members = sum(len(each.members) for each in cells) + config.total_repeats
    return members <= engine.trainer.at_once(everyone, engine.pictures)


def _train(
    cells: list[Cell], engine: _Engine, watch: interruption.Watch
) -> dict[Config, str | None]:
    try:
        experiment.train(cells, *engine, watch)
    except interruption.Interrupted:
        raise
    except Exception as error:  # whatever it is, other cells may be spared it
        return {each.config: _told(each, error) for each in cells}
    outcomes = {}
    for each in cells:
        outcomes[each.config] = None
        with console.about(each.folder):
            try:
                each.finish(engine.trainer, engine.pictures)
            except Exception as error:
                outcomes[each.config] = _told(each, error)
    return outcomes


def _told(failed: Cell, error: Exception) -> str:
    """The error in one line; in full it goes to the run's log."""
    with console.about(failed.folder):
        log.error("Failed", exc_info=error)
    return " ".join(str(error).split()) or type(error).__name__


def _done(config: Config) -> bool:
    return results.finished(results.run_folder(config)) and not config.overwrite
