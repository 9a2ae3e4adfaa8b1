"""Trains runs of one program, as many at once as pays off, each in its own folder."""

import contextlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnoise.config import Config, InputError, counted
from jaxnoise.experiments import active_run, forward_matrix, known_programs
from jaxnoise.experiments.active_run import ActiveRun
from jaxnoise.labels.noisy_dataset import load_splits
from jaxnoise.runs import folders, lock, resume
from jaxnoise.terminal import console, interruption
from jaxnoise.terminal.time_left import EpochSeconds
from jaxnoise.training import assembly
from jaxnoise.training.assembly import Engine

log = logging.getLogger("jaxnoise")


class Outcome(NamedTuple):
    """How a run ended."""

    config: Config
    error: str | None = None  # one line; None: the run is finished
    elsewhere: bool = False  # the error is only that another process is working on the run


def train(runs: list[ActiveRun], engine: Engine, watch: interruption.Watch) -> None:
    """Trains the remaining epochs of runs that have begun; reports each epoch.

    They are saved as often as `resume.Pace` says, and before a requested stop.

    Args:
      runs: of this engine, and equally far.
    """
    config, members = runs[0].config, [member for each in runs for member in each.members]
    ends = list(itertools.accumulate(len(each.members) for each in runs))
    places = [slice(end - len(each.members), end) for each, end in zip(runs, ends, strict=True)]
    progress = None
    if runs[0].point:
        points = [each.point.progress for each in runs]
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *points)
        progress = engine.trainer.spread(together, members, engine.pictures)
    epochs = engine.trainer.epochs(
        members,
        engine.pictures,
        epochs=config.epochs_num,
        jacob_start_epoch=assembly.jacob_start(config),
        first_epoch=runs[0].epochs,
        progress=progress,
    )

    configs, splits = [each.config for each in runs], runs[0].dataset
    known = known_programs.read(configs, splits)
    known = known.of_epochs(len(members)) if known else EpochSeconds()
    pace, kept = resume.Pace(), runs[0].epochs

    def tell() -> None:
        told = f"epoch {kept} of {config.epochs_num} is saved in {runs[0].folder}"
        if others := len(runs) - 1:
            told += f" and {counted(others, 'other run folder')}"
        watch.saved(told)

    def save() -> None:
        nonlocal kept
        if kept == runs[0].epochs:
            return
        with pace.saving():
            for each in runs:
                with console.about(each.folder):
                    each.save()
        kept = runs[0].epochs
        tell()

    if kept:
        tell()  # of an earlier session
    with contextlib.closing(epochs), contextlib.ExitStack() as recordings:
        for each in runs:
            shown = each.recording(engine, bar=each is runs[0], known=known, together=len(members))
            recordings.enter_context(shown)
        for groups, metrics in epochs:
            progress = engine.trainer.gather(groups, len(members))
            for each, place in zip(runs, places, strict=True):
                with console.about(each.folder):
                    each.record(*_part((progress, metrics), place))
            if pace.due() or runs[0].epochs == config.epochs_num:
                save()
            watch.check(runs[0].epochs, save)
    if jax.process_count() == 1:
        known_programs.learn(configs, splits, engine, members, runs[0].time_left)


def _part(tree: Any, place: slice) -> Any:
    """Some members' part of a tree with a leading axis (members,)."""
    return jax.tree.map(lambda leaf: leaf[place], tree)


class BatchRunner:
    """Makes runs, and keeps the last compiled program for the next ones."""

    def __init__(self, watch: interruption.Watch):
        """`watch` may request a stop."""
        self._watch = watch
        self._key: tuple | None = None

    def run(self, configs: Sequence[Config]) -> Iterator[Outcome]:
        """Makes the unfinished ones of some runs of one program (see `assembly.by_program`).

        Runs that fail do not end the others: if a batch fails, its runs are tried again one by one,
        from their last saved epochs.

        Yields:
          how each run ended, as soon as it has. The runs that these depend on (see
          `forward_matrix.first_stage`) come first.

        Raises:
          Interrupted: the watch requested a stop; the epochs so far are saved.
        """
        stages = (forward_matrix.first_stage(config) for config in configs)
        if first := folders.unfinished(filter(None, stages)):
            yield from self.run(first)
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
        """Loads the pictures and makes the program, unless they are those of the last call."""
        key = assembly.program_key(config)
        if key == self._key:
            return
        self._splits = load_splits(config)
        self._engine = assembly.engine(config, self._splits)
        self._key = key

    def _batch(self, configs: Sequence[Config]) -> list[Outcome]:
        """Makes the first of some runs, as many as fit at once."""
        outcomes: dict[Config, Outcome] = {}
        runs: list[ActiveRun] = []
        with contextlib.ExitStack() as open_folders:
            for config in configs:
                if runs and not self._fits(config, runs, configs):
                    break
                try:
                    opened = open_folders.enter_context(active_run.opened(config, self._splits))
                    outcomes[config] = Outcome(config)
                    if not folders.done(config):  # another process may have done it
                        with console.about(opened.folder):
                            opened.begin(self._engine)
                        runs.append(opened)
                except InputError as error:
                    held = isinstance(error, lock.Held)
                    outcomes[config] = Outcome(config, str(error), elsewhere=held)
            for epochs in sorted({each.epochs for each in runs}):
                outcomes |= self._train([each for each in runs if each.epochs == epochs])
        return list(outcomes.values())

    def _fits(self, config: Config, runs: list[ActiveRun], configs: Sequence[Config]) -> bool:
        """Whether one more run fits into a batch."""
        everyone = runs[0].members[:1] * sum(each.total_repeats for each in configs)
        members = sum(len(each.members) for each in runs) + config.total_repeats
        return members <= self._engine.trainer.at_once(everyone, self._engine.pictures)

    def _train(self, runs: list[ActiveRun]) -> dict[Config, Outcome]:
        try:
            train(runs, self._engine, self._watch)
        except interruption.Interrupted:
            raise
        except Exception as error:  # whatever it is, other runs may succeed
            return {each.config: Outcome(each.config, _told(each, error)) for each in runs}
        outcomes = {}
        for each in runs:
            outcomes[each.config] = Outcome(each.config)
            with console.about(each.folder):
                try:
                    each.finish(self._engine)
                except Exception as error:
                    outcomes[each.config] = Outcome(each.config, _told(each, error))
        return outcomes


def _told(failed: ActiveRun, error: Exception) -> str:
    """The error in one line; the traceback goes to the run's log."""
    with console.about(failed.folder):
        log.error("The run failed", exc_info=error)
    return " ".join(str(error).split()) or type(error).__name__
