"""One run from labels to scores: training of all repeats, measurements, files."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoise import (
    calibration,
    checkpoint,
    console,
    detection,
    devices,
    figures,
    loop,
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
    scores = _scores(config, progress.best_epoch, history)
    states = [group.best_state for group in groups]
    for split in ("train", "test"):
        index = _measured(config, what, split)
        measured = trainer.mean_jacobian(states, pictures, index)
        scores[f"{split}_jacob"] = trainer.gather(measured, config.total_repeats)
    test = _index(what, "test")
    logits = trainer.gather(trainer.logits(states, pictures, test), config.total_repeats)
    given = np.stack([member.noisy_labels for member in members])
    scores |= _each(calibration.measure, logits, [what.labels[test]] * len(logits))
    scores |= _each(
        detection.measure, progress.samples.loss, given != what.labels[: given.shape[1]]
    )
    checkpoint.save(folder / "checkpoints" / "best", progress.best_state)
    checkpoint.save(folder / "checkpoints" / "last", progress.state)
    results.write_history(folder, history)
    results.write_samples(folder, progress.samples)
    detection.write_suspects(
        folder,
        index=what.train_index,
        given=given,
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


def _scores(
    config: Config, best: np.ndarray, history: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The scores of every repeat, each (repeats,), that history has: at its best epoch."""
    repeat = np.arange(config.total_repeats)
    scores = {name: history[name][best, repeat] for name in scoring.SCORES if name in history}
    return scores | {"last_test_accuracy": history["test_accuracy"][-1], "best_epoch": best + 1}


def _each(measure: Callable, *repeats: Sequence) -> dict[str, np.ndarray]:
    """The scores that `measure` finds in each repeat, each (repeats,)."""
    measured = [measure(*repeat) for repeat in zip(*repeats, strict=True)]
    return {name: np.array([scores[name] for scores in measured]) for name in measured[0]}


def _measured(config: Config, what: task.Task, split: str) -> np.ndarray:
    """Indices of the pictures whose Jacobian is measured: --jacob_samples of a split."""
    index = _index(what, split)
    if 0 < config.jacob_samples < len(index):
        index = index[np.arange(config.jacob_samples) * len(index) // config.jacob_samples]
    return index


def _index(what: task.Task, split: str) -> np.ndarray:
    """Indices of a split's pictures, int32."""
    return np.flatnonzero(what.split == task.SPLITS.index(split)).astype(np.int32)
