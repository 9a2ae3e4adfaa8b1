"""One run from labels to scores: training of all repeats, measurements, files."""

import logging
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoise import (
    checkpoint,
    console,
    detection,
    devices,
    figures,
    loop,
    measurement,
    nets,
    noise,
    noise_artefact,
    optim,
    provenance,
    results,
    scoring,
    selection,
    task,
)
from jaxnoise.config import Config
from jaxnoise.train_step import Coefficients, Program
from jaxnoise.trainer import Trainer

log = logging.getLogger("jaxnoise")


def run(config: Config) -> dict[str, Any]:
    """Runs an experiment and returns the content of its scores.json.

    A finished run with the same settings is not trained again, unless `config.overwrite`. Of
    several processes (see `devices.join_hosts`) only the first leaves results.

    Raises:
      InputError: something asked for cannot be had; nothing was trained and no result replaced.
    """
    folder = results.run_folder(config)
    if devices.as_the_first_decides(results.finished(folder) and not config.overwrite):
        if jax.process_index() > 0:
            return {}
        log.info("Already done (--overwrite trains it again): %s", folder)
        console.scores(folder)
        return results.read_scores(folder)
    with devices.own_results(config) as own:
        folder = results.run_folder(own)
        results.check_usable(folder)
        what, facts = task.load(own), provenance.facts()
        results.start(folder)
        results.write_config(folder, own, facts)
        with console.log_file(folder / "log.txt"):
            return _run(own, folder, what, facts)


def build(config: Config, what: task.Task) -> tuple[Program, list[loop.Member], loop.Pictures]:
    """The program to compile, its members (one per repeat), and the pictures on the device."""
    schedule = optim.learning_rate_schedule(
        config.network,
        learning_rate=config.learning_rate,
        decay_epochs=config.lr_decay_epochs,
        steps_per_epoch=-(-len(what.train_index) // config.batch_size),
    )
    program = Program(
        nets.NETS[config.network](what.num_classes, config.do_sn, nets.DTYPES[config.precision]),
        config.network,
        schedule,
        config.jacob_mode,
        config.precision,
        config.validation_labels,
    )
    coefficients = Coefficients(
        np.float32(config.wd_coef), np.float32(config.jacob_coef), np.float32(config.entropy_coef)
    )
    members = [
        loop.Member(
            loop.member_key(config.seed, repeat),
            labels.noisy,
            valid_labels.noisy,
            coefficients,
        )
        for repeat, (labels, valid_labels) in enumerate(
            zip(what.noisy_labels, what.noisy_valid_labels, strict=True)
        )
    ]
    pictures = loop.Pictures(
        jnp.asarray(what.images),
        jnp.asarray(what.labels),
        jnp.asarray(what.split),
        *map(jnp.asarray, what.preprocessing),
    )
    return program, members, pictures


def _run(config: Config, folder: Path, what: task.Task, facts: dict[str, Any]) -> dict[str, Any]:
    started = time.time()
    noise_artefact.write(folder, config, what, versions=facts["versions"])
    console.announce(config, folder, what, device=facts["device"]["kind"])

    program, members, pictures = build(config, what)
    trainer = Trainer(program, config.batch_size, members_at_once=config.members_at_once)
    rows: list[dict[str, np.ndarray]] = []
    jacob_start_epoch = config.jacob_start_epoch if config.jacob_coef > 0 else config.epochs_num
    epochs = trainer.epochs(
        members, pictures, epochs=config.epochs_num, jacob_start_epoch=jacob_start_epoch
    )
    with (
        results.EpochWriter(folder, config.total_repeats) as writer,
        console.EpochReport(config.epochs_num) as epoch_report,
    ):
        for groups, metrics in epochs:  # noqa: B007 the last groups are used below
            rows.append(metrics)
            writer.write(len(rows), metrics)
            epoch_report.update(metrics)
    history = {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    diverged = np.flatnonzero(~np.isfinite(history["step_loss"]).all(axis=0)) + 1
    if len(diverged):
        log.warning("The loss of these repeats did not stay finite: %s", diverged.tolist())
    log.info("Measuring the Jacobian norms, calibration and detection …")
    progress = trainer.gather(groups, config.total_repeats)
    states = [group.best_state for group in groups]
    scores = (
        measurement.of_history(history, progress.best_epoch)
        | measurement.of_nets(config, what, trainer, states, pictures)
        | measurement.of_losses(what, progress.samples.loss)
    )
    checkpoint.save(folder / "checkpoints" / "best", progress.best_state)
    checkpoint.save(folder / "checkpoints" / "last", progress.state)
    results.write_history(folder, history)
    results.write_samples(folder, progress.samples)
    detection.write_suspects(
        folder,
        index=what.train_index,
        given=np.stack([labels.noisy for labels in what.noisy_labels]),
        predicted=progress.samples.predicted,
        score=progress.samples.loss,
    )
    figures.draw(
        folder / "figures", history, scores["best_epoch"], title=console.title(config, ", ")
    )
    seconds = time.time() - started
    results.write_config(folder, config, facts | {"wall_seconds": round(seconds, 1)})
    report = scoring.Report(
        scores,
        selection.select(history),
        noise.summary(config, what.noisy_labels[: config.draws]),
        config.validation_labels,
    )
    results.write_scores(folder, report)
    console.scores(folder)
    log.info("Took %.0f s. Results: %s", seconds, folder)
    return results.read_scores(folder)
