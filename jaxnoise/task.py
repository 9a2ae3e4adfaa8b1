"""What there is to learn: a data set in three splits, the labels of the training part corrupted."""

from typing import NamedTuple

import numpy as np

from jaxnoise import data, noise
from jaxnoise.config import Config, InputError

SPLITS = ("train", "valid", "test")


class Task(NamedTuple):
    """The pictures in three splits, one behind the other, and the labels to train on."""

    images: np.ndarray  # uint8 (pictures, height, width, channels): train, valid, test
    labels: np.ndarray  # int32 (pictures,), true
    split: np.ndarray  # int32 (pictures,), index into SPLITS
    preprocessing: data.Preprocessing
    noisy_labels: noise.NoisyLabels  # of the training part
    noisy_valid_labels: noise.NoisyLabels  # of the validation part, by the same noise
    train_index: np.ndarray  # where the training part stands in the original train set
    valid_index: np.ndarray
    num_classes: int


def load(config: Config) -> Task:
    """Loads the data set, splits it, and corrupts the labels of training and validation part.

    Raises:
      InputError: see `data.load` and `noise.corrupt`; or a size that the data set does not have.
    """
    if config.noise_type == "flip_noise":
        noise.flip_map(config.dataset)  # an error comes before data are downloaded
    dataset = data.load(
        config.dataset,
        data_dir=config.data_dir,
        manual_dir=config.manual_dir,
        cache_dir=config.cache_dir,
    )
    train_labels, test_labels = dataset.train_labels, dataset.test_labels
    pool = _subset(len(train_labels), config.train_size, "train_size")
    test_index = _subset(len(test_labels), config.test_size, "test_size")
    train_index, valid_index = (
        pool[part]
        for part in data.validation_split(
            train_labels[pool], ratio=config.validation_ratio, num_classes=dataset.num_classes
        )
    )
    if config.batch_size > len(train_index):
        raise InputError(
            f"--batch_size={config.batch_size}: allowed is 1 to {len(train_index)}, the training "
            "samples"
        )
    # Two streams of one seed; the training part's must not depend on there being a second.
    noisy_labels, noisy_valid_labels = (
        noise.corrupt(
            train_labels[part],
            noise_type=config.noise_type,
            noise_rate=config.noise_rate,
            num_classes=dataset.num_classes,
            dataset=config.dataset,
            seed=seed,
        )
        for part, seed in (
            (train_index, config.noise_seed),
            (valid_index, (config.noise_seed, 1)),
        )
    )
    train_images = dataset.train_images[train_index]
    sizes = [len(train_index), len(valid_index), len(test_index)]
    return Task(
        images=np.concatenate(
            [train_images, dataset.train_images[valid_index], dataset.test_images[test_index]]
        ),
        labels=np.concatenate(
            [train_labels[train_index], train_labels[valid_index], test_labels[test_index]]
        ),
        split=np.repeat(np.arange(len(SPLITS), dtype=np.int32), sizes),
        preprocessing=data.preprocessing(config.preprocess_mode, train_images),
        noisy_labels=noisy_labels,
        noisy_valid_labels=noisy_valid_labels,
        train_index=train_index,
        valid_index=valid_index,
        num_classes=dataset.num_classes,
    )


def _subset(available: int, size: int, flag: str) -> np.ndarray:
    """Indices of a fixed random subset in random order; all of them, in order, if `size` is 0."""
    if size > available:
        raise InputError(f"--{flag}={size}: allowed is 0 (all) to {available}, all there are")
    return np.random.RandomState(0).permutation(available)[:size] if size else np.arange(available)
