"""The settings of a task: data set, label noise and splits, and which of them go together."""

import dataclasses

from jaxnoise.config.flags import InputError
from jaxnoise.config.flags import flag as _flag

# What makes the labels noisy, and how.
NOISE_FLAGS = (
    "noise_type", "noise_rate", "flip_map", "noise_matrix", "wave_frequency", "human_labels",
    "noise_file", "noise_draws", "noise_seed", "noise_per_repeat",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned from; `Config`, which adds how, checks it."""

    dataset: str = _flag(
        "cifar10",
        "Data set: mnist, fashion_mnist, cifar10, cifar100, digits (bundled, needs no network), "
        "folder:PATH (pictures of your own, a folder for each class, in PATH/train and PATH/test "
        "or in PATH), or another TFDS classification set of pictures from 28x28x1 to 32x32x3.",
    )
    noise_type: str = _flag(
        "uniform_noise",
        "Label noise: picked samples get a label drawn over all classes, their own included "
        "(uniform_noise), over the other classes (symmetric_noise), from a row of --noise_matrix "
        "(matrix_noise), that of a similar class (flip_noise) or of the next one (pair_noise); "
        "instance_noise depends on each picture, concentrated_noise fills whole neighbourhoods "
        "of pictures, wave_noise follows a wave through them, human_noise is that of CIFAR-10N "
        "and CIFAR-100N.",
        choices=(
            "uniform_noise",
            "symmetric_noise",
            "flip_noise",
            "pair_noise",
            "matrix_noise",
            "instance_noise",
            "concentrated_noise",
            "wave_noise",
            "human_noise",
        ),
    )
    noise_rate: float = _flag(
        0.0,
        "Rate of corrupted training samples; human_noise and --noise_file have their own.",
        low=0.0,
        high=1.0,
    )
    flip_map: str = _flag(
        "paper",
        "Class to class, for flip_noise: paper (Bar et al. 2022), patrini (Patrini et al. 2017), "
        "pair (each to the next), superclass (cifar100: to the next of its superclass).",
        choices=("paper", "patrini", "pair", "superclass"),
    )
    noise_matrix: str | None = _flag(
        None,
        "File (.npy, .csv) for matrix_noise: row i is the distribution of a picked sample's label "
        "if its class is i; with --noise_rate=1 it is the transition matrix.",
        is_file=True,
    )
    wave_frequency: float | None = _flag(
        None,
        "Frequency of wave_noise: cycles per standard deviation of a class's pictures along their "
        "first principal component.",
        low=0.0,
        open_range=True,
    )
    human_labels: str | None = _flag(
        None,
        "Annotations for human_noise: the first five are CIFAR-10N's, noise_label is CIFAR-100N's.",
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
        "Train on these labels instead of --noise_type: a run's noise.npz, or one label per sample "
        "of the train set as .npz, .npy, .csv (label,label_noisy) or JSON list; for folder:PATH "
        "also .csv (file,label).",
        is_file=True,
    )
    noise_draws: int = _flag(
        1,
        "Draws of the noise, which the repeats take in turn: repeat i trains on draw i modulo "
        "noise_draws, of seed noise_seed plus that.",
        low=1,
    )
    noise_seed: int = _flag(0, "Seed of the label noise.", low=0)
    noise_per_repeat: bool = _flag(False, "A draw of the noise for each repeat.")
    validation_ratio: float = _flag(
        0.1,
        "Rate of validation data, out of the train data.",
        low=0.0,
        high=1.0,
        open_range=True,
    )
    validation_labels: str = _flag(
        "clean",
        "Validation labels that choose the best epoch, and so the scores: clean as in the paper, "
        "or noisy like the training labels, for those who have no clean ones.",
        choices=("clean", "noisy"),
    )
    preprocess_mode: str = _flag(
        "range_0_to_1",
        "range_0_to_1 divides pictures by 255, mean_substract takes off the mean training picture.",
        choices=("range_0_to_1", "mean_substract"),
    )
    train_size: int = _flag(
        0,
        "Use only so many samples of the train set (before the validation split); 0 = all.",
        low=0,
    )
    test_size: int = _flag(0, "Use only so many samples of the test set; 0 = all.", low=0)

    def check_noise(self) -> None:
        """Refuses flags of the noise that contradict each other, or that would do nothing."""
        for name, noise_type in (
            ("flip_map", "flip_noise"),
            ("noise_matrix", "matrix_noise"),
            ("wave_frequency", "wave_noise"),
            ("human_labels", "human_noise"),
        ):
            value, used = getattr(self, name), self.noise_type == noise_type
            if value is None and used:
                raise InputError(f"--noise_type={noise_type}: needed is --{name} too")
            if value not in (None, "paper") and not used:
                raise InputError(
                    f"--{name}={value} with --noise_type={self.noise_type}: allowed is "
                    f"--noise_type={noise_type}, which alone uses it"
                )
        if self.noise_file and self.noise_type != "uniform_noise":
            raise InputError(
                f"--noise_file={self.noise_file} with --noise_type={self.noise_type}: allowed is "
                "one of them, the file holds labels already noisy"
            )
        if self.noise_rate and self.noise_is_given:
            raise InputError(
                f"--noise_rate={self.noise_rate:g}: allowed is 0 (or nothing) with {self.noise}, "
                "whose labels have a rate of their own"
            )
        if self.noise_type == "matrix_noise" and not self.noise_rate:
            raise InputError(
                "--noise_rate=0: allowed is (0, 1] with matrix_noise; 1 takes the matrix as it is"
            )
        if self.noise_per_repeat and self.noise_draws > 1:
            raise InputError(
                f"--noise_draws={self.noise_draws} with --noise_per_repeat: allowed is one of them"
            )

    @property
    def noise(self) -> str:
        """The noise in two words, model and rate, or where the labels come from.

        Waves of different frequencies are different models.
        """
        if self.noise_file:
            return "noise_file"
        if self.noise_type == "wave_noise":
            return f"wave_noise_{self.wave_frequency:g} {self.noise_rate:g}"
        return f"{self.noise_type} {self.human_labels or format(self.noise_rate, 'g')}"

    @property
    def noise_is_given(self) -> bool:
        """Whether the noisy labels are read, not drawn: they have no requested rate and no seed."""
        return self.noise_file is not None or self.noise_type == "human_noise"
