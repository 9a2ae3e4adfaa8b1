"""Every setting of a run, in one frozen and validated dataclass: one field per flag.

The metadata of a field holds its help text and its allowed values; `main.py` makes the command line
out of it and `Config` checks itself against it, so that flags, checks and documentation cannot
differ. The fields of the task stand in `task_config`, those of the method in `method_config`.
"""

import dataclasses
import hashlib
import inspect
import json
import os
import shlex
import textwrap
from pathlib import Path
from typing import Any

from jaxnoise.config import class_folders
from jaxnoise.config.data import DataConfig
from jaxnoise.config.flags import InputError, check, flag_type
from jaxnoise.config.flags import flag as _flag
from jaxnoise.config.methods import MethodConfig
from jaxnoise.config.regularizers import RegularizerConfig


@dataclasses.dataclass(frozen=True)
class Config(RegularizerConfig, MethodConfig, DataConfig):
    """The settings of one run; raises `InputError` on construction if one of them cannot be used.

    Rates and ratios are fractions in [0, 1], coefficients are >= 0, lengths are counted in epochs.
    """

    # What is trained.
    net: str | None = _flag(
        None,
        "Network; default by data set: allcnn for CIFAR (N too) and svhn_cropped, else lenet.",
        choices=("lenet", "allcnn"),
    )

    # How long, how often.
    epochs_num: int = _flag(30, "Number of epochs in each train run.", low=1)
    total_repeats: int = _flag(
        5,
        "Number of train runs; they differ in initialization and batch order.",
        low=1,
        high=10_000,
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
        "TFDS data directory; default: $TFDS_DATA_DIR, else ~/tensorflow_datasets. A relative "
        "folder:PATH begins here, or else where the command is run.",
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
    resume: bool = _flag(
        True,
        "Go on with an interrupted run after its last whole epoch; --noresume starts it anew.",
        where_only=True,
    )
    spectrum_every: int = _flag(
        0,
        "Measure the spectrum of the learned mapping after every so many epochs (and the last), as "
        "python -m jaxnoise.spectrum does of a finished run; 0 = never. Training is the same.",
        low=0,
        where_only=True,
    )
    overwrite: bool = _flag(
        False, "Train a finished run again, and replace its results.", where_only=True
    )
    fail_on_divergence: bool = _flag(
        False,
        "Exit with 3 if a repeat diverged, its loss or state being no longer finite; all results "
        "are written all the same.",
        where_only=True,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check(field, value)
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
        self.check_regularizers()
        self.check_noise()
        self.check_method()
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
    def dataset_name(self) -> str:
        """The data set in a word that can be a folder's name."""
        if self.dataset.startswith(class_folders.PREFIX):
            return class_folders.name(class_folders.root(self.dataset, self.data_dir))
        return self.dataset.replace("/", "_")

    @property
    def network(self) -> str:
        """The network that is trained: `net`, or the data set's default."""
        colourful = self.dataset.removesuffix("_n") in ("cifar10", "cifar100", "svhn_cropped")
        return self.net or ("allcnn" if colourful else "lenet")

    @property
    def draws(self) -> int:
        """How many draws of the noise the repeats share."""
        return self.total_repeats if self.noise_per_repeat else self.noise_draws

    @property
    def result_settings(self) -> dict[str, Any]:
        """All settings that can change a result; `net` is the network that is trained."""
        what = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)
                if not f.metadata["where_only"]}  # fmt: skip
        return what | {"net": self.network}

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of a SHA-256 over the `result_settings` that are no defaults.

        Files, and the pictures of folder:PATH, count by their content, not by their place; raises
        InputError if one cannot be read.
        """
        what = self.result_settings | {"noise_draws": self.draws}
        del what["noise_per_repeat"]  # a way to spell draws
        if self.dataset.startswith(class_folders.PREFIX):
            what["dataset"] = class_folders.find(self.dataset, self.data_dir).sha256()
        for field in dataclasses.fields(self):
            # Defaults are left out, so that a new flag leaves the names of earlier runs alone. A
            # default must therefore never change: runs with the old one would count as done.
            if field.name in what and what[field.name] == field.default:
                del what[field.name]
            elif field.metadata["is_file"]:
                what[field.name] = _sha256(field.name, what[field.name])
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def command(self) -> str:
        """The command line that makes this run: main.py and the flags that are no defaults."""
        flags = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is True or value is False:
                flags += [f"--{'' if value else 'no'}{field.name}"] * (value != field.default)
            elif value != field.default:
                flags.append(f"--{field.name}={value}")
        return shlex.join(["python", "main.py", *flags])

    @property
    def regularization(self) -> str:
        """Loss, method and the active regularizers, as in `gce_wd_0.0001_sn`, or `no_reg`."""
        parts = [self.method_name, self.regularizers]
        parts += [self.preset] * (self.preset != "default")
        return "_".join(filter(None, parts)) or "no_reg"


FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def _described() -> str:
    """The docstring of Config with the help of every flag, so that help(Config) has it."""
    lines = [inspect.getdoc(Config), "", "Args:"]
    for name, field in FIELDS.items():
        words = f"{name}: {field.metadata['help']} Default: {field.default!r}."
        lines.append(textwrap.fill(words, 96, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)


Config.__doc__ = _described()


def _sha256(flag: str, path: str) -> str:
    try:
        return hashlib.sha256(Path(os.path.expanduser(path)).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"--{flag}={path}: cannot be read: {error.strerror}") from error
