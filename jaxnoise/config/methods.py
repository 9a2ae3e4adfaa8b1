"""The settings of a method: the loss, the way to train, and their hyper-parameters."""

import dataclasses
import math

from jaxnoise.config import class_folders
from jaxnoise.config.data import ARRAYS_PREFIX
from jaxnoise.config.flags import InputError
from jaxnoise.config.flags import flag as _flag

Defaults = dict[str, float | dict[str, float]]

# For each name, its hyper-parameters with their defaults, which may depend on the kind of data set
# and, for a kind with an entry `KIND flip`, on whether the noise is flip_noise. The flag of a
# hyper-parameter, if it has one, is --NAME_HYPERPARAMETER. docs/methods.md has the source of each
# default, or says that it has none.
LOSSES: dict[str, Defaults] = {
    "ce": {},
    "mae": {},
    "gce": {"q": 0.7},
    "sce": {
        "alpha": {"mnist": 0.01, "cifar10": 0.1, "cifar100": 6.0},
        "beta": {"mnist": 1.0, "cifar10": 1.0, "cifar100": 0.1},
        "log_zero": math.log(1e-4),
    },
    "nce_rce": {
        "alpha": {"mnist": 1.0, "cifar10": 1.0, "cifar100": 10.0},
        "beta": {"mnist": 10.0, "cifar10": 1.0, "cifar100": 0.1},
        "log_zero": math.log(1e-4),
    },
    "bi_tempered": {"t1": 0.8, "t2": 1.2},
    "label_smoothing": {"alpha": 0.1},
    "forward": {},
}
METHODS: dict[str, Defaults] = {
    "mixup": {"alpha": 1.0},
    "elr": {
        "beta": {"mnist": 0.7, "cifar10": 0.7, "cifar10 flip": 0.9, "cifar100": 0.9},
        "weight": {"mnist": 3.0, "cifar10": 3.0, "cifar10 flip": 1.0, "cifar100": 7.0},
    },
    "sam": {"rho": 0.1},
    "early_stopping": {"patience": 5},
    "truncation": {
        "k": 0.5,
        "start_epoch": {"mnist": 39, "cifar10": 39, "cifar100": 79},
        "every": 10,
    },
}


@dataclasses.dataclass(frozen=True)
class MethodConfig:
    """How noisy labels are learned; `Config` adds the other settings and checks all."""

    loss: str = _flag(
        "ce",
        "Loss on the labels: ce (cross-entropy), mae (mean absolute error), gce (generalized "
        "cross-entropy), sce (symmetric cross-entropy), bi_tempered, label_smoothing, forward "
        "(correction by a transition matrix), nce_rce (normalized and reverse cross-entropy). "
        "Formulas and defaults are in docs/methods.md.",
        choices=LOSSES,
    )
    gce_q: float | None = _flag(
        None,
        "q of --loss=gce, which lies between ce (q near 0) and mae (q near 1). Like every "
        "hyper-parameter of a loss or method, q has a default; some defaults depend on the data "
        "set, see docs/methods.md.",
        low=0.0,
        high=1.0,
        open_range=True,
    )
    sce_alpha: float | None = _flag(None, "Weight of the cross-entropy in --loss=sce.", low=0.0)
    sce_beta: float | None = _flag(
        None, "Weight of the reverse cross-entropy in --loss=sce.", low=0.0
    )
    sce_log_zero: float | None = _flag(
        None, "Value that replaces log 0 in --loss=sce.", low=-1e6, high=0.0, open_range=True
    )
    bi_tempered_t1: float | None = _flag(
        None, "Temperature of the logarithm in --loss=bi_tempered; 1 as in ce.", low=0.0, high=1.0
    )
    bi_tempered_t2: float | None = _flag(
        None, "Temperature of the softmax in --loss=bi_tempered; 1 as in ce.", low=1.0
    )
    label_smoothing_alpha: float | None = _flag(
        None,
        "Share of the target that --loss=label_smoothing spreads over all classes.",
        low=0.0,
        high=1.0,
    )
    nce_rce_alpha: float | None = _flag(
        None, "Weight of the normalized cross-entropy in --loss=nce_rce.", low=0.0
    )
    nce_rce_beta: float | None = _flag(
        None, "Weight of the reverse cross-entropy in --loss=nce_rce.", low=0.0
    )
    nce_rce_log_zero: float | None = _flag(
        None, "Value that replaces log 0 in --loss=nce_rce.", low=-1e6, high=0.0, open_range=True
    )
    forward_matrix: str = _flag(
        "true",
        "Transition matrix of --loss=forward: that of the noise (true), or one estimated from a "
        "first run with --loss=ce (estimated), which is trained and kept unless it exists.",
        choices=("true", "estimated"),
    )
    forward_file: str | None = _flag(
        None,
        "File (.npy, .csv) with the transition matrix of --loss=forward: row i is the "
        "distribution of the label if the true class is i.",
        is_file=True,
    )
    loss_options: str | None = _flag(
        None, 'Hyper-parameters of a loss of --user_code, as in "q=0.5 k=3".'
    )
    method: str | None = _flag(
        None,
        "Training method, for any loss: mixup, elr (early-learning regularization), sam "
        "(sharpness-aware minimization), early_stopping (on the labels that --validation_labels "
        "selects), truncation (leaves out samples whose label is unlikely).",
        choices=tuple(METHODS),
    )
    mixup_alpha: float | None = _flag(
        None,
        "alpha of --method=mixup, which draws its shares from Beta(alpha, alpha).",
        low=0.0,
        open_range=True,
    )
    elr_beta: float | None = _flag(
        None, "Momentum of the targets in --method=elr.", low=0.0, high=1.0
    )
    elr_weight: float | None = _flag(None, "Weight of the penalty in --method=elr.", low=0.0)
    sam_rho: float | None = _flag(
        None, "Length of the step uphill in --method=sam, in the norm of the parameters.", low=0.0
    )
    early_stopping_patience: int | None = _flag(
        None,
        "Number of epochs without a better validation accuracy after which --method=early_stopping "
        "returns to the best epoch.",
        low=1,
    )

    truncation_k: float | None = _flag(
        None,
        "Probability of its label, by the best epoch so far, at or below which --method=truncation "
        "leaves a sample out.",
        low=0.0,
        high=1.0,
        open_range=True,
    )
    truncation_start_epoch: int | None = _flag(
        None,
        "Epoch, counted from 0, in which --method=truncation first leaves samples out.",
        low=1,
    )
    truncation_every: int | None = _flag(
        None, "Number of epochs after which --method=truncation chooses the samples anew.", low=1
    )

    def check_method(self) -> None:
        """Rejects hyper-parameters that would do nothing."""
        for kind, table in (("loss", LOSSES), ("method", METHODS)):
            for name, defaults in table.items():
                for hyper in defaults:
                    value = getattr(self, f"{name}_{hyper}", None)
                    if value is not None and getattr(self, kind) != name:
                        raise InputError(
                            f"--{name}_{hyper}={value:g} with --{kind}={getattr(self, kind)}: "
                            f"allowed only with --{kind}={name}"
                        )
        if self.method == "truncation":
            start = self.method_settings["start_epoch"]
            if start >= self.epochs_num:
                default = " (the default)" * (self.truncation_start_epoch is None)
                raise InputError(
                    f"--truncation_start_epoch={start}{default} with "
                    f"--epochs_num={self.epochs_num}: --method=truncation would leave out no "
                    f"sample; allowed here: 1 to {self.epochs_num - 1}"
                )
        for name, default in (("forward_matrix", "true"), ("forward_file", None)):
            value = getattr(self, name)
            if value != default and self.loss != "forward":
                raise InputError(
                    f"--{name}={value} with --loss={self.loss}: allowed only with --loss=forward"
                )
        if self.forward_file and self.forward_matrix != "true":
            raise InputError(
                f"--forward_file={self.forward_file} with --forward_matrix={self.forward_matrix}: "
                "allowed is one of them"
            )

    @property
    def loss_settings(self) -> dict[str, float]:
        """The hyper-parameters of the loss."""
        if self.loss in LOSSES:
            return self._settings(self.loss, LOSSES[self.loss])
        return self.options("loss")

    @property
    def method_settings(self) -> dict[str, float]:
        """The hyper-parameters of the method, if there is one."""
        return self._settings(self.method, METHODS[self.method]) if self.method else {}

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Hyper-parameters by the names of their flags, defaults included.

        They are those of loss and method, and of a net and a noise model of --user_code.
        """
        parts = (
            (self.loss, self.loss_settings),
            (self.method, self.method_settings),
            (self.net, self.options("net")),
            (self.noise_type, self.options("noise_model")),
        )
        return {f"{of}_{name}": value for of, part in parts for name, value in part.items()}

    @property
    def method_name(self) -> str:
        """Loss and method as in `gce_mixup`, with the hyper-parameters that flags set."""
        parts = []
        for name, table in ((self.loss, LOSSES), (self.method, METHODS)):
            if name in (None, "ce"):
                continue
            given = (
                (hyper, getattr(self, f"{name}_{hyper}", None)) for hyper in table.get(name, ())
            )
            parts += [name, *(f"{hyper}_{x:g}" for hyper, x in given if x is not None)]
        parts.insert(1, self.options_name("loss"))
        if self.forward_file or self.forward_matrix != "true":
            parts.insert(1, "file" if self.forward_file else self.forward_matrix)
        return "_".join(filter(None, parts))

    @property
    def _kind(self) -> str:
        """The data set in the tables of defaults whose values apply to this one."""
        if self.dataset.startswith((class_folders.PREFIX, ARRAYS_PREFIX)):  # whatever their name
            return "cifar10"
        if "mnist" in self.dataset or self.dataset == "digits":
            return "mnist"
        return "cifar100" if self.dataset.startswith("cifar100") else "cifar10"

    def _settings(self, name: str, defaults: Defaults) -> dict[str, float]:
        settings = {}
        flip = f"{self._kind} flip" if self.noise_type == "flip_noise" else self._kind
        for hyper, default in defaults.items():
            if isinstance(default, dict):
                default = default.get(flip, default[self._kind])
            given = getattr(self, f"{name}_{hyper}", None)
            settings[hyper] = default if given is None else given
        return settings
