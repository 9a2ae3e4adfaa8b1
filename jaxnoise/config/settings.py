"""Every setting of a run, in one frozen and validated dataclass: one field per flag.

The metadata of a field holds its help text and its allowed values; `main.py` makes the command line
from it and `Config` checks itself against it, so that flags, checks and documentation cannot
differ. The fields are in `data`, `methods`, `regularizers`, `training` and `running`.
"""

import dataclasses
import functools
import hashlib
import inspect
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxnoise.config import class_folders, declarations, help, recipes
from jaxnoise.config.data import ARRAYS_PREFIX, DataConfig
from jaxnoise.config.flags import InputError, check, defaults, flag_type, nearest
from jaxnoise.config.methods import LOSSES, MethodConfig
from jaxnoise.config.networks import NETWORKS
from jaxnoise.config.regularizers import RegularizerConfig
from jaxnoise.config.running import RunningConfig
from jaxnoise.config.training import TrainingConfig
from jaxnoise.config.user_code import UserCodeConfig


@dataclasses.dataclass(frozen=True)
class Config(
    UserCodeConfig, RunningConfig, TrainingConfig, RegularizerConfig, MethodConfig, DataConfig
):
    """The settings of one run; raises `InputError` on construction if one of them cannot be used.

    Rates and ratios are fractions in [0, 1], coefficients are >= 0, lengths are counted in epochs.
    A setting that is not given has the value of the `recipe`, if there is one, else its default.
    """

    def __post_init__(self) -> None:
        own = {declarations.FLAGS[kind]: names for kind, names in self.user.declared.items()}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check(field, value, own=own.get(field.name))
            if flag_type(field) is float and value is not None:
                # Equal values are spelled alike in names and fingerprints: 1 as 1.0, -0.0 as 0.0.
                object.__setattr__(self, field.name, float(value) + 0.0)
        self.check_user_code()
        self.check_running()
        self.check_training()
        if self.jacob_coef > 0 and self.jacob_start_epoch >= self.epochs_num:
            raise InputError(
                f"--jacob_start_epoch={self.jacob_start_epoch} with "
                f"--epochs_num={self.epochs_num}: the Jacobian term "
                f"(--jacob_coef={self.jacob_coef:g}) would never be switched on; allowed here: "
                f"0 to {self.epochs_num - 1}"
            )
        self.check_regularizers()
        self.check_dataset()
        self.check_preprocessing()
        self.check_noise()
        self._check_validation()
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

    def _check_validation(self) -> None:
        """Rejects what uses a validation part where there is none."""
        if self.validation_ratio:
            return
        for name, uses in (
            ("method", self.method in ("early_stopping", "truncation")),
            ("validation_labels", self.validation_labels == "noisy"),
        ):
            if uses:
                raise InputError(
                    f"--validation_ratio=0 with --{name}={getattr(self, name)}, which uses "
                    "validation labels: allowed is a ratio in (0, 1)"
                )

    @property
    def best_by(self) -> str | None:
        """The validation labels that choose the best epoch, clean or noisy.

        None without a validation part: there is no best epoch, and scores are those of the last.
        """
        return self.validation_labels if self.validation_ratio else None

    @property
    def dataset_name(self) -> str:
        """The data set as a word that can be a folder's name."""
        if self.dataset.startswith(class_folders.PREFIX):
            return class_folders.name(class_folders.root(self.dataset, self.data_dir))
        # Of arrays, the digest stays: a table must not take two data sets of one name for one.
        return self.dataset.replace("/", "_").replace(ARRAYS_PREFIX, "arrays_")

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
            elif field.name == "user_code":
                what[field.name] = self.user.sha256
            elif field.metadata["is_file"]:
                what[field.name] = _sha256(field.name, what[field.name])
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def given(self) -> dict[str, Any]:
        """As few settings as give this one: those that neither are defaults nor of the recipe."""
        settings, default = dataclasses.asdict(self), defaults(self)
        recipe = recipes.named(self.recipe, self.user)
        of_recipe = recipes.flags(recipe, {})
        own = {name: x for name, x in settings.items() if x != (default | of_recipe)[name]}

        def otherwise(name: str) -> Any:
            """Its value if it were not given: a flag can take others of the recipe with it."""
            if name not in of_recipe:
                return default[name]
            others = {other: x for other, x in own.items() if other != name}
            return recipes.flags(recipe, others).get(name, default[name])

        return {name: x for name, x in settings.items() if x != otherwise(name)}

    @property
    def command(self) -> str:
        """The command line that makes this run: main.py and the flags that are `given`."""
        flags = []
        for name, value in self.given.items():
            if value is True or value is False:
                flags.append(f"--{'' if value else 'no'}{name}")
            else:
                flags.append(f"--{name}={value}")
        return shlex.join(["python", "main.py", *flags])

    @property
    def regularization(self) -> str:
        """Loss, method and the active regularizers, as in `gce_wd_0.0001_sn`, or `no_reg`."""
        parts = [self.method_name, self.regularizers]
        parts += [self.preset] * (self.preset != "default")
        parts += [f"recipe_{self.recipe}"] * (self.recipe is not None)
        return "_".join(filter(None, parts)) or "no_reg"


def _with_recipe(init: Callable[..., None]) -> Callable[..., None]:
    """Gives settings that are not given the values of the recipe."""

    @functools.wraps(init)
    def filled(self: Config, **given: Any) -> None:
        path, name = given.get("user_code"), given.get("recipe")
        if isinstance(path, str) and path:
            given["user_code"] = declarations.read(path, _TAKEN)
        recipe = recipes.named(name, declarations.content(given.get("user_code")))
        if recipe and (unknown := sorted(recipe.flags.keys() - _OF_A_RECIPE)):
            raise InputError(
                f"--recipe={name}: {unknown[0]} is not a flag that a recipe can set"
                f"{nearest(unknown[0], _OF_A_RECIPE)}"
            )
        of_recipe = recipes.flags(recipe, given)
        try:
            init(self, **of_recipe | given)
            # If all are given, as by dataclasses.replace, nobody has asked for this one.
            if given.get("wd_mode") == "coupled" and len(given) < len(FIELDS):
                self.check_coupled()
        except InputError as error:
            raise InputError(f"{error}{recipes.named_in(str(error), name, of_recipe)}") from error

    return filled


FIELDS = {field.name: field for field in dataclasses.fields(Config)}
_OF_A_RECIPE = {name for name, field in FIELDS.items() if not field.metadata["where_only"]} - {
    "recipe", "user_code",
}  # fmt: skip
# The names that definitions of one's own cannot have.
_TAKEN = {
    "net": NETWORKS,
    "loss": LOSSES,
    "noise_model": FIELDS["noise_type"].metadata["choices"],
    "recipe": recipes.NAMES,
}

Config.__init__ = _with_recipe(Config.__init__)


def _described() -> str:
    """The docstring of Config with the help of every flag, so that help(Config) shows it."""
    return f"{inspect.getdoc(Config)}\n\n{help.text(FIELDS, 96, dashes='')}"


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
