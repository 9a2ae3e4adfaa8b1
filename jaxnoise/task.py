"""What there is to learn: a data set in three splits, the labels of the training part corrupted."""

from typing import NamedTuple

import numpy as np

from jaxnoise import data, named_labels, noise, noise_files, splits
from jaxnoise.config import Config, InputError

SPLITS = ("train", "valid", "test")


class Task(NamedTuple):
    """The pictures in three splits, one behind the other, and the labels to train on."""

    images: np.ndarray  # uint8 (pictures, height, width, channels): train, valid, test
    labels: np.ndarray  # int32 (pictures,), true
    split: np.ndarray  # int32 (pictures,), index into SPLITS
    preprocessing: data.Preprocessing
    noisy_labels: tuple[noise.NoisyLabels, ...]  # of the training part, for each repeat
    noisy_valid_labels: tuple[noise.NoisyLabels, ...]  # of the validation part, the same way
    train_index: np.ndarray  # where the training part stands in the original train set
    valid_index: np.ndarray
    class_names: tuple[str, ...]
    data_sha256: str  # of the whole data set, pictures and labels
    train_files: tuple[str, ...]  # of the training part; empty unless it is from class folders

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def load(config: Config, given: noise_files.GivenLabels | None = None) -> Task:
    """Loads the data set, splits it, and corrupts the labels of training and validation part.

    Repeat i has draw i modulo `config.draws` of the noise, of seed noise_seed plus that.

    Args:
      given: noisy labels to take, whatever noise `config` asks for.

    Raises:
      InputError: see `data.load`, `noise.MODELS` and `noise_files.read_labels`; or a size that the
        data set does not have.
    """
    # An error comes before data are downloaded.
    if given is None and config.noise_is_given:
        given = named_labels.read(config) or noise_files.read_labels(config)
    model = noise.MODELS[config.noise_type](config) if given is None else None
    dataset = data.load(
        config.dataset,
        data_dir=config.data_dir,
        manual_dir=config.manual_dir,
        cache_dir=config.cache_dir,
    )
    if isinstance(given, named_labels.NamedLabels):
        given = given.numbered(dataset)
    train_labels, test_labels = dataset.train_labels, dataset.test_labels
    pool = _subset(len(train_labels), config.train_size, "train_size")
    test_index = _subset(len(test_labels), config.test_size, "test_size")
    train_index, valid_index = (
        pool[part]
        for part in splits.stratified(
            train_labels[pool], ratio=config.validation_ratio, num_classes=dataset.num_classes
        )
    )
    if config.batch_size > len(train_index):
        raise InputError(
            f"--batch_size={config.batch_size}: allowed is 1 to {len(train_index)}, the training "
            "samples"
        )
    train, valid = (
        noise.CleanSamples(train_labels[index], dataset.train_images[index], dataset.num_classes)
        for index in (train_index, valid_index)
    )
    if given is not None:
        given.check(dataset)
        parts = given.of(train_index, train.labels), given.of(valid_index, valid.labels)
        draws = list(zip(*parts, strict=True))
    else:
        seeds = range(config.noise_seed, config.noise_seed + config.draws)
        draws = [noise.corrupt(model, train, valid, seed=seed) for seed in seeds]
    noisy_labels, noisy_valid_labels = zip(
        *(draws[repeat % config.draws] for repeat in range(config.total_repeats)), strict=True
    )
    sizes = [len(train_index), len(valid_index), len(test_index)]
    return Task(
        images=np.concatenate([train.images, valid.images, dataset.test_images[test_index]]),
        labels=np.concatenate([train.labels, valid.labels, test_labels[test_index]]),
        split=np.repeat(np.arange(len(SPLITS), dtype=np.int32), sizes),
        preprocessing=data.preprocessing(config.preprocess_mode, train.images),
        noisy_labels=noisy_labels,
        noisy_valid_labels=noisy_valid_labels,
        train_index=train_index,
        valid_index=valid_index,
        class_names=dataset.class_names,
        data_sha256=dataset.sha256,
        train_files=tuple(dataset.train_files[i] for i in train_index if dataset.train_files),
    )


def _subset(available: int, size: int, flag: str) -> np.ndarray:
    """Indices of a fixed random subset in random order; all of them, in order, if `size` is 0."""
    if size > available:
        raise InputError(f"--{flag}={size}: allowed is 0 (all) to {available}, all there are")
    return np.random.RandomState(0).permutation(available)[:size] if size else np.arange(available)
