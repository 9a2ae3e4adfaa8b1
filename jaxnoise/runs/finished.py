"""A finished run as an object: its numbers, its labels, its nets."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise.config import Config, InputError
from jaxnoise.labels.noisy_dataset import NoisyDataset, load_splits
from jaxnoise.runs import checkpoint, folders
from jaxnoise.runs.history import read_history
from jaxnoise.runs.noise_record import read_noise
from jaxnoise.runs.record import read_record, searching_data, warn_of_other_code
from jaxnoise.runs.samples import read_samples
from jaxnoise.training import assembly
from jaxnoise.training.assembly import Engine

log = logging.getLogger("jaxnoise")


@dataclasses.dataclass(frozen=True, eq=False)
class Nets:
    """The nets of all repeats at one moment of a run; every array leads with (repeats,)."""

    # As Flax has them: net.apply({"params": params, **variables}, …).
    params: Any = dataclasses.field(repr=False)
    # batch_stats and, with --do_sn, spectral
    variables: dict[str, Any] = dataclasses.field(repr=False)
    _measure: Callable[[np.ndarray], np.ndarray] = dataclasses.field(repr=False)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits in evaluation mode, by the run's own preprocessing and precision.

        Args:
          images: uint8 (pictures, height, width, channels) as in the data set, in [0, 255], one or
            more.

        Returns:
          float32 (repeats, pictures, classes).

        Raises:
          InputError: the images have another dtype or shape.
        """
        return self._measure(images)


@dataclasses.dataclass(frozen=True, eq=False)
class FinishedRun:
    """The results in a run's folder; whatever needs the data set is read when it is first used.

    Those parts, `dataset` and all below it, raise InputError if the data set cannot be loaded or is
    not the run's, or if their file is missing or damaged.
    """

    folder: Path
    config: Config
    # float (repeats,) for each name in `scoring.SCORES`; NaN for repeats that diverged, and for
    # what a run without a validation part does not have.
    scores: dict[str, np.ndarray] = dataclasses.field(repr=False)
    # Of every metric of metrics.jsonl, float32 (epochs, repeats).
    history: dict[str, np.ndarray] = dataclasses.field(repr=False)
    _facts: dict[str, Any] = dataclasses.field(repr=False)  # of config.json

    @property
    def dataset(self) -> NoisyDataset:
        """The pictures in three splits, their true labels, and the noisy ones of each repeat."""
        return self._labels[1]

    @property
    def task(self) -> NoisyDataset:
        """An earlier name of `dataset`."""
        return self.dataset

    @property
    def noise(self) -> dict[str, np.ndarray]:
        """noise.npz: noisy, picked, changed (draws, samples), clean (samples,), and so on."""
        return self._labels[0]

    @functools.cached_property
    def samples(self) -> dict[str, np.ndarray]:
        """samples.npz: loss, predicted and best_predicted, each (repeats, training samples).

        Loss is the mean over epochs. Predictions are those of the last epoch and of the nets
        `best`; an older run has none of the second kind.
        """
        return read_samples(self.folder, self.config, self.dataset)

    @functools.cached_property
    def best(self) -> Nets:
        """The nets at each repeat's best epoch, which the scores are of.

        Without a validation part (`config.best_by` is None) these are the last epoch's.
        """
        return self._nets("best")

    @functools.cached_property
    def last(self) -> Nets:
        """The nets after the last epoch, or before the one in which they diverged."""
        return self._nets("last")

    @functools.cached_property
    def _labels(self) -> tuple[dict[str, np.ndarray], NoisyDataset]:
        with searching_data(self._facts):
            splits = load_splits(self.config)
        recorded = self._facts.get("data_sha256")
        if recorded not in (None, splits.data_sha256):  # None: an older run
            raise InputError(
                f"RUN_DIR={self.folder}: the data set is not the one that the run used: its "
                f"SHA-256 is {splits.data_sha256[:16]}…, config.json says {recorded}"
            )
        return read_noise(self.folder, self.config, splits)

    @functools.cached_property
    def _engine(self) -> Engine:
        return assembly.engine(self.config, self.dataset)

    def _nets(self, which: str) -> Nets:
        program, trainer, pictures = self._engine
        members = assembly.members(self.config, self.dataset)
        repeats, image_shape = self.config.total_repeats, pictures.images.shape[1:]
        nets = checkpoint.read_nets(self.folder, which, program, image_shape, repeats)
        states = trainer.spread(nets, members, pictures)

        def logits(images: np.ndarray) -> np.ndarray:
            images = np.asarray(images)
            if images.dtype != np.uint8 or images.shape[1:] != image_shape or not len(images):
                raise InputError(
                    f"images are {images.dtype} of shape {images.shape}; allowed are uint8 of "
                    f"shape (1 or more, {', '.join(map(str, image_shape))})"
                )
            index = np.arange(len(images), dtype=np.int32)
            shown = pictures._replace(images=images)
            return trainer.gather(trainer.logits(states, shown, index), repeats)

        return Nets(nets.params, nets.variables, logits)


def load_run(folder: str | os.PathLike, **where: str) -> FinishedRun:
    """Reads a finished run.

    The `config` of the result has the results_dir in which the folder is, so that `run(config)`
    finds the run finished. If the folder has been renamed, there is no such results_dir. Then it is
    the one that the run was made with, and a warning says that `run(config)` would train again. So
    does one that names the code that has changed since the run, by which its nets are built.

    Args:
      folder: as the run prints it at its end, and as `run_folder(config)` returns it.
      where: data_dir, manual_dir, cache_dir: where the data are, if not where the run found them.

    Raises:
      InputError: there is no finished run, or it is damaged or from another version.
    """
    run = read_record(Path(os.path.expanduser(folder)), **where)
    warn_of_other_code(run)
    config, history = run.config, read_history(run.folder, run.config)
    results_dir = folders.results_dir_of(config, run.folder)
    if results_dir is not None:
        config = dataclasses.replace(config, results_dir=results_dir)
    else:
        log.warning(
            "Warning: RUN_DIR=%s: by the run's settings and data, its folder is called %s; "
            "run(config) does not find the run here, and would train it again",
            run.folder,
            Path(*folders.run_folder(config).parts[-3:]),
        )
    return FinishedRun(run.folder, config, run.report.scores, history, run.facts)
