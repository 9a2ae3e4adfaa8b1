"""Every setting of a run, in one frozen and validated dataclass: one field per flag.

The metadata of a field holds its help text and its allowed values; `main.py` makes the command line
out of it and `Config` checks itself against it, so that flags, checks and documentation cannot
differ.
"""

import dataclasses
import hashlib
import json
import math
import types
import typing
from typing import Any


class InputError(ValueError):
    """Bad input of a user: `main.py` prints it as one line, no traceback, and exits with 2."""


def _flag(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    open_range: bool = False,
    where_only: bool = False,
) -> Any:
    """Declares one flag; `where_only` marks flags that say where or whether to run, not what."""
    metadata = {
        "help": help,
        "choices": choices,
        "low": low,
        "high": high,
        "open_range": open_range,
        "where_only": where_only,
    }
    return dataclasses.field(default=default, metadata=metadata)


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
        "Label noise: uniform_noise gives picked samples a label drawn over all classes (their own "
        "included), flip_noise moves a share of some classes to a fixed similar class.",
        choices=("uniform_noise", "flip_noise"),
    )
    noise_rate: float = _flag(0.0, "Rate of corrupted training samples.", low=0.0, high=1.0)
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

    # What is trained, and how it is regularized.
    net: str | None = _flag(
        None,
        "Network; default by data set: allcnn for cifar10, cifar100 and svhn_cropped, else lenet.",
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
    precision: str = _flag(
        "float32",
        "Arithmetic: tf32 rounds the factors of products where the hardware can, bf16 computes in "
        "bfloat16; parameters, statistics, spectral norms, losses and measurements stay float32.",
        choices=("float32", "tf32", "bf16"),
    )
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
        "Folder for decoded pictures and, with an accelerator, compiled programs, so that a second "
        "start is fast; default: jaxnoise in the user's cache folder.",
        where_only=True,
    )
    members_at_once: int = _flag(
        0,
        "Repeats that run as one program; 0 = as many as the memory holds, on a CPU one per core.",
        low=0,
        where_only=True,
    )
    GPU_num: int = _flag(
        0,
        "Which GPU to use, where there is one; -1 = all there are, the repeats spread over them.",
        low=-1,
        where_only=True,
    )
    coordinator_address: str | None = _flag(
        None,
        "To run over several hosts, start the same command on each, with host:port of the first "
        "one, or with auto under Slurm, Open MPI and on TPU pods.",
        where_only=True,
    )
    num_processes: int = _flag(
        1, "How many processes there are, all hosts together.", low=1, where_only=True
    )
    process_id: int = _flag(
        0, "Which of the processes this is; 0 leaves the results.", low=0, where_only=True
    )
    overwrite: bool = _flag(
        False, "Train again, and replace the results of an earlier run.", where_only=True
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            _check(field, value)
            if flag_type(field) is float and value is not None:
                # One setting, one spelling: 1 is 1.0 and -0.0 is 0.0, in names and fingerprints.
                object.__setattr__(self, field.name, float(value) + 0.0)
        if self.process_id >= self.num_processes:
            raise InputError(
                f"--process_id={self.process_id} with --num_processes={self.num_processes}: "
                f"allowed here: 0 to {self.num_processes - 1}"
            )
        if self.num_processes > 1 and self.coordinator_address is None:
            raise InputError(
                f"--num_processes={self.num_processes}: they find each other by "
                "--coordinator_address=host:port, the same for all"
            )
        if self.jacob_coef > 0 and self.jacob_start_epoch >= self.epochs_num:
            raise InputError(
                f"--jacob_start_epoch={self.jacob_start_epoch} with "
                f"--epochs_num={self.epochs_num}: the Jacobian term "
                f"(--jacob_coef={self.jacob_coef:g}) would never be switched on; allowed here: "
                f"0 to {self.epochs_num - 1}"
            )

    @property
    def network(self) -> str:
        """The network that is trained: `net`, or the data set's default."""
        default = "allcnn" if self.dataset in ("cifar10", "cifar100", "svhn_cropped") else "lenet"
        return self.net or default

    @property
    def result_settings(self) -> dict[str, Any]:
        """All settings that can change a result; `net` is the network that is trained."""
        what = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)
                if not f.metadata["where_only"]}  # fmt: skip
        return what | {"net": self.network}

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of a SHA-256 over `result_settings`."""
        what = json.dumps(self.result_settings, sort_keys=True)
        return hashlib.sha256(what.encode()).hexdigest()[:8]

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


_MAX_INT = 2**31 - 1


def flag_type(field: dataclasses.Field) -> type:
    """bool, int, float or str: what the flag of a field takes, None apart."""
    return next(
        kind for kind in typing.get_args(field.type) or (field.type,) if kind is not types.NoneType
    )


def _check(field: dataclasses.Field, value: Any) -> None:
    flag, kind, meta = f"--{field.name}={value}", flag_type(field), field.metadata
    if value is None and field.default is None:
        return
    fits = type(value) in ((int, float) if kind is float else (kind,))
    if not fits:
        raise InputError(f"{flag}: allowed is a value of type {kind.__name__}")
    if value == "":
        raise InputError(f"{flag}: allowed is any text that is not empty")
    if meta["choices"] and value not in meta["choices"]:
        raise InputError(f"{flag}: allowed are {', '.join(meta['choices'])}")
    if meta["low"] is None:
        return
    low, is_open = meta["low"], meta["open_range"]
    high = _MAX_INT if kind is int else meta["high"]
    top = math.inf if high is None else high
    inside = low < value < top if is_open else low <= value <= top
    if not inside or not math.isfinite(value):
        left, right = ("(" if is_open else "["), (")" if is_open or high is None else "]")
        raise InputError(f"{flag}: allowed is {left}{low:g}, {top:.10g}{right}")
