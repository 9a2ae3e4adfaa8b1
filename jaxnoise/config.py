"""Every setting of a run, in one frozen and validated dataclass: one field per flag.

The metadata of a field holds its help text and its allowed values; `main.py` makes the command line
out of it and `Config` checks itself against it, so that flags, checks and documentation cannot
differ.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

from jaxnoise.flags import InputError, check, flag_type
from jaxnoise.flags import flag as _flag


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of one run; raises `InputError` on construction if one of them cannot be used.

    Rates and ratios are fractions in [0, 1], coefficients are >= 0, lengths are counted in epochs.
    """

    # What is learned from.
    dataset: str = _flag(
        "cifar10",
        "Data set: mnist, fashion_mnist, cifar10, cifar100, digits (bundled, needs no network), "
        "or another TFDS classification set of pictures from 28x28x1 to 32x32x3.",
    )
    noise_type: str = _flag(
        "uniform_noise",
        "Label noise: picked samples get a label drawn over all classes, their own included "
        "(uniform_noise), over the other classes (symmetric_noise), from a row of --noise_matrix "
        "(matrix_noise), that of a similar class (flip_noise) or of the next one (pair_noise); "
        "instance_noise depends on each picture, concentrated_noise fills whole neighbourhoods "
        "of pictures, human_noise is that of CIFAR-10N and CIFAR-100N.",
        choices=(
            "uniform_noise",
            "symmetric_noise",
            "flip_noise",
            "pair_noise",
            "matrix_noise",
            "instance_noise",
            "concentrated_noise",
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
        "of the train set as .npz, .npy, .csv (label,label_noisy) or JSON list.",
        is_file=True,
    )
    noise_draws: int = _flag(
        1,
        "Draws of the noise, which the repeats take in turn: repeat i trains on draw i modulo "
        "noise_draws, of seed noise_seed plus that.",
        low=1,
    )
    noise_per_repeat: bool = _flag(False, "A draw of the noise for each repeat.")
    validation_ratio: float = _flag(
        0.1,
        "Rate of validation data, out of the train data; its labels stay clean.",
        low=0.0,
        high=1.0,
        open_range=True,
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

    # What is trained, and how it is regularized.
    net: str | None = _flag(
        None,
        "Network; default by data set: allcnn for CIFAR (N too) and svhn_cropped, else lenet.",
        choices=("lenet", "allcnn"),
    )
    do_sn: bool = _flag(False, "Spectrally normalize the weights.")
    wd_coef: float = _flag(0.0, "Coefficient of the L2 (weight decay) term of the loss.", low=0.0)
    jacob_coef: float = _flag(0.0, "Coefficient of the Jacobian term of the loss.", low=0.0)
    entropy_coef: float = _flag(
        0.0,
        "Coefficient of the entropy term of the loss: positive makes predictions sharper.",
        low=0.0,
    )
    jacob_mode: str = _flag(
        "projection",
        "Jacobian penalty: projection is the paper's estimate from one random projection, exact "
        "takes one backward pass per class.",
        choices=("projection", "exact"),
    )
    jacob_start_epoch: int = _flag(
        10, "Epoch index (from 0) at which the Jacobian term is switched on.", low=0
    )

    # How long, how often.
    epochs_num: int = _flag(30, "Number of epochs in each train run.", low=1)
    total_repeats: int = _flag(
        5, "Number of train runs; they differ in initialization and batch order.", low=1
    )
    batch_size: int = _flag(32, "Training samples per step.", low=1)
    learning_rate: float | None = _flag(
        None,
        "Initial learning rate; default by net: 0.01 for lenet (SGD, momentum 0.9), 0.001 for "
        "allcnn (Adam).",
        low=0.0,
        open_range=True,
    )
    lr_decay_epochs: int | None = _flag(
        None,
        "The learning rate is divided by ten after every so many epochs; default by net: 15 for "
        "lenet, 10 for allcnn.",
        low=1,
    )
    seed: int = _flag(0, "Seed of initialization and batch order.", low=0)
    noise_seed: int = _flag(0, "Seed of the label noise.", low=0)
    jacob_samples: int = _flag(
        2000,
        "Pictures per split, evenly spaced, for the final Jacobian norms; 0 = all.",
        low=0,
    )

    # Where.
    results_dir: str = _flag("results", "Folder that run folders are made in.", where_only=True)
    data_dir: str | None = _flag(
        None,
        "TFDS data directory; default: $TFDS_DATA_DIR, else ~/tensorflow_datasets.",
        where_only=True,
    )
    manual_dir: str | None = _flag(
        None,
        "Folder with the data set's raw archives, for machines without a network.",
        where_only=True,
    )
    cache_dir: str | None = _flag(
        None,
        "Folder for decoded pictures, so that a second start is fast; default: jaxnoise in the "
        "user's cache folder.",
        where_only=True,
    )
    members_at_once: int = _flag(
        0,
        "Repeats that run as one program; 0 = as many as the memory holds, on a CPU one per core.",
        low=0,
        where_only=True,
    )
    GPU_num: int = _flag(0, "Which GPU to use, where there is one.", low=0, where_only=True)
    overwrite: bool = _flag(
        False, "Train again, and replace the results of an earlier run.", where_only=True
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check(field, value)
            if flag_type(field) is float and value is not None:
                # One setting, one spelling: 1 is 1.0 and -0.0 is 0.0, in names and fingerprints.
                object.__setattr__(self, field.name, float(value) + 0.0)
        if self.jacob_coef > 0 and self.jacob_start_epoch >= self.epochs_num:
            raise InputError(
                f"--jacob_start_epoch={self.jacob_start_epoch} with "
                f"--epochs_num={self.epochs_num}: the Jacobian term "
                f"(--jacob_coef={self.jacob_coef:g}) would never be switched on; allowed here: "
                f"0 to {self.epochs_num - 1}"
            )
        self._check_noise()

    def _check_noise(self) -> None:
        """Refuses flags of the noise that contradict each other, or that would do nothing."""
        for name, noise_type in (
            ("flip_map", "flip_noise"),
            ("noise_matrix", "matrix_noise"),
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
        if self.total_repeats % self.draws:
            raise InputError(
                f"--noise_draws={self.noise_draws}: allowed are divisors of "
                f"--total_repeats={self.total_repeats}"
            )
        if self.noise_type == "human_noise" and self.draws > 1:
            raise InputError(
                f"--noise_draws={self.draws}: allowed is 1 with human_noise, which is not drawn"
            )

    @property
    def noise(self) -> str:
        """The noise in two words, model and rate, or where the labels come from."""
        if self.noise_file:
            return "noise_file"
        return f"{self.noise_type} {self.human_labels or format(self.noise_rate, 'g')}"

    @property
    def noise_is_given(self) -> bool:
        """Whether the noisy labels are read, not drawn: they have no requested rate and no seed."""
        return self.noise_file is not None or self.noise_type == "human_noise"

    @property
    def draws(self) -> int:
        """How many draws of the noise the repeats share."""
        return self.total_repeats if self.noise_per_repeat else self.noise_draws

    @property
    def network(self) -> str:
        """The network that is trained: `net`, or the data set's default."""
        colourful = self.dataset.removesuffix("_n") in ("cifar10", "cifar100", "svhn_cropped")
        return self.net or ("allcnn" if colourful else "lenet")

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of a SHA-256 over all settings that can change a result.

        Files count by their content; raises InputError if one cannot be read.
        """
        what = {}
        for field in dataclasses.fields(self):
            if not field.metadata["where_only"]:
                value = getattr(self, field.name)
                is_file = field.metadata["is_file"] and value is not None
                what[field.name] = _sha256(field.name, value) if is_file else value
        del what["noise_per_repeat"]
        what |= {"net": self.network, "noise_draws": self.draws}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def regularization(self) -> str:
        """The active regularizers with their coefficients, as in `wd_0.0001_sn`, or `no_reg`."""
        parts = [
            f"{name}_{coefficient:g}"
            for name, coefficient in (
                ("wd", self.wd_coef),
                ("jacob", self.jacob_coef),
                ("entropy", self.entropy_coef),
            )
            if coefficient > 0
        ]
        return "_".join(parts + ["sn"] * self.do_sn) or "no_reg"


def _sha256(flag: str, path: str) -> str:
    try:
        return hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"--{flag}={path}: cannot be read: {error.strerror}") from error
