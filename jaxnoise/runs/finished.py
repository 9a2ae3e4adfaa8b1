"""A finished run as an object: its numbers, its labels, its nets."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special

from jaxnoise.config import Config, InputError
from jaxnoise.datasets.preprocessing import as_stored
from jaxnoise.labels.noisy_dataset import NoisyDataset, load_splits
from jaxnoise.runs import checkpoint, folders
from jaxnoise.runs.history import read_history
from jaxnoise.runs.noise_record import read_noise
from jaxnoise.runs.record import read_record, searching_data, warn_of_other_code
from jaxnoise.runs.samples import read_samples, suspects
from jaxnoise.scores import divergence
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
          images: one or more, (pictures, height, width, channels), of the data set's size: uint8 in
            [0, 255] as in the data set, or float in [0, 1], which is uint8/255. One picture may
            lack the first axis, and grey pictures may lack the last one.

        Returns:
          float32 (repeats, pictures, classes); of one picture without the first axis
          (repeats, classes).

        Raises:
          InputError: the images have another dtype or shape, or a float is NaN or outside [0, 1].
        """
        return self._measure(images)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """The probability of each class by each net: softmax of `logits`.

        As in scikit-learn, but for the axis of repeats that comes first. Their mean over that axis
        is the prediction of all nets together.

        Args:
          images: see `logits`.

        Returns:
          float32 (repeats, pictures, classes), in [0, 1], with sum 1 over classes; of one picture
          without the first axis (repeats, classes).

        Raises:
          InputError: see `logits`.
        """
        return scipy.special.softmax(self.logits(images), axis=-1)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The most likely class by each net, the first of equals.

        As in scikit-learn, but for the axis of repeats that comes first.

        Args:
          images: see `logits`.

        Returns:
          int32 (repeats, pictures), indices into `FinishedRun.class_names`; of one picture without
          the first axis (repeats,).

        Raises:
          InputError: see `logits`.
        """
        return self.logits(images).argmax(axis=-1).astype(np.int32)


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
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self.dataset.class_names

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
    def suspects(self) -> dict[str, np.ndarray]:
        """suspects.csv by its columns, the most suspicious label first, from samples.npz.

        `index` is the place in the original training set, int; given_label, predicted_label and, if
        any label is known to be wrong, true_label are names in `class_names`; `score` is the loss
        on the given label, mean over epochs and repeats, nats; `file` is there if the data set has
        files. Each has shape (training samples,); or (repeats, training samples) if repeats were
        given different labels (--noise_draws), and each has a list of its own.
        """
        votes = divergence.epochs(self.history) == 0
        lists = suspects(self.dataset, self.samples, votes=votes).values()
        if len(lists) == 1:
            return next(iter(lists))
        first, *_ = lists
        return {name: np.stack([each[name] for each in lists]) for name in first}

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
    def ema(self) -> Nets:
        """The nets with the moving average of the weights, at the same moment as `last`.

        Raises:
          InputError: the run was made without --ema_decay.
        """
        if self.config.ema_decay is None:
            raise InputError(
                f"RUN_DIR={self.folder}: has no moving average of the weights; allowed is a run "
                "made with --ema_decay"
            )
        return self._nets(checkpoint.EMA)

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
            images, single = as_stored(images, image_shape)
            index = np.arange(len(images), dtype=np.int32)
            shown = pictures._replace(images=images)
            found = trainer.gather(trainer.logits(states, shown, index), repeats)
            return found[:, 0] if single else found

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
