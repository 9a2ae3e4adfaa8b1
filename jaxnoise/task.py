"""What there is to learn: a data set in three splits, the labels of the training part corrupted."""

from typing import NamedTuple

import numpy as np

from jaxnoise import data, named_labels, noise, noise_files
from jaxnoise.config import Config, InputError
from jaxnoise.splits import stratified

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


class Splits(NamedTuple):
    """A data set in three splits, before any noise."""

    dataset: data.Dataset
    train_index: np.ndarray  # places in the data set's train set, as valid_index
    valid_index: np.ndarray
    images: np.ndarray  # see `Task`, as labels and split
    labels: np.ndarray
    split: np.ndarray
    preprocessing: data.Preprocessing

    @property
    def num_classes(self) -> int:
        return self.dataset.num_classes


def load(
    config: Config, given: noise_files.GivenLabels | None = None, splits: Splits | None = None
) -> Task:
    """Loads the data set, splits it, and corrupts the labels of training and validation part.

    Repeat i has draw i modulo `config.draws` of the noise, of seed noise_seed plus that.

    Args:
      given: noisy labels to take, whatever noise `config` asks for.
      splits: those of `load_splits`, where they are loaded already.

    Raises:
      InputError: see `data.load`, `noise.MODELS` and `noise_files.read_labels`; or a size that the
        data set does not have.
    """
    # An error comes before data are downloaded.
    if given is None and config.noise_is_given:
        given = named_labels.read(config) or noise_files.read_labels(config)
    model = noise.MODELS[config.noise_type](config) if given is None else None
    splits = splits or load_splits(config)
    dataset, train_index, valid_index, images, true_labels, split, preprocessing = splits
    if isinstance(given, named_labels.NamedLabels):
        given = given.numbered(dataset)
    if config.batch_size > len(train_index):
        raise InputError(
            f"--batch_size={config.batch_size}: allowed is 1 to {len(train_index)}, the training "
            "samples"
        )
    ends = len(train_index), len(train_index) + len(valid_index)
    train, valid = (
        noise.CleanSamples(true_labels[part], images[part], dataset.num_classes)
        for part in (slice(ends[0]), slice(*ends))
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
    return Task(
        images=images,
        labels=true_labels,
        split=split,
        preprocessing=preprocessing,
        noisy_labels=noisy_labels,
        noisy_valid_labels=noisy_valid_labels,
        train_index=train_index,
        valid_index=valid_index,
        class_names=dataset.class_names,
        data_sha256=dataset.sha256,
        train_files=tuple(dataset.train_files[i] for i in train_index)
        if dataset.train_files
        else (),
    )


def load_splits(config: Config) -> Splits:
    """Loads the data set and splits it: the same for all labels.

    Raises:
      InputError: see `data.load`; or a size that the data set does not have.
    """
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
        for part in stratified(
            train_labels[pool], ratio=config.validation_ratio, num_classes=dataset.num_classes
        )
    )
    train_images = dataset.train_images[train_index]
    sizes = [len(train_index), len(valid_index), len(test_index)]
    return Splits(
        dataset,
        train_index,
        valid_index,
        np.concatenate(
            [train_images, dataset.train_images[valid_index], dataset.test_images[test_index]]
        ),
        np.concatenate(
            [train_labels[train_index], train_labels[valid_index], test_labels[test_index]]
        ),
        np.repeat(np.arange(len(SPLITS), dtype=np.int32), sizes),
        data.preprocessing(config.preprocess_mode, train_images),
    )


def _subset(available: int, size: int, flag: str) -> np.ndarray:
    """Indices of a fixed random subset in random order; all of them, in order, if `size` is 0."""
    if size > available:
        raise InputError(f"--{flag}={size}: allowed is 0 (all) to {available}, all there are")
    return np.random.RandomState(0).permutation(available)[:size] if size else np.arange(available)
