"""The settings of a task: data set, label noise and splits, and which combinations are allowed."""

import dataclasses
import os
import re

from jaxnoise.config import class_folders
from jaxnoise.config.flags import InputError, numbers
from jaxnoise.config.flags import flag as _flag

# The allowed heights and widths of images, in pixels; a network may need larger ones.
IMAGE_SIDES = (16, 128)
IMAGE_SIZES = "{0}x{0} to {1}x{1}".format(*IMAGE_SIDES)

# Arrays of the user's own are `arrays:NAME@DIGEST`, see `datasets.own_arrays`.
ARRAYS_PREFIX = "arrays:"
ARRAYS_NAME = "[A-Za-z0-9_-]{1,60}"

# What makes the labels noisy, and how.
NOISE_FLAGS = (
    "noise_type", "noise_rate", "noise_options", "flip_map", "noise_matrix", "wave_frequency",
    "human_labels", "noise_file", "noise_draws", "noise_seed", "noise_per_repeat",
)  # fmt: skip


# Of these the defaults of nets and losses, maps of flip_noise and human labels are known.
_DATASETS = (
    "digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "cifar10_n", "cifar100_n",
    "svhn_cropped",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned from; `Config` adds how it is learned, and checks both."""

    dataset: str = _flag(
        "cifar10",
        "Data set: mnist, fashion_mnist, cifar10, cifar100, digits (bundled, needs no network), "
        "folder:PATH (your own images, one folder per class, in PATH/train, PATH/test and perhaps "
        "PATH/val, or directly in PATH), arrays:NAME@DIGEST (your own arrays, as jaxnoise.Arrays "
        "of Python names them), or any other TFDS classification set. Images are grey or "
        f"RGB, from {IMAGE_SIZES}, or of any size with --image_size.",
    )
    noise_type: str = _flag(
        "uniform_noise",
        "Label noise. Picked samples get a label drawn from all classes, including their own "
        "(uniform_noise), from the other classes (symmetric_noise) or from a row of "
        "--noise_matrix (matrix_noise), or they get the label of a similar class (flip_noise) or "
        "of the next class (pair_noise). instance_noise, part_dependent_noise and "
        "shared_instance_noise depend on each image, concentrated_noise fills whole "
        "neighbourhoods of images, wave_noise follows a wave through the images, and human_noise "
        "takes the human labels of CIFAR-10N and CIFAR-100N.",
        choices=(
            "uniform_noise",
            "symmetric_noise",
            "flip_noise",
            "pair_noise",
            "matrix_noise",
            "instance_noise",
            "part_dependent_noise",
            "shared_instance_noise",
            "concentrated_noise",
            "wave_noise",
            "human_noise",
        ),
    )
    noise_rate: float = _flag(
        0.0,
        "Noise rate (requested): the share of training samples to corrupt; human_noise and "
        "--noise_file have their own.",
        low=0.0,
        high=1.0,
    )
    noise_options: str | None = _flag(
        None, 'Hyper-parameters of a noise model of --user_code, as in "strength=2".'
    )
    flip_map: str = _flag(
        "paper",
        "Class map of flip_noise: paper (Bar et al. 2022), patrini (Patrini et al. 2017), pair "
        "(each class to the next), superclass (cifar100: each class to the next of its "
        "superclass).",
        choices=("paper", "patrini", "pair", "superclass"),
    )
    noise_matrix: str | None = _flag(
        None,
        "File (.npy, .csv) with the matrix of matrix_noise: row i is the distribution of a picked "
        "sample's label if its class is i; with --noise_rate=1 it is the transition matrix.",
        is_file=True,
    )
    wave_frequency: float | None = _flag(
        None,
        "Frequency of wave_noise, in cycles per standard deviation of a class's images along their "
        "first principal component.",
        low=0.0,
        open_range=True,
    )
    human_labels: str | None = _flag(
        None,
        "Annotations for human_noise: worse_label, aggre_label, random_label1, random_label2 or "
        "random_label3 of CIFAR-10N, or noise_label of CIFAR-100N.",
        choices=(
            "worse_label",
            "aggre_label",
            "random_label1",
            "random_label2",
            "random_label3",
            "noise_label",
        ),
    )
    noise_file: str | None = _flag(
        None,
        "File with the labels to train on, instead of --noise_type: a run's noise.npz, or one "
        "label per sample of the training set as .npz, .npy, .csv (label,label_noisy), .pt or JSON "
        "list, in the order of the TFDS copy or of the original files; for folder:PATH also .csv "
        "(file,label).",
        is_file=True,
    )
    noise_file_rate: float | None = _flag(
        None,
        "Noise rate that the labels of --noise_file should have. If clearly more of them differ "
        "from the true labels, that is an error: mostly some are in another order.",
        low=0.0,
        high=1.0,
        where_only=True,
    )
    trust_noise_file: bool = _flag(
        False,
        "Train on the labels of --noise_file even if they agree with the true labels no more often "
        "than by chance, or on human labels even if their noise rate is not the published one. "
        "Otherwise that is an error: mostly they are in another order.",
        where_only=True,
    )
    noise_draws: int = _flag(
        1,
        "Number of draws of the noise, which the repeats use in turn: repeat i trains on draw "
        "d = i modulo noise_draws, whose seed is noise_seed + d.",
        low=1,
    )
    noise_seed: int = _flag(0, "Seed of the label noise.", low=0)
    noise_per_repeat: bool = _flag(False, "Use a separate draw of the noise for each repeat.")
    validation_ratio: float = _flag(
        0.1,
        "Share of the training data that is set aside for validation, unless folder:PATH has a "
        "folder val. 0 sets nothing aside and trains on everything: there is no best epoch then, "
        "and the scores are those of the last one.",
        low=0.0,
        high=1.0,
        below_high=True,
    )
    validation_labels: str = _flag(
        "clean",
        "Validation labels that choose the best epoch, and so determine the scores: clean as in "
        "the paper, or noisy like the training labels, for when there are no clean ones.",
        choices=("clean", "noisy"),
    )
    preprocess_mode: str = _flag(
        "range_0_to_1",
        "Preprocessing: range_0_to_1 divides images by 255, mean_substract subtracts the mean "
        "training image, mean_std subtracts from each channel its mean over the training images "
        "and divides it by its standard deviation.",
        choices=("range_0_to_1", "mean_substract", "mean_std"),
    )
    channel_mean: str | None = _flag(
        None,
        "Means of the channels for --preprocess_mode=mean_std, as shares of 255 separated by "
        "commas, as in 0.4914,0.4822,0.4465; default: those of the training images.",
        listed=True,
    )
    channel_std: str | None = _flag(
        None, "Standard deviations of the channels, like --channel_mean.", listed=True
    )
    image_size: int | None = _flag(
        None,
        "Bring all images to this height and width, in pixels: the shorter side is scaled to it, "
        "bilinearly and without aliasing, and the middle of the longer side is kept. By default "
        "they are used as stored, and have to be of one size.",
        low=IMAGE_SIDES[0],
        high=IMAGE_SIDES[1],
    )
    train_size: int = _flag(
        0,
        "Use only this many samples of the training set (before the validation split); 0 = all.",
        low=0,
    )
    test_size: int = _flag(0, "Use only this many samples of the test set; 0 = all.", low=0)
    split_seed: int = _flag(
        0,
        "Seed of the splits: which training samples are for validation, which ones --train_size "
        "and --test_size use, and which images of a folder:PATH without train and test are for "
        "testing.",
        low=0,
    )

    def check_dataset(self) -> None:
        """Refuses other spellings of a data set, which TFDS would take for the same set."""
        near = re.sub(r"[^a-z0-9]", "", self.dataset.lower())
        for name in _DATASETS:
            if near == name.replace("_", "") and self.dataset != name:
                raise InputError(f"--dataset={self.dataset}: allowed is {name}")
        if self.dataset.startswith(ARRAYS_PREFIX):
            if not re.fullmatch(f"{ARRAYS_PREFIX}{ARRAYS_NAME}@[0-9a-f]{{16}}", self.dataset):
                raise InputError(
                    f"--dataset={self.dataset}: allowed is arrays:NAME@DIGEST with 16 hexadecimal "
                    "digits, as the attribute dataset of jaxnoise.Arrays has it"
                )
            return
        folder = self.dataset.startswith(class_folders.PREFIX)
        if not folder and os.path.isabs(os.path.expanduser(self.dataset)):
            raise InputError(
                f"--dataset={self.dataset}: allowed are folder:PATH, as in folder:{self.dataset}, "
                "and names of data sets"
            )
        if not folder and self.dataset != self.dataset.lower():
            raise InputError(
                f"--dataset={self.dataset}: allowed are TFDS names, which are in lower case as in "
                "fashion_mnist, and folder:PATH"
            )

    def check_preprocessing(self) -> None:
        """Rejects moments of the channels that would do nothing, or of which there is one alone."""
        for name, other in (("channel_mean", "channel_std"), ("channel_std", "channel_mean")):
            value = getattr(self, name)
            if value is None:
                continue
            if self.preprocess_mode != "mean_std":
                raise InputError(
                    f"--{name}={value} with --preprocess_mode={self.preprocess_mode}: allowed only "
                    "with --preprocess_mode=mean_std"
                )
            if getattr(self, other) is None:
                raise InputError(f"--{name}={value}: requires --{other}")
            low_is_allowed = name == "channel_mean"
            if not all(0 < x < 1 or (x == 0 and low_is_allowed) for x in self.moments(name)):
                raise InputError(
                    f"--{name}={value}: allowed are shares of 255, each in "
                    f"{'[' if low_is_allowed else '('}0, 1)"
                )

    def moments(self, name: str) -> tuple[float, ...]:
        """The numbers of --channel_mean or --channel_std; empty if it is not given."""
        value = getattr(self, name)
        return () if value is None else numbers(name, value, float)

    def check_noise(self) -> None:
        """Rejects flags of the noise that contradict each other, or that would do nothing."""
        for name, noise_type in (
            ("flip_map", "flip_noise"),
            ("noise_matrix", "matrix_noise"),
            ("wave_frequency", "wave_noise"),
            ("human_labels", "human_noise"),
        ):
            value, used = getattr(self, name), self.noise_type == noise_type
            if value is None and used:
                raise InputError(f"--noise_type={noise_type}: requires --{name}")
            if value not in (None, "paper") and not used:
                raise InputError(
                    f"--{name}={value} with --noise_type={self.noise_type}: allowed only with "
                    f"--noise_type={noise_type}"
                )
        if self.noise_file and self.noise_type != "uniform_noise":
            raise InputError(
                f"--noise_file={self.noise_file} with --noise_type={self.noise_type}: allowed is "
                "one of them, since the labels in the file are already noisy"
            )
        if self.trust_noise_file and not self.noise_is_given:
            raise InputError(
                "--trust_noise_file: requires --noise_file or --noise_type=human_noise"
            )
        if self.noise_file_rate is not None and not self.noise_file:
            raise InputError(f"--noise_file_rate={self.noise_file_rate:g}: requires --noise_file")
        if self.noise_rate and self.noise_is_given:
            raise InputError(
                f"--noise_rate={self.noise_rate:g}: allowed is 0 (the default) with {self.noise}, "
                "whose labels have a rate of their own"
            )
        if self.noise_type == "matrix_noise" and not self.noise_rate:
            raise InputError(
                "--noise_rate=0: allowed is (0, 1] with matrix_noise; 1 uses the matrix as it is"
            )
        if self.noise_per_repeat and self.noise_draws > 1:
            raise InputError(
                f"--noise_draws={self.noise_draws} with --noise_per_repeat: allowed is one of them"
            )

    @property
    def noise(self) -> str:
        """The noise in two words, its model and rate, or the source of the labels.

        Waves of different frequencies are different models, and so is one of --user_code with
        different hyper-parameters.
        """
        if self.noise_file:
            return "noise_file"
        if self.noise_type == "wave_noise":
            return f"wave_noise_{self.wave_frequency:g} {self.noise_rate:g}"
        model = "_".join(filter(None, [self.noise_type, self.options_name("noise_model")]))
        return f"{model} {self.human_labels or format(self.noise_rate, 'g')}"

    @property
    def noise_is_given(self) -> bool:
        """Whether the noisy labels are read, not drawn: they have no requested rate and no seed."""
        return self.noise_file is not None or self.noise_type == "human_noise"
