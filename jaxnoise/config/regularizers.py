"""The settings of the regularizers, and the preset that fixes the values of the paper."""

import dataclasses

from jaxnoise.config.flags import InputError, defaults
from jaxnoise.config.flags import flag as _flag

# Flags that Bar et al. 2022 and their code leave no choice in; the defaults are theirs.
_FIXED_BY_PAPER = (
    "sn_mode",
    "sn_cap",
    "sn_iterations",
    "wd_mode",
    "jacob_mode",
    "jacob_start_epoch",
    "batch_size",
    "augment",
    "optimizer",
    "momentum",
    "nesterov",
    "learning_rate",
    "schedule",
    "lr_decay_epochs",
    "lr_gamma",
    "warmup_epochs",
    "clip_norm",
    "wd_on",
    "bn_momentum",
    "precision",
    "validation_labels",
)


@dataclasses.dataclass(frozen=True)
class RegularizerConfig:
    """How the net is kept smooth; `Config` adds the other settings and checks all."""

    do_sn: bool = _flag(False, "Apply spectral normalization to the weights.")
    sn_mode: str = _flag(
        "reshaped",
        "Linear map whose norm --do_sn uses: the kernel as a matrix (reshaped, paper), or the "
        "convolution itself with its padding and image size (exact).",
        choices=("reshaped", "exact"),
    )
    sn_cap: float | None = _flag(
        None,
        "With --do_sn, divide a kernel only if its norm exceeds this cap, and reduce its norm to "
        "the cap; default: divide always, to norm 1.",
        low=0.0,
        open_range=True,
    )
    sn_iterations: int = _flag(
        1, "Power iterations in every forward pass, which estimate the norm of --do_sn.", low=1
    )
    wd_coef: float = _flag(
        0.0,
        "Coefficient of the weight decay (L2) term of the loss, half the sum of squares of kernels "
        "and of batch norm's factors.",
        low=0.0,
    )
    wd_mode: str = _flag(
        "coupled",
        "How weight decay is applied: as a term of the loss, through momentum and Adam (coupled, "
        "paper), or subtracted from the weights directly, bypassing both (decoupled: SGDW, AdamW).",
        choices=("coupled", "decoupled"),
    )
    wd_on: str = _flag(
        "kernels",
        "Parameters that weight decay acts on: kernels and batch norm's factors (kernels), or also "
        "biases and batch norm's shifts, as in PyTorch (all).",
        choices=("kernels", "all"),
    )
    jacob_coef: float = _flag(0.0, "Coefficient of the Jacobian term of the loss.", low=0.0)
    entropy_coef: float = _flag(
        0.0,
        "Coefficient of the entropy term of the loss; a positive one makes predictions sharper.",
        low=0.0,
    )
    jacob_mode: str = _flag(
        "projection",
        "Jacobian penalty: the paper's estimate from one random projection (projection), or the "
        "exact one, which takes one backward pass per class (exact).",
        choices=("projection", "exact"),
    )
    jacob_start_epoch: int = _flag(
        10, "Epoch, counted from 0, at which the Jacobian term is switched on.", low=0
    )

    preset: str = _flag(
        "default",
        "paper trains and measures as the original code does: gradients of spectral norms flow "
        "through the vectors of the power iteration, which are updated in evaluation too, batch "
        "norm is evaluated with running averages, and flags that the paper fixes cannot be "
        "changed.",
        choices=("default", "paper"),
    )

    def check_regularizers(self) -> None:
        """Rejects flags that would do nothing, or that contradict --preset=paper."""
        default = defaults(self)
        for name, needed in (
            ("sn_mode", "do_sn"),
            ("sn_cap", "do_sn"),
            ("sn_iterations", "do_sn"),
            ("wd_mode", "wd_coef"),
            ("wd_on", "wd_coef"),
        ):
            value = getattr(self, name)
            if value != default[name] and not getattr(self, needed):
                raise InputError(f"--{name}={value}: requires --{needed}")
        if self.training_settings["optimizer"] == "adamw" and not self.wd_coef:
            raise InputError("--optimizer=adamw: requires --wd_coef; without, it is adam")
        if self.preset == "paper" and self.recipe:
            raise InputError(f"--recipe={self.recipe} with --preset=paper: allowed is one of them")
        if self.preset == "paper":
            changed = [name for name in _FIXED_BY_PAPER if getattr(self, name) != default[name]]
            if changed:
                given = ", ".join(f"--{name}={getattr(self, name)}" for name in changed)
                fixed = ", ".join(f"--{name}={default[name]}" for name in changed)
                raise InputError(f"{given} with --preset=paper: allowed is the paper's {fixed}")

    def check_coupled(self) -> None:
        """Refuses that weight decay is asked to be coupled where it cannot be."""
        if self.decoupled_decay:
            raise InputError(
                "--wd_mode=coupled with --optimizer=adamw, whose weight decay is decoupled: "
                "allowed is --optimizer=adam, or no --wd_mode"
            )

    @property
    def decoupled_decay(self) -> bool:
        """Whether weight decay bypasses momentum and Adam."""
        return self.wd_mode == "decoupled" or self.training_settings["optimizer"] == "adamw"

    @property
    def regularizers(self) -> str:
        """The active ones with their coefficients, as in `wd_0.0001_sn`; empty if there are none.

        A mode is named beside its regularizer if it is not the default.
        """
        decay = "wd_decoupled" if self.decoupled_decay else "wd"
        decay += "_all" * (self.wd_on == "all")
        parts = [
            f"{name}_{coefficient:g}"
            for name, coefficient in (
                (decay, self.wd_coef),
                ("jacob", self.jacob_coef),
                ("entropy", self.entropy_coef),
            )
            if coefficient > 0
        ]
        if self.do_sn:
            parts.append("sn")
            parts += [self.sn_mode] * (self.sn_mode != "reshaped")
            parts += [] if self.sn_cap is None else [f"cap_{self.sn_cap:g}"]
            parts += [f"iterations_{self.sn_iterations}"] * (self.sn_iterations > 1)
        return "_".join(parts)
