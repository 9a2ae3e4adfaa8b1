"""The transition matrices that --loss=forward corrects with, one for each repeat."""

import dataclasses

import jax
import numpy as np

from jaxnoise.config import Config, InputError
from jaxnoise.labels import transition
from jaxnoise.labels.noisy_dataset import NoisyDataset
from jaxnoise.runs import checkpoint
from jaxnoise.runs.folders import run_folder
from jaxnoise.training import assembly, devices, measurement


def first_stage(config: Config) -> Config | None:
    """The run that the matrices, if estimated, are estimated from: the same with cross-entropy."""
    if config.loss != "forward" or config.forward_matrix != "estimated":
        return None
    return dataclasses.replace(
        config, loss="ce", forward_matrix="true", resume=True, overwrite=False
    )


def of_repeats(config: Config, dataset: NoisyDataset) -> np.ndarray | None:
    """float32 (repeats, K, K), row i the distribution of the label if the true class is i.

    None if the loss needs no matrix.

    Raises:
      InputError: a given matrix cannot be used, or a matrix cannot be estimated.
    """
    if config.loss != "forward":
        return None
    if config.forward_file:
        matrix = transition.read(
            config.forward_file, flag="forward_file", num_classes=dataset.num_classes
        )
        for labels in dataset.noisy_labels:
            flag = f"forward_file={config.forward_file}"
            transition.check_labels(matrix, labels.noisy, flag=flag)
        return np.stack([matrix] * config.total_repeats)
    first = first_stage(config)
    if first is None:
        return np.stack([transition.of_draw(x, dataset.num_classes) for x in dataset.noisy_labels])
    return _estimated(first, dataset)


def _estimated(first: Config, dataset: NoisyDataset) -> np.ndarray:
    """Estimates by the nets of the first stage, at the best epoch, on the training part."""
    engine, members = assembly.engine(first, dataset), assembly.members(first, dataset)
    folder, nets = run_folder(first), None
    if jax.process_index() == 0:  # the others have no results
        nets = checkpoint.read_nets(
            folder, "best", engine.program, dataset.images.shape[1:], first.total_repeats
        )
    nets = devices.of_the_first(nets)
    train = measurement.split_index(dataset, "train")
    states = engine.trainer.spread(nets, members, engine.pictures)
    measured = engine.trainer.logits(states, engine.pictures, train)
    logits = engine.trainer.gather(measured, first.total_repeats)
    try:
        return np.stack([transition.estimate(np.asarray(jax.nn.softmax(x))) for x in logits])
    except ValueError as error:
        raise InputError(
            f"--forward_matrix=estimated: {folder}: {error}; the first run must learn something"
        ) from error
