"""One run from labels to scores: training of all repeats, measurements, files."""

import contextlib
import functools
import logging
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnoise import (
    assembly,
    checkpoint,
    console,
    detection,
    devices,
    divergence,
    figures,
    forward_matrix,
    interruption,
    loop,
    measurement,
    noise,
    noise_artefact,
    provenance,
    results,
    resume,
    run_lock,
    scoring,
    selection,
    spectral_dynamics,
    task,
)
from jaxnoise.config import Config
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
    if devices.of_the_first(_done(folder, config)):
        return _tell(folder)
    with devices.own_results(config) as own:
        folder = results.run_folder(own)
        results.check_usable(folder)
        if first_stage := forward_matrix.first_stage(own):
            log.info("First the run that the transition matrices are estimated from:")
            run(first_stage, watch)
        what = task.load(own)
        facts = provenance.facts() | {"data_sha256": what.data_sha256}
        results.claim(folder, own, facts)
        with results.writing(folder), run_lock.hold(folder), console.log_file(folder / "log.txt"):
            if devices.of_the_first(_done(folder, config)):  # by another process, meanwhile
                return _tell(folder)
            return _run(own, folder, what, facts, watch or interruption.Watch())


def _done(folder: Path, config: Config) -> bool:
    return results.finished(folder) and not config.overwrite


def _tell(folder: Path) -> dict[str, Any]:
    """Of a run that is finished already."""
    if jax.process_index() > 0:
        return {}
    log.info("Already done (--overwrite trains it again): %s", folder)
    console.scores(folder)
    return results.read_scores(folder)


def _run(
    config: Config,
    folder: Path,
    what: task.Task,
    facts: dict[str, Any],
    watch: interruption.Watch,
) -> dict[str, Any]:
    matrices = forward_matrix.of_repeats(config, what)
    program, members, pictures = assembly.assemble(config, what, matrices)
    identity, point = resume.identity(config, what, matrices), None
    if config.resume and not results.finished(folder):
        like = jax.eval_shape(functools.partial(loop.start, program=program), members[0], pictures)
        point = resume.newest(folder / "checkpoints", like, identity)
    facts["earlier_sessions"] = results.sessions(folder) if point else []
    results.clear(folder, going_on=point is not None)
    results.write_config(folder, config, facts)
    if matrices is not None:
        results.write_forward_matrix(folder, matrices)
    noise_artefact.write(folder, config, what, versions=facts["versions"])
    console.announce(config, folder, what, device=facts["device"]["kind"])
    if point:
        console.announce_resumption(point.epochs, facts)
    point = devices.of_the_first(point)
    trainer = Trainer(program, config.batch_size, members_at_once=config.members_at_once)
    recorder = spectral_dynamics.Recorder(config, folder, what, program, trainer, members, pictures)
    point = _train(config, folder, trainer, members, pictures, point, identity, watch, recorder)
    _measure_and_write(config, folder, what, facts, trainer, members, pictures, point)
    return results.read_scores(folder)


def _train(
    config: Config,
    folder: Path,
    trainer: Trainer,
    members: list[loop.Member],
    pictures: loop.Pictures,
    point: resume.Point | None,
    identity: np.ndarray,
    watch: interruption.Watch,
    recorder: spectral_dynamics.Recorder,
) -> resume.Point:
    """All epochs after a point, each of them saved and told."""
    started = time.time()
    done, before = (point.epochs, point.seconds) if point else (0, 0.0)
    history = point.history if point else {}
    epochs = trainer.epochs(
        members,
        pictures,
        epochs=config.epochs_num,
        jacob_start_epoch=config.jacob_start_epoch if config.jacob_coef > 0 else config.epochs_num,
        first_epoch=done,
        progress=trainer.spread(point.progress, members, pictures) if point else None,
    )
    with (
        contextlib.closing(epochs),
        results.EpochWriter(folder, config.total_repeats) as writer,
        console.EpochReport(config.epochs_num, done) as report,
    ):
        for epoch in range(done):
            writer.write(epoch + 1, {name: values[epoch] for name, values in history.items()})
        for groups, metrics in epochs:
            history = {
                name: np.stack([*history.get(name, ()), values]) for name, values in metrics.items()
            }
            progress = trainer.gather(groups, config.total_repeats)
            recorder.record(len(history["step_loss"]), [group.state for group in groups])
            point = resume.Point(progress, history, before + time.time() - started)
            if jax.process_index() == 0:
                resume.save(folder / "checkpoints", point, identity)
            writer.write(point.epochs, metrics)
            report.update(metrics)
            console.warn_of_divergence(progress.diverged_epoch + 1, point.epochs)
            watch.saved(f"epoch {point.epochs} of {config.epochs_num} is saved in {folder}")
            watch.check(point.epochs)
    recorder.finish(point.history)
    return point


def _measure_and_write(
    config: Config,
    folder: Path,
    what: task.Task,
    facts: dict[str, Any],
    trainer: Trainer,
    members: list[loop.Member],
    pictures: loop.Pictures,
    point: resume.Point,
) -> None:
    """What is left of a trained run."""
    started = time.time()
    progress, history, seconds = point
    diverged = divergence.epochs(history)
    log.info("Measuring the Jacobian norms, calibration and detection …")
    states = [group.best_state for group in trainer.spread(progress, members, pictures)]
    scores = (
        measurement.of_history(history, progress.best_epoch)
        | measurement.of_nets(config, what, trainer, states, pictures)
        | measurement.of_losses(what, progress.samples.loss)
    )
    for name, state in (("best", progress.best_state), ("last", progress.state)):
        checkpoint.save(folder / "checkpoints" / name, {"params": state.params, **state.variables})
    results.write_history(folder, history)
    results.write_samples(folder, progress.samples)
    detection.write_suspects(
        folder,
        index=what.train_index,
        given=np.stack([labels.noisy for labels in what.noisy_labels]),
        predicted=progress.samples.predicted,
        score=progress.samples.loss,
        votes=diverged == 0,
        files=what.train_files,
    )
    figures.draw(
        folder / "figures", history, scores["best_epoch"], title=console.title(config, ", ")
    )
    seconds += time.time() - started
    results.write_config(folder, config, facts | {"wall_seconds": round(seconds, 1)})
    report = scoring.Report(
        scores,
        selection.select(history),
        diverged,
        noise.summary(config, what.noisy_labels[: config.draws]),
        config.validation_labels,
    )
    results.write_scores(folder, report)
    resume.clear(folder / "checkpoints")
    console.scores(folder)
    if diverged.any():
        log.warning(
            "Warning: %s; mean and std are of %s",
            divergence.in_words(diverged),
            divergence.covered(diverged),
        )
    log.info("Took %.0f s. Results: %s", seconds, folder)
