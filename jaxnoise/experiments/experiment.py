"""One run from labels to scores; several of one program are a batch, see `batch`."""

import logging
from pathlib import Path
from typing import Any

import jax

from jaxnoise.config import Config
from jaxnoise.experiments import active_run, forward_matrix
from jaxnoise.experiments.active_run import ActiveRun
from jaxnoise.experiments.batch import train
from jaxnoise.runs import documents, folders
from jaxnoise.terminal import console, interruption
from jaxnoise.training import assembly, devices

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
    folder = folders.run_folder(config)
    if devices.of_the_first(folders.done(config)):
        return _tell(folder)
    with devices.own_results(config) as own:
        folders.check_usable(folders.run_folder(own))
        if first_stage := forward_matrix.first_stage(own):
            log.info("First the run that the transition matrices are estimated from:")
            run(first_stage, watch)
        with active_run.opened(own) as opened:
            if devices.of_the_first(folders.done(config)):  # by another process, meanwhile
                return _tell(folder)
            return _run(opened, watch or interruption.Watch())


def _tell(folder: Path) -> dict[str, Any]:
    """Of a run that is finished already."""
    if jax.process_index() > 0:
        return {}
    log.info("Already done (--overwrite trains it again): %s", folder)
    console.scores(folder)
    return documents.read_scores(folder)


def _run(alone: ActiveRun, watch: interruption.Watch) -> dict[str, Any]:
    engine = assembly.engine(alone.config, alone.dataset)
    alone.begin(engine)
    train([alone], engine, watch)
    alone.finish(engine)
    return documents.read_scores(alone.folder)
