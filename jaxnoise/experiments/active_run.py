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

from jaxnoise import activity
from jaxnoise.config import Config
from jaxnoise.datasets import places
from jaxnoise.experiments import forward_matrix
from jaxnoise.labels import noise, noisy_dataset
from jaxnoise.labels.noisy_dataset import NoisyDataset, SplitDataset
from jaxnoise.runs import checkpoint, documents, folders, lock, noise_record, provenance, resume
from jaxnoise.runs.history import EpochWriter, write_history
from jaxnoise.runs.samples import of_progress, write_samples, write_suspects
from jaxnoise.scores import divergence, scoring, selection
from jaxnoise.spectrum import dynamics
from jaxnoise.terminal import announcements, console
from jaxnoise.terminal.progress import EpochReport, warn_of_divergence
from jaxnoise.terminal.time_left import EpochSeconds, TimeLeft
from jaxnoise.training import assembly, devices, loop, measurement, reach, surroundings
from jaxnoise.training.assembly import Engine

log = logging.getLogger("jaxnoise")


@contextlib.contextmanager
def opened(config: Config, splits: SplitDataset | None = None) -> Iterator["ActiveRun"]:
    """The run of these settings; inside the block, no other process works in its folder.

    Args:
      splits: its pictures, if they are loaded already.

    Raises:
      InputError: the folder or something that the settings require is not available. Or, from
        inside the block: results cannot be written.
    """
    folder = folders.run_folder(config)
    folders.check_usable(folder)
    dataset = noisy_dataset.load(config, splits=splits)
    place = places.data_folder(config.dataset, config.data_dir)
    facts = provenance.facts() | {
        "data_sha256": dataset.data_sha256,
        "data_folder": None if place is None else str(place),
        **surroundings.of_run(config),
    }
    folders.claim(folder, config, facts)
    with folders.writing(folder), lock.hold(folder), console.log_file(folder / "log.txt"):
        yield ActiveRun(config, folder, dataset, facts)


class ActiveRun:
    """A run in progress: `begin`; in `recording`, `record` per epoch and `save`; `finish`."""

    def __init__(self, config: Config, folder: Path, dataset: NoisyDataset, facts: dict[str, Any]):
        self.config, self.folder, self.dataset = config, folder, dataset
        self.members: list[loop.Member] = []
        self.point: resume.Point | None = None  # its progress
        self._facts = facts

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return self.point.epochs if self.point else 0

    def begin(self, engine: Engine) -> None:
        """Makes the members, finds the point to resume from, and prepares the folder."""
        config, folder, dataset = self.config, self.folder, self.dataset
        matrices = forward_matrix.of_repeats(config, dataset)
        self.members = assembly.members(config, dataset, matrices)
        self._identity = resume.identity(config, dataset, matrices)
        start = functools.partial(loop.start, program=engine.program)
        like = jax.eval_shape(start, self.members[0], engine.pictures)
        reach.check(config, engine, like.state)
        point, earlier, points = None, [], folder / checkpoint.FOLDER
        if config.resume and not folders.finished(folder) and resume.begun(points):
            earlier = documents.sessions(folder)
            # First, since other code may have made what cannot be read.
            changes = resume.changes(folder, earlier, self._facts, anyway=config.resume_anyway)
            point = resume.newest(points, like, self._identity)
            self._facts |= {"resumed_anyway": changes} if changes and point else {}
        self._facts["earlier_sessions"] = earlier if point else []
        folders.clear(folder, going_on=point is not None)
        documents.write_config(folder, config, self._facts)
        if matrices is not None:
            noise_record.write_forward_matrix(folder, matrices)
        noise_record.write_noise(folder, config, dataset, versions=self._facts["versions"])
        announcements.announce(
            config,
            folder,
            dataset,
            device=self._facts["device"]["kind"],
            lags=reach.keeps_running_averages(engine, like.state),
            variables=self._facts["environment"],
        )
        if point:
            announcements.announce_resumption(point.epochs, self._facts)
        self.point = devices.of_the_first(point)

    @contextlib.contextmanager
    def recording(
        self, engine: Engine, *, bar: bool, known: EpochSeconds, together: int
    ) -> Iterator[None]:
        """Inside, epochs are recorded.

        Args:
          bar: whether a terminal shows a progress bar of this run.
          known: what epochs of the program took in earlier runs.
          together: number of repeats that train together, those of other runs included.
        """
        self._together = together
        history = self.point.history if self.point else {}
        self._before, self._started = self.point.seconds if self.point else 0.0, time.time()
        self._spectra = dynamics.Recorder(
            self.config, self.folder, self.dataset, engine, self.members
        )
        with (
            EpochWriter(self.folder, self.config.total_repeats) as self._writer,
            EpochReport(
                self.config.epochs_num,
                self.epochs,
                jacob_start_epoch=assembly.jacob_start(self.config),
                known=known,
                bar=bar,
            ) as self._report,
        ):
            for epoch in range(self.epochs):
                row = {name: values[epoch] for name, values in history.items()}
                self._writer.write(epoch + 1, row)
            yield
        self._spectra.finish(self.point.history)

    @property
    def time_left(self) -> TimeLeft:
        """What the epochs recorded took."""
        return self._report.time_left

    def record(self, progress: loop.Progress, metrics: dict[str, np.ndarray]) -> None:
        """Reports one more epoch: its members' progress and scalars, (repeats, ...)."""
        past = self.point.history if self.point else {}
        history = {
            name: np.stack([*past.get(name, ()), values]) for name, values in metrics.items()
        }
        self.point = resume.Point(progress, history, self._before + time.time() - self._started)
        self._spectra.record(self.epochs, progress.state)
        self._writer.write(self.epochs, metrics)
        self._report.update(metrics)
        warn_of_divergence(progress.diverged_epoch + 1, self.epochs)

    def save(self) -> None:
        """Saves the epochs so far, so that the run can resume from them."""
        if jax.process_index() == 0:
            resume.save(self.folder / checkpoint.FOLDER, self.point, self._identity)

    def finish(self, engine: Engine) -> None:
        """Measures the trained nets, and writes all remaining results."""
        # Here, so that matplotlib loads after training has begun.
        from jaxnoise.experiments import run_figures
        from jaxnoise.figures.drawing import apart

        started, folder, config, dataset = time.time(), self.folder, self.config, self.dataset
        progress, history, seconds = self.point
        diverged = divergence.epochs(history)
        with activity.doing("measuring the Jacobian norms, calibration and detection"):
            groups = engine.trainer.spread(progress.best_state, self.members, engine.pictures)
            of_nets, logits = measurement.of_nets(config, dataset, engine, groups)
            scores = (
                measurement.of_history(history, progress.best_epoch)
                | of_nets
                | measurement.of_losses(dataset, progress.suspicion.score)
            )
            estimated, matrices = measurement.of_predictions(dataset, logits)
            found = measurement.of_thresholds(dataset, progress.suspicion.score) | estimated
        for name, state in zip(checkpoint.NETS, (progress.best_state, progress.state), strict=True):
            checkpoint.save_nets(folder, name, state)
        if config.ema_decay is not None:
            checkpoint.save_nets(folder, checkpoint.EMA, progress.with_average)
        write_history(folder, history)
        samples = of_progress(progress)
        write_samples(folder, samples)
        write_suspects(folder, dataset, samples, votes=diverged == 0)
        if config.best_by is not None:
            noise_record.write_estimates(folder, matrices)
        seconds += time.time() - started
        documents.write_config(folder, config, self._facts | self._times(seconds))
        report = scoring.Report(
            scores,
            selection.select(history),
            diverged,
            noise.summary(config, dataset.noisy_labels[: config.draws]),
            config.best_by,
            found,
        )
        documents.write_scores(folder, report)
        drawn = time.time()
        drawing = activity.doing("drawing the figures", logged=False)
        with drawing, apart(f"the figures in {folder / 'figures'}"):
            best_epoch = np.nan_to_num(scores["best_epoch"]).astype(int)
            run_figures.draw(folder, config, dataset, history, samples, best_epoch)
        resume.clear(folder / checkpoint.FOLDER)
        announcements.scores(folder)
        if diverged.any():
            log.warning(
                "Warning: %s; mean and std are over %s",
                divergence.in_words(diverged),
                divergence.covered(diverged),
            )
        seconds += time.time() - drawn
        log.info("Took %.0f s. Results: %s", seconds, folder)

    def _times(self, seconds: float) -> dict[str, float]:
        """For config.json: the time until here and, if it is known, that of the epochs alone."""
        took, config = self.time_left.measured, self.config
        training = TimeLeft(config.epochs_num, 0, assembly.jacob_start(config), took)
        all_epochs, at_least = training.seconds
        found = {"wall_seconds": round(seconds, 1)}
        if all_epochs is not None and not at_least:
            found["training_seconds_per_repeat"] = round(all_epochs / self._together, 3)
        return found
