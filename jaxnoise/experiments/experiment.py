"""One run from labels to scores; `batch` trains several runs of one program together."""

import logging
from typing import Any

import jax

from jaxnoise.config import Config, InputError
from jaxnoise.datasets.own_arrays import Arrays
from jaxnoise.experiments import active_run, forward_matrix
from jaxnoise.experiments.active_run import ActiveRun
from jaxnoise.experiments.batch import train
from jaxnoise.runs import documents, folders
from jaxnoise.terminal import announcements, interruption
from jaxnoise.training import assembly, devices

log = logging.getLogger("jaxnoise")


def run(
    config: Config, watch: interruption.Watch | None = None, *, data: Arrays | None = None
) -> dict[str, Any]:
    """Runs an experiment and returns the content of its scores.json.

    A finished run with the same settings is not trained again, unless `config.overwrite` is true;
    an interrupted one resumes after its last saved epoch, unless `config.resume` is false. Of
    several processes (see `devices.join_hosts`), only the first writes results.

    Args:
      watch: may request a stop; by default nothing does.
      data: the arrays that `config.dataset` names, which is `data.dataset`. They are kept in the
        cache folder, where this run and whatever measures it later read them (`Arrays.keep`).

    Raises:
      InputError: something that the settings require is not available; nothing was trained and no
        result replaced. Or results cannot be written; the epochs so far are saved.
      Interrupted: `watch` requested a stop; the epochs so far are saved.
    """
    if data is not None:
        _keep(data, config)
    if devices.of_the_first(folders.done(config)):
        return _tell(config)
    with devices.own_results(config) as own:
        folders.check_usable(folders.run_folder(own))
        if first_stage := forward_matrix.first_stage(own):
            log.info("First comes the run from which the transition matrices are estimated:")
            run(first_stage, watch)
        with active_run.opened(own) as opened:
            if devices.of_the_first(folders.done(config)):  # another process may have done it
                return _tell(config)
            return _run(opened, watch or interruption.Watch())


def _keep(data: Arrays, config: Config) -> None:
    if not isinstance(data, Arrays):
        raise InputError(f"data is of type {type(data).__name__}; allowed is jaxnoise.Arrays(...)")
    if config.dataset != data.dataset:
        # Not replaced: run_folder(config) would lead to another run than the one made.
        raise InputError(
            f"--dataset={config.dataset} with data={data.dataset}: allowed are settings that name "
            "these arrays, as Config(dataset=data.dataset, ...) does"
        )
    data.keep(config.cache_dir)


def _tell(config: Config) -> dict[str, Any]:
    """Prints the scores of a run that is already finished, and returns them."""
    if jax.process_index() > 0:
        return {}
    folder = folders.run_folder(config)
    log.info("Already finished (--overwrite trains the run again): %s", folder)
    folders.warn_of_changes([config])
    announcements.scores(folder)
    scores = documents.read_scores(folder)
    stated, rate = config.noise_file_rate, scores.get("noise", {}).get("true_rate", 0)
    if stated is not None and rate > stated:
        log.warning("--noise_file_rate=%g: the labels of this run had %.2f %%", stated, 100 * rate)
    return scores


def _run(alone: ActiveRun, watch: interruption.Watch) -> dict[str, Any]:
    engine = assembly.engine(alone.config, alone.dataset)
    alone.begin(engine)
    train([alone], engine, watch)
    alone.finish(engine)
    return documents.read_scores(alone.folder)
