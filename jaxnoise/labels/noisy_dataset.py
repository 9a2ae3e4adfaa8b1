"""The data of a run: a data set in three splits, with noisy labels for training."""

import dataclasses

import numpy as np

from jaxnoise import activity, data
from jaxnoise.config import FIELDS, Config, InputError
from jaxnoise.datasets.preprocessing import Preprocessing, preprocessing
from jaxnoise.datasets.splits import stratified
from jaxnoise.labels import named, noise, reading
from jaxnoise.labels.given import GivenLabels
from jaxnoise.noise_files.table import table_of

SPLITS = ("train", "valid", "test")


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class SplitDataset:
    """A data set in three splits, one after the other, before any noise.

    A part of the original train set, the *training part*, is trained on; the rest of it is the
    *validation part*. If the data set has a validation split of its own, that is the validation
    part; it stands at the end of the original train set.
    """

    images: np.ndarray  # uint8 (pictures, height, width, channels): train, valid, test
    labels: np.ndarray  # int32 (pictures,), true
    split: np.ndarray  # int32 (pictures,), index into SPLITS
    preprocessing: Preprocessing
    train_index: np.ndarray  # places of the training part in the original train set
    valid_index: np.ndarray  # the same for the validation part
    original: data.Dataset  # without its pictures

    @property
    def num_classes(self) -> int:
        return self.original.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.original.class_names

    @property
    def data_sha256(self) -> str:
        """SHA-256 of the whole data set, pictures and labels."""
        return self.original.sha256

    @property
    def train_files(self) -> tuple[str, ...]:
        """Files of the training part; empty unless the data set comes from class folders."""
        files = self.original.train_files
        return tuple(files[i] for i in self.train_index) if files else ()


@dataclasses.dataclass(frozen=True, eq=False)
class NoisyDataset(SplitDataset):
    """A split data set with the labels to train on."""

    noisy_labels: tuple[noise.NoisyLabels, ...]  # of the training part, by repeat
    noisy_valid_labels: tuple[noise.NoisyLabels, ...]  # of the validation part, by repeat


def load(
    config: Config,
    given: GivenLabels | None = None,
    splits: SplitDataset | None = None,
) -> NoisyDataset:
    """Loads the data set, splits it, and corrupts the labels of the training and validation parts.

    Repeat i uses draw d = i mod `config.draws` of the noise, whose seed is noise_seed + d.

    Args:
      given: noisy labels to use, whatever noise `config` sets.
      splits: the result of `load_splits`, if it is already loaded.

    Raises:
      InputError: see `data.load`, `noise.model` and `reading.read_labels`; or a size is larger
        than that of the data set.
    """
    # First, so that an error comes before any download.
    by_place = False
    if given is None and config.noise_is_given:
        table = table_of(config)
        given = named.of_table(config, table) or reading.read_labels(config, table)
        by_place = not isinstance(given, named.NamedLabels)
    model = noise.model(config) if given is None else None
    splits = splits or load_splits(config)
    if by_place and config.split_seed and splits.original.test_is_drawn:
        # Of another split, as many labels in the order of classes would agree with most true ones.
        raise InputError(
            f"--split_seed={config.split_seed}: allowed is 0 (the default) with "
            f"{given.source}, whose labels are given by place: which image has which place "
            "depends on the seed; allowed with others is a CSV of file,label"
        )
    if isinstance(given, named.NamedLabels):
        given = given.numbered(splits.original)
    samples, valid_samples = len(splits.train_index), len(splits.valid_index)
    if config.batch_size > samples:
        raise InputError(
            f"--batch_size={config.batch_size}: allowed is 1 to {samples}, the number of training "
            "samples"
        )
    train, valid = (
        noise.CleanSamples(splits.labels[part], splits.images[part], splits.num_classes)
        for part in (slice(samples), slice(samples, samples + valid_samples))
    )
    if given is not None:
        given = given.placed(splits.original, trust=config.trust_noise_file)
        given.check(splits.original, rate=config.noise_file_rate, trust=config.trust_noise_file)
        given = given.completed(splits.original, validation_labels=config.validation_labels)
        parts = (
            given.of(splits.train_index, train.labels),
            given.of(splits.valid_index, valid.labels),
        )
        draws = list(zip(*parts, strict=True))
    else:
        seeds = range(config.noise_seed, config.noise_seed + config.draws)
        draws = [noise.corrupt(model, train, valid, seed=seed) for seed in seeds]
    noisy_labels, noisy_valid_labels = zip(
        *(draws[repeat % config.draws] for repeat in range(config.total_repeats)), strict=True
    )
    return NoisyDataset(
        **vars(splits), noisy_labels=noisy_labels, noisy_valid_labels=noisy_valid_labels
    )


def load_splits(config: Config) -> SplitDataset:
    """Loads the data set and splits it; the result does not depend on the noise.

    Raises:
      InputError: see `data.load`; or a size is larger than that of the data set.
    """
    with activity.doing(f"loading the images of {config.dataset}", logged=False):
        dataset = data.load(
            config.dataset,
            data_dir=config.data_dir,
            manual_dir=config.manual_dir,
            cache_dir=config.cache_dir,
            split_seed=config.split_seed,
            image_size=config.image_size,
        )
    seed, train_labels, test_labels = config.split_seed, dataset.train_labels, dataset.test_labels
    rest = len(train_labels) - dataset.valid_size
    pool = _subset(rest, config.train_size, "train_size", seed)
    test_index = _subset(len(test_labels), config.test_size, "test_size", seed)
    if dataset.valid_size:
        _check_own_validation(config)
        train_index, valid_index = pool, np.arange(rest, len(train_labels))
    else:
        train_index, valid_index = (
            pool[part]
            for part in stratified(
                train_labels[pool],
                ratio=config.validation_ratio,
                num_classes=dataset.num_classes,
                seed=seed,
            )
        )
    train_images = dataset.train_images[train_index]
    sizes = [len(train_index), len(valid_index), len(test_index)]
    images = [train_images, dataset.train_images[valid_index], dataset.test_images[test_index]]
    labels = [train_labels[train_index], train_labels[valid_index], test_labels[test_index]]
    return SplitDataset(
        images=np.concatenate(images),
        labels=np.concatenate(labels),
        split=np.repeat(np.arange(len(SPLITS), dtype=np.int32), sizes),
        preprocessing=preprocessing(
            config.preprocess_mode,
            train_images,
            channel_mean=config.moments("channel_mean"),
            channel_std=config.moments("channel_std"),
        ),
        train_index=train_index,
        valid_index=valid_index,
        original=dataset.without_pictures(),
    )


def _check_own_validation(config: Config) -> None:
    """Refuses settings that would change nothing, so that no one takes equal runs for different."""
    default = FIELDS["validation_ratio"].default
    if config.validation_ratio != default:
        raise InputError(
            f"--validation_ratio={config.validation_ratio:g}: allowed is {default:g} (the "
            f"default) with --dataset={config.dataset}, whose own validation part is used as "
            "it is"
        )
    if config.split_seed and not config.train_size and not config.test_size:
        raise InputError(
            f"--split_seed={config.split_seed}: allowed is 0 (the default) with "
            f"--dataset={config.dataset}, whose three splits are used as they are; with "
            "--train_size or --test_size, others are allowed"
        )


def _subset(available: int, size: int, flag: str, seed: int) -> np.ndarray:
    """Indices of a fixed random subset, in random order; if `size` is 0, all of them in order."""
    if size > available:
        raise InputError(f"--{flag}={size}: allowed is 0 (all) to {available}, the split's size")
    order = np.random.RandomState(seed).permutation(available)
    return order[:size] if size else np.arange(available)
