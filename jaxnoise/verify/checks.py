"""The checks of a finished run: what it recorded against what its labels and nets give."""

import dataclasses
import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from jaxnoise.config import InputError
from jaxnoise.labels.noisy_dataset import SPLITS, NoisyDataset, load_splits
from jaxnoise.runs import checkpoint
from jaxnoise.runs.history import read_history
from jaxnoise.runs.noise_record import read_estimates, read_noise
from jaxnoise.runs.record import Record
from jaxnoise.runs.samples import PREDICTED, read_samples, suspicion
from jaxnoise.scores import divergence
from jaxnoise.scores.estimates import WAYS
from jaxnoise.scores.scoring import OF_VALIDATION, SCORES
from jaxnoise.scores.selection import select
from jaxnoise.training import assembly, evaluation, loop, measurement
from jaxnoise.training.assembly import Engine
from jaxnoise.verify import file_checks
from jaxnoise.verify.check import (
    DIFFERENT,
    REFUSED,
    UNCHECKED,
    Check,
    Tolerance,
    compare,
    tolerance,
    worst,
)

log = logging.getLogger("jaxnoise")


@dataclasses.dataclass
class _Read:
    """What the files of a run hold; None where one cannot be used."""

    dataset: NoisyDataset | None = None
    history: dict[str, np.ndarray] | None = None
    samples: dict[str, np.ndarray] | None = None

    def compare(self, metric: str, recorded: np.ndarray, recomputed: np.ndarray) -> Check:
        """The check of a metric or score of every repeat."""
        if self.history is not None:
            recomputed = divergence.of_survivors(self.history, recomputed)
        return compare(metric, recorded, recomputed, tolerance(metric, self._pictures(metric)))

    def _pictures(self, metric: str) -> int:
        """The least number of pictures that a metric is a mean over; 1 if it is not such a mean."""
        if self.dataset is None:
            return 1
        sizes = dict(zip(SPLITS, np.bincount(self.dataset.split), strict=True))
        changed = np.stack([labels.changed for labels in self.dataset.noisy_labels])
        sizes |= {"changed": changed.sum(axis=1).min(), "unchanged": (~changed).sum(axis=1).min()}
        sizes |= dict.fromkeys(WAYS, sizes["valid"])
        of = metric.removeprefix("last_").removeprefix("ema_").split("_")[0]
        return max(1, sizes.get(of, 1))


def all_checks(run: Record) -> Iterator[Check]:
    """All checks of a run, whose data set must be available.

    A file that cannot be read is a failed check, and whatever depends on it is not checked.
    """
    read, folder, config = _Read(), run.folder, run.config
    yield file_checks.settings(run)
    # Before its labels, which say less clearly that the data set is another one.
    splits = yield from _reading("data set", load_splits, config)
    found = None
    if splits is not None:
        yield file_checks.data_set(run, splits)
        found = yield from _reading("noise.npz", read_noise, folder, config, splits)
    if found is not None:
        arrays, read.dataset = found
        yield from file_checks.noise_files(run, arrays, read.dataset)
        read.samples = yield from _reading(
            "samples.npz", read_samples, folder, config, read.dataset
        )
    read.history = yield from _reading("history.npz", read_history, folder, config)

    recomputed = {}
    if read.dataset is not None:
        recomputed = yield from _of_nets(run, read)
    if read.samples is not None:
        suspicious = suspicion(read.samples)
        recomputed |= measurement.of_losses(read.dataset, suspicious)
        recomputed |= measurement.of_thresholds(read.dataset, suspicious)
    if run.config.best_by is None:
        none = np.full(config.total_repeats, np.nan)
        recomputed |= dict.fromkeys(OF_VALIDATION, none)
    elif read.history is not None:
        recomputed["best_epoch"] = _best_epoch(run, read)
    for name, recorded in (run.report.scores | (run.report.detection or {})).items():
        if name in recomputed:
            yield read.compare(name, recorded, recomputed[name])
        else:
            yield Check(name, UNCHECKED)

    if read.history is not None:
        yield from file_checks.history(run, read.history)
    yield from file_checks.score_files(run)
    if read.samples is not None:
        yield file_checks.suspects(run, read.dataset, read.samples)


def _reading(name: str, read: Callable, *arguments: Any) -> Generator[Check, None, Any]:
    """Returns what `read` does; or yields a failed check and returns None."""
    try:
        return read(*arguments)
    except InputError as error:
        yield Check(name, REFUSED, note=str(error))
        return None


def _of_nets(run: Record, read: _Read) -> Generator[Check, None, dict[str, np.ndarray]]:
    """Measures the nets of both checkpoints and returns the resulting scores."""
    config, dataset, repeats = run.config, read.dataset, run.config.total_repeats
    engine, members = assembly.engine(config, dataset), assembly.members(config, dataset)
    program, trainer, pictures = engine
    scores, image_shape = {}, dataset.images.shape[1:]
    for which in checkpoint.NETS:
        name = f"{checkpoint.FOLDER}/{which}"
        nets = yield from _reading(
            name, checkpoint.read_nets, run.folder, which, program, image_shape, repeats
        )
        if nets is None:
            continue
        log.info("Measuring the nets in %s/%s …", run.folder, name)
        states = trainer.spread(nets, members, pictures)
        evaluated = trainer.evaluate(states, members, pictures)
        metrics, samples = trainer.gather(evaluated, repeats)
        if which == "best":
            scores |= {name: metrics[name] for name in SCORES if name in metrics}
            of_nets, logits = measurement.of_nets(config, dataset, engine, states)
            estimated, matrices = measurement.of_predictions(dataset, logits)
            scores |= of_nets | estimated
            if run.report.detection and config.best_by is not None:
                yield from _matrices(run, read, matrices)
        else:
            scores["last_test_accuracy"] = metrics["test_accuracy"]
        if read.samples is not None and (kept := PREDICTED[which]) in read.samples:
            yield _predicted(f"samples.npz, {name}", read, read.samples[kept], samples.predicted)
        if read.history is not None:
            best = which == "best"
            epoch = _best_epoch(run, read) if best else np.full(repeats, config.epochs_num)
            yield _history(f"history.npz, {name}", read, epoch - 1, metrics)
    if config.ema_decay is not None:
        yield from _of_average(run, read, engine, members)
    return scores


def _of_average(
    run: Record, read: _Read, engine: Engine, members: list[loop.Member]
) -> Iterator[Check]:
    """Whether the nets with averaged weights have their accuracies in history.npz."""
    program, trainer, pictures = engine
    repeats, image_shape = run.config.total_repeats, pictures.images.shape[1:]
    name = f"{checkpoint.FOLDER}/{checkpoint.EMA}"
    nets = yield from _reading(
        name, checkpoint.read_nets, run.folder, checkpoint.EMA, program, image_shape, repeats
    )
    if nets is None or read.history is None:
        return
    log.info("Measuring the nets in %s/%s …", run.folder, name)
    samples = len(read.dataset.train_index)

    def accuracies(state: Any, valid_labels: Any, pictures: loop.Pictures) -> dict[str, Any]:
        return evaluation.of_average(state, pictures, samples, valid_labels, program=program)

    measure = trainer.measuring(accuracies, members=2, shared=1)
    valid_labels = np.stack([member.noisy_valid_labels for member in members])
    groups = (trainer.spread(tree, members, pictures) for tree in (nets, valid_labels))
    metrics = trainer.gather(measure(*groups, shared=(pictures,)), repeats)
    last = np.full(repeats, run.config.epochs_num - 1)
    yield _history(f"history.npz, {name}", read, last, metrics)


def _matrices(run: Record, read: _Read, matrices: dict[str, np.ndarray]) -> Iterator[Check]:
    """Whether the estimated matrices are those of the best nets."""
    name = "noise_estimates.npz"
    kept = yield from _reading(name, read_estimates, run.folder, run.config, read.dataset)
    if kept is not None:
        of_a_class = max(1, len(read.dataset.valid_index) // read.dataset.num_classes)
        each = (
            compare(way, kept[way], matrix, tolerance(f"{way}_matrix", of_a_class))
            for way, matrix in matrices.items()
        )
        yield worst(name, each)._replace(recorded="", recomputed="")


def _best_epoch(run: Record, read: _Read) -> np.ndarray:
    """Of the nets that the scores are of, counted from 1, (repeats,)."""
    return select(read.history)[run.report.headline].epoch


def _history(name: str, read: _Read, epoch: np.ndarray, metrics: dict[str, np.ndarray]) -> Check:
    """The check of all metrics of the nets at one epoch of each repeat, counted from 0."""
    missing = metrics.keys() - read.history.keys()
    if missing:
        return Check(name, DIFFERENT, note=f"it has no array {min(missing)}")
    repeat = np.arange(len(epoch))
    each = (
        read.compare(metric, read.history[metric][epoch, repeat], values)
        for metric, values in metrics.items()
    )
    return worst(name, each)._replace(recorded="", recomputed="")


def _predicted(name: str, read: _Read, recorded: np.ndarray, predicted: np.ndarray) -> Check:
    """The check of predictions; on another machine, one picture a repeat may differ."""
    differing = (recorded != predicted).sum(axis=1)
    if read.history is not None:
        differing = np.nan_to_num(divergence.of_survivors(read.history, differing))
    none = np.zeros(len(differing))
    return compare(name, differing, none, Tolerance(absolute=1))
