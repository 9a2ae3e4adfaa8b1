"""Every setting of a run, in one frozen and validated dataclass: one field per flag.

The metadata of a field holds its help text and its allowed values; `main.py` makes the command line
from it and `Config` checks itself against it, so that flags, checks and documentation cannot
differ. The fields of the task are in `data`, those of the method in `methods`, and those of the
regularizers in `regularizers`.
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

    # The network.
    net: str | None = _flag(
        None,
        "Network. The default depends on the data set: allcnn for cifar10, cifar100, cifar10_n, "
        "cifar100_n and svhn_cropped, else lenet.",
        choices=("lenet", "allcnn"),
    )

    # Training.
    epochs_num: int = _flag(30, "Number of epochs that each repeat trains for.", low=1)
    total_repeats: int = _flag(
        5,
        "Number of repeats: trainings that differ in initialization and batch order.",
        low=1,
        high=10_000,
    )
    batch_size: int = _flag(32, "Training samples per step.", low=1)
    learning_rate: float | None = _flag(
        None,
        "Initial learning rate. The default depends on the net: 0.01 for lenet (SGD with momentum "
        "0.9), 0.001 for allcnn (Adam).",
        low=0.0,
        open_range=True,
    )
    lr_decay_epochs: int | None = _flag(
        None,
        "Divide the learning rate by ten every this many epochs. The default depends on the net: "
        "15 for lenet, 10 for allcnn.",
        low=1,
    )
    seed: int = _flag(0, "Seed of initialization and batch order.", low=0)
    precision: str = _flag(
        "float32",
        "Arithmetic: float32, tf32 (rounds the factors of products, where the hardware supports "
        "it) or bf16 (computes in bfloat16). Parameters, statistics, spectral norms, losses and "
        "measurements always stay float32.",
        choices=("float32", "tf32", "bf16"),
    )
    jacob_samples: int = _flag(
        2000,
        "Number of images per split, evenly spaced, for the final Jacobian norms; 0 = all.",
        low=0,
    )

    # Where and whether to run.
    results_dir: str = _flag("results", "Folder in which run folders are created.", where_only=True)
    data_dir: str | None = _flag(
        None,
        "TFDS data directory; default: $TFDS_DATA_DIR, else ~/tensorflow_datasets. A relative "
        "folder:PATH starts in this directory if it is given, else in the working directory.",
        where_only=True,
    )
    manual_dir: str | None = _flag(
        None,
        "Folder with the data set's raw archives, for machines without a network.",
        where_only=True,
    )
    cache_dir: str | None = _flag(
        None,
        "Folder in which decoded images and, with an accelerator, compiled programs are kept, so "
        "that the next start is fast; default: jaxnoise in the user's cache folder.",
        where_only=True,
    )
    members_at_once: int = _flag(
        0,
        "Number of repeats that train together as one program; 0 = as many as the memory holds, or "
        "on a CPU one per core.",
        low=0,
        where_only=True,
    )
    GPU_num: int = _flag(
        0,
        "Index of the GPU to use, if there is one; -1 = all GPUs, with the repeats spread over "
        "them.",
        low=-1,
        where_only=True,
    )
    coordinator_address: str | None = _flag(
        None,
        "To run on several hosts, start the same command on each, with the host:port of the first "
        "one, or with auto under Slurm, under Open MPI and on TPU pods.",
        where_only=True,
    )
    num_processes: int = _flag(
        1, "Number of processes on all hosts together.", low=1, where_only=True
    )
    process_id: int = _flag(
        0, "Index of this process; process 0 writes the results.", low=0, where_only=True
    )
    resume: bool = _flag(
        True,
        "Resume an interrupted run after its last complete epoch; --noresume starts it again from "
        "the beginning.",
        where_only=True,
    )
    resume_anyway: bool = _flag(
        False,
        "Resume an interrupted run even if the code that trains it, or a variable of the "
        "environment that can change numbers, is no longer what it was begun with.",
        where_only=True,
    )
    spectrum_every: int = _flag(
        0,
        "Measure the spectrum of the learned mapping every this many epochs and after the last, as "
        "python -m jaxnoise.spectrum does on a finished run; 0 = never. Training is not affected.",
        low=0,
        where_only=True,
    )
    overwrite: bool = _flag(
        False, "Train a finished run again and replace its results.", where_only=True
    )
    fail_on_divergence: bool = _flag(
        False,
        "Exit with code 3 if a repeat has diverged, that is, if its loss or state is no longer "
        "finite. All results are written nevertheless.",
        where_only=True,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check(field, value)
            if flag_type(field) is float and value is not None:
                # Equal values are spelled alike in names and fingerprints: 1 as 1.0, -0.0 as 0.0.
                object.__setattr__(self, field.name, float(value) + 0.0)
        if self.process_id >= self.num_processes:
            raise InputError(
                f"--process_id={self.process_id} with --num_processes={self.num_processes}: "
                f"allowed here: 0 to {self.num_processes - 1}"
            )
        if self.num_processes > 1 and self.coordinator_address is None:
            raise InputError(
                f"--num_processes={self.num_processes}: requires --coordinator_address=host:port, "
                "the same for all processes"
            )
        if self.jacob_coef > 0 and self.jacob_start_epoch >= self.epochs_num:
            raise InputError(
                f"--jacob_start_epoch={self.jacob_start_epoch} with "
                f"--epochs_num={self.epochs_num}: the Jacobian term "
                f"(--jacob_coef={self.jacob_coef:g}) would never be switched on; allowed here: "
                f"0 to {self.epochs_num - 1}"
            )
        if self.resume_anyway and not self.resume:
            raise InputError("--resume_anyway with --noresume: allowed is one of them")
        self.check_regularizers()
        self.check_dataset()
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
        """The data set as a word that can be a folder's name."""
        if self.dataset.startswith(class_folders.PREFIX):
            return class_folders.name(class_folders.root(self.dataset, self.data_dir))
        return self.dataset.replace("/", "_")

    @property
    def default_network(self) -> str:
        """The network that is trained on the data set if `net` is not given."""
        colourful = self.dataset.removesuffix("_n") in ("cifar10", "cifar100", "svhn_cropped")
        return "allcnn" if colourful else "lenet"

    @property
    def network(self) -> str:
        """The network that is trained."""
        return self.net or self.default_network

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
        """Eight hexadecimal digits of a SHA-256 over the `result_settings` that are not defaults.

        Files, and the pictures of folder:PATH, enter by content, not by path; raises InputError if
        one cannot be read.
        """
        what = self.result_settings | {"noise_draws": self.draws}
        del what["noise_per_repeat"]  # only another way to set draws
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
        """The command line that makes this run: main.py and the flags that are not defaults."""
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
    """The docstring of Config with the help of every flag, so that help(Config) shows it."""
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
        looked = (
            ""
            if os.path.isabs(path)
            else f" (looked for at {os.path.abspath(os.path.expanduser(path))})"
        )
        raise InputError(f"--{flag}={path}: cannot be read: {error.strerror}{looked}") from error
