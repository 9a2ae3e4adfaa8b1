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
    grid,
    interruption,
    loop,
    results,
    run_lock,
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
    elsewhere: bool = False  # not an error but another process, which is working on it


class _Engine(NamedTuple):
    """What runs of one program share."""

    program: Program
    trainer: Trainer
    pictures: loop.Pictures


class Together:
    """Runs settings, and keeps the last program compiled for the next ones."""

    def __init__(self, watch: interruption.Watch):
        """`watch` may ask to stop."""
        self._watch = watch
        self._key: tuple | None = None

    def run(self, configs: Sequence[Config]) -> Iterator[Outcome]:
        """Runs what is not finished of some settings, all of one program (see `grid.by_program`).

        Runs that fail do not end the others: if a batch fails, its runs are tried again one by one,
        from their last whole epochs.

        Yields:
          how each run ended, as soon as it has; before them, how those did that they need: see
          `forward_matrix.first_stage`.

        Raises:
          Interrupted: the watch asked to stop; the epochs so far are saved.
        """
        stages = (forward_matrix.first_stage(config) for config in configs)
        if unfinished := [stage for stage in stages if stage and not results.done(stage)]:
            yield from self.run(unfinished)
        try:
            self._prepare(configs[0])
        except InputError as error:
            yield from (Outcome(config, str(error)) for config in configs)
            return
        left = list(configs)
        while left:
            outcomes = self._batch(left)
            left = left[len(outcomes) :]
            yield from (outcome for outcome in outcomes if not outcome.error)
            for outcome in outcomes:
                if outcome.error:
                    again = len(outcomes) > 1 and not outcome.elsewhere
                    yield self._batch([outcome.config])[0] if again else outcome

    def _prepare(self, config: Config) -> None:
        """Loads the pictures and makes the program, unless they are the last ones."""
        key = grid.program_key(config)
        if key == self._key:
            return
        self._splits = task.load_splits(config)
        program = assembly.program(config, self._splits)
        trainer = Trainer(program, config.batch_size, members_at_once=config.members_at_once)
        self._engine = _Engine(program, trainer, assembly.pictures(self._splits))
        self._key = key

    def _batch(self, configs: Sequence[Config]) -> list[Outcome]:
        """Runs the first of some settings, as many as fit at once."""
        outcomes: dict[Config, Outcome] = {}
        cells: list[Cell] = []
        with contextlib.ExitStack() as folders:
            for config in configs:
                if cells and not self._fits(config, cells, configs):
                    break
                try:
                    opened = folders.enter_context(cell.opened(config, self._splits))
                    outcomes[config] = Outcome(config)
                    if not results.done(config):  # by another process, meanwhile
                        with console.about(opened.folder):
                            opened.begin(self._engine.program, self._engine.pictures)
                        cells.append(opened)
                except InputError as error:
                    held = isinstance(error, run_lock.Held)
                    outcomes[config] = Outcome(config, str(error), elsewhere=held)
            for epochs in sorted({each.epochs for each in cells}):
                outcomes |= self._train([each for each in cells if each.epochs == epochs])
        return list(outcomes.values())

    def _fits(self, config: Config, cells: list[Cell], configs: Sequence[Config]) -> bool:
        """Whether one more run is to go into a batch."""
        everyone = cells[0].members[:1] * sum(each.total_repeats for each in configs)
        members = sum(len(each.members) for each in cells) + config.total_repeats
        return members <= self._engine.trainer.at_once(everyone, self._engine.pictures)

    def _train(self, cells: list[Cell]) -> dict[Config, Outcome]:
        try:
            experiment.train(cells, *self._engine, self._watch)
        except interruption.Interrupted:
            raise
        except Exception as error:  # whatever it is, other runs may be spared it
            return {each.config: Outcome(each.config, _told(each, error)) for each in cells}
        outcomes = {}
        for each in cells:
            outcomes[each.config] = Outcome(each.config)
            with console.about(each.folder):
                try:
                    each.finish(self._engine.trainer, self._engine.pictures)
                except Exception as error:
                    outcomes[each.config] = Outcome(each.config, _told(each, error))
        return outcomes


def _told(failed: Cell, error: Exception) -> str:
    """The error in one line; in full it goes to the run's log."""
    with console.about(failed.folder):
        log.error("Failed", exc_info=error)
    return " ".join(str(error).split()) or type(error).__name__
