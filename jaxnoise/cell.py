"""One run from its labels to its scores, alone or as one of several that train as one batch."""

import contextlib
import functools
import logging
import time
from collections.abc import Iterator
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
from jaxnoise.train_step import Program
from jaxnoise.trainer import Trainer

log = logging.getLogger("jaxnoise")


@contextlib.contextmanager
def opened(config: Config, splits: task.Splits | None = None) -> Iterator["Cell"]:
    """The run of these settings; inside the block no other process works in its folder.

    Args:
      splits: its pictures, where they are loaded already.

    Raises:
      InputError: the folder, or something asked for, cannot be had. Or, from inside the block:
        results cannot be written.
    """
    folder = results.run_folder(config)
    results.check_usable(folder)
    what = task.load(config, splits=splits)
    facts = provenance.facts() | {"data_sha256": what.data_sha256}
    results.claim(folder, config, facts)
    with results.writing(folder), run_lock.hold(folder), console.log_file(folder / "log.txt"):
        yield Cell(config, folder, what, facts)


class Cell:
    """A run in hand: `begin`, then `record` inside `recording` for every epoch, then `finish`."""

    def __init__(self, config: Config, folder: Path, what: task.Task, facts: dict[str, Any]):
        self.config, self.folder, self.what = config, folder, what
        self.members: list[loop.Member] = []
        self.point: resume.Point | None = None  # how far it has come
        self._facts = facts

    @property
    def epochs(self) -> int:
        """How many are done."""
        return self.point.epochs if self.point else 0

    def begin(self, program: Program, pictures: loop.Pictures) -> None:
        """Makes its members, finds where to go on, and readies the folder."""
        config, folder, what = self.config, self.folder, self.what
        matrices = forward_matrix.of_repeats(config, what)
        self.members = assembly.members(config, what, matrices)
        self._identity = resume.identity(config, what, matrices)
        point = None
        if config.resume and not results.finished(folder):
            start = functools.partial(loop.start, program=program)
            like = jax.eval_shape(start, self.members[0], pictures)
            point = resume.newest(folder / "checkpoints", like, self._identity)
        self._facts["earlier_sessions"] = results.sessions(folder) if point else []
        results.clear(folder, going_on=point is not None)
        results.write_config(folder, config, self._facts)
        if matrices is not None:
            results.write_forward_matrix(folder, matrices)
        noise_artefact.write(folder, config, what, versions=self._facts["versions"])
        console.announce(config, folder, what, device=self._facts["device"]["kind"])
        if point:
            console.announce_resumption(point.epochs, self._facts)
        self.point = devices.of_the_first(point)

    @contextlib.contextmanager
    def recording(
        self, program: Program, trainer: Trainer, pictures: loop.Pictures, *, bar: bool
    ) -> Iterator[None]:
        """Inside, epochs are recorded.

        Args:
          bar: whether a terminal is to show a progress bar of this run.
        """
        history = self.point.history if self.point else {}
        self._before, self._started = self.point.seconds if self.point else 0.0, time.time()
        self._spectra = spectral_dynamics.Recorder(
            self.config, self.folder, self.what, program, trainer, self.members, pictures
        )
        with (
            results.EpochWriter(self.folder, self.config.total_repeats) as self._writer,
            console.EpochReport(self.config.epochs_num, self.epochs, bar=bar) as self._report,
        ):
            for epoch in range(self.epochs):
                row = {name: values[epoch] for name, values in history.items()}
                self._writer.write(epoch + 1, row)
            yield
        self._spectra.finish(self.point.history)

    def record(self, progress: loop.Progress, metrics: dict[str, np.ndarray]) -> None:
        """Saves and tells one more epoch: its members' progress and scalars, (repeats, ...)."""
        past = self.point.history if self.point else {}
        history = {
            name: np.stack([*past.get(name, ()), values]) for name, values in metrics.items()
        }
        self.point = resume.Point(progress, history, self._before + time.time() - self._started)
        self._spectra.record(self.epochs, progress.state)
        if jax.process_index() == 0:
            resume.save(self.folder / "checkpoints", self.point, self._identity)
        self._writer.write(self.epochs, metrics)
        self._report.update(metrics)
        console.warn_of_divergence(progress.diverged_epoch + 1, self.epochs)

    def finish(self, trainer: Trainer, pictures: loop.Pictures) -> None:
        """Measures the trained nets, and writes all that is left to write."""
        started, folder, config, what = time.time(), self.folder, self.config, self.what
        progress, history, seconds = self.point
        diverged = divergence.epochs(history)
        log.info("Measuring the Jacobian norms, calibration and detection …")
        groups = trainer.spread(progress.best_state, self.members, pictures)
        scores = (
            measurement.of_history(history, progress.best_epoch)
            | measurement.of_nets(config, what, trainer, groups, pictures)
            | measurement.of_losses(what, progress.samples.loss)
        )
        for name, state in (("best", progress.best_state), ("last", progress.state)):
            tree = {"params": state.params, **state.variables}
            checkpoint.save(folder / "checkpoints" / name, tree)
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
        results.write_config(folder, config, self._facts | {"wall_seconds": round(seconds, 1)})
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
