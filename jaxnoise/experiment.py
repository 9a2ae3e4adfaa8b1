"""Runs from labels to scores: one of them, or several of one program as one batch."""

import contextlib
import itertools
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnoise import (
    assembly,
    cell,
    console,
    devices,
    forward_matrix,
    interruption,
    loop,
    results,
)
from jaxnoise.cell import Cell
from jaxnoise.config import Config
from jaxnoise.train_step import Program
from jaxnoise.trainer import Trainer

log = logging.getLogger("jaxnoise")


def run(config: Config, watch: interruption.Watch | None = None) -> dict[str, Any]:
    """Runs an experiment and returns the content of its scores.json.

    A finished run with the same settings is not trained again, unless `config.overwrite`; an
    interrupted one goes on after its last whole epoch, unless `config.resume` is false. Of several
    processes (see `devices.join_hosts`) only the first leaves results.

    Args:
      watch: asks to stop; by default nobody does.

    Raises:
      InputError: something asked for cannot be had; nothing was trained and no result replaced. Or
        results cannot be written; the epochs so far are saved.
      Interrupted: `watch` asked to stop; the epochs so far are saved.
    """
    folder = results.run_folder(config)
    if devices.of_the_first(results.done(config)):
        return _tell(folder)
    with devices.own_results(config) as own:
        results.check_usable(results.run_folder(own))
        if first_stage := forward_matrix.first_stage(own):
            log.info("First the run that the transition matrices are estimated from:")
            run(first_stage, watch)
        with cell.opened(own) as opened:
            if devices.of_the_first(results.done(config)):  # by another process, meanwhile
                return _tell(folder)
            return _run(opened, watch or interruption.Watch())


def _tell(folder: Path) -> dict[str, Any]:
    """Of a run that is finished already."""
    if jax.process_index() > 0:
        return {}
    log.info("Already done (--overwrite trains it again): %s", folder)
    console.scores(folder)
    return results.read_scores(folder)


def _run(alone: Cell, watch: interruption.Watch) -> dict[str, Any]:
    config = alone.config
    program, pictures = assembly.program(config, alone.what), assembly.pictures(alone.what)
    trainer = Trainer(program, config.batch_size, members_at_once=config.members_at_once)
    alone.begin(program, pictures)
    train([alone], program, trainer, pictures, watch)
    alone.finish(trainer, pictures)
    return results.read_scores(alone.folder)


def train(
    cells: list[Cell],
    program: Program,
    trainer: Trainer,
    pictures: loop.Pictures,
    watch: interruption.Watch,
) -> None:
    """All epochs that are left of runs that have begun, each of them saved and told.

    Args:
      cells: of this program, with the same pictures, and equally far.
    """
    config, members = cells[0].config, [member for each in cells for member in each.members]
    ends = list(itertools.accumulate(len(each.members) for each in cells))
    places = [slice(end - len(each.members), end) for each, end in zip(cells, ends, strict=True)]
    progress = None
    if cells[0].point:
        points = [each.point.progress for each in cells]
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *points)
        progress = trainer.spread(together, members, pictures)
    epochs = trainer.epochs(
        members,
        pictures,
        epochs=config.epochs_num,
        jacob_start_epoch=config.jacob_start_epoch if config.jacob_coef > 0 else config.epochs_num,
        first_epoch=cells[0].epochs,
        progress=progress,
    )
    with contextlib.closing(epochs), contextlib.ExitStack() as recordings:
        for each in cells:
            recordings.enter_context(
                each.recording(program, trainer, pictures, bar=each is cells[0])
            )
        for groups, metrics in epochs:
            progress = trainer.gather(groups, len(members))
            for each, place in zip(cells, places, strict=True):
                with console.about(each.folder):
                    each.record(*_part((progress, metrics), place))
            told = f"epoch {cells[0].epochs} of {config.epochs_num} is saved in {cells[0].folder}"
            watch.saved(told + (f" and {len(cells) - 1} more" if len(cells) > 1 else ""))
            watch.check(cells[0].epochs)


def _part(tree: Any, place: slice) -> Any:
    """Some members' part of a tree with a leading axis (members,)."""
    return jax.tree.map(lambda leaf: leaf[place], tree)
