"""The settings of the regularizers, and the preset that fixes what the paper has no choice in."""

import dataclasses

from jaxnoise.config.flags import InputError
from jaxnoise.config.flags import flag as _flag

# What Bar et al. 2022 and their code leave no choice in; the defaults are theirs.
_FIXED_BY_PAPER = (
    "sn_mode",
    "sn_cap",
    "sn_iterations",
    "wd_mode",
    "jacob_mode",
    "jacob_start_epoch",
    "batch_size",
    "learning_rate",
    "lr_decay_epochs",
    "precision",
    "validation_labels",
)


@dataclasses.dataclass(frozen=True)
class RegularizerConfig:
    """How the net is kept smooth; `Config`, which adds the rest, checks it."""

    do_sn: bool = _flag(False, "Spectrally normalize the weights.")
    sn_mode: str = _flag(
        "reshaped",
        "Of which linear map --do_sn takes the norm: reshaped, the kernel as a matrix (paper), or "
        "exact, the convolution itself with its padding and picture size.",
        choices=("reshaped", "exact"),
    )
    sn_cap: float | None = _flag(
        None,
        "With --do_sn divide a kernel only if its norm exceeds this, and so that it becomes this; "
        "default: always, to norm 1.",
        low=0.0,
        open_range=True,
    )
    sn_iterations: int = _flag(
        1, "Power iterations in every forward pass, for the norm of --do_sn.", low=1
    )
    wd_coef: float = _flag(0.0, "Coefficient of the L2 (weight decay) term of the loss.", low=0.0)
    wd_mode: str = _flag(
        "coupled",
        "Weight decay as a term of the loss, through momentum and Adam (coupled, paper), or past "
        "them, straight off the weights (decoupled: SGDW, AdamW).",
        choices=("coupled", "decoupled"),
    )
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

    preset: str = _flag(
        "default",
        "paper trains as the original code does: spectral norms with gradients through the power "
        "iteration's vectors, which move in evaluation too; flags the paper fixes cannot differ.",
        choices=("default", "paper"),
    )

    def check_regularizers(self) -> None:
        """Refuses flags that would do nothing, or would make --preset=paper something else."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name, needed in (
            ("sn_mode", "do_sn"),
            ("sn_cap", "do_sn"),
            ("sn_iterations", "do_sn"),
            ("wd_mode", "wd_coef"),
        ):
            value = getattr(self, name)
            if value != defaults[name] and not getattr(self, needed):
                raise InputError(f"--{name}={value}: needed is --{needed} too")
        if self.preset == "paper":
            for name in _FIXED_BY_PAPER:
                value = getattr(self, name)
                if value != defaults[name]:
                    raise InputError(
                        f"--{name}={value} with --preset=paper: allowed is the paper's, the default"
                    )

    @property
    def regularizers(self) -> str:
        """The active ones with their coefficients, as in `wd_0.0001_sn`; empty if there are none.

        Their modes stand beside them where they are not the default.
        """
        decay = "wd" if self.wd_mode == "coupled" else f"wd_{self.wd_mode}"
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
