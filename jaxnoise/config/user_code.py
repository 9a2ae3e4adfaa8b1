"""The settings of one's own nets, losses, noise models and recipes: the file, and their options."""

import dataclasses
import math
import re

from jaxnoise.config.declarations import FLAGS, Definition, Option, UserCode, content
from jaxnoise.config.flags import InputError
from jaxnoise.config.flags import flag as _flag

# The flag with the hyper-parameters of a definition.
OPTIONS = {"net": "net_options", "loss": "loss_options", "noise_model": "noise_options"}


@dataclasses.dataclass(frozen=True)
class UserCodeConfig:
    """Definitions of one's own; `Config` has their hyper-parameters, see OPTIONS."""

    user_code: str | None = _flag(
        None,
        "Python file with nets, losses, noise models and recipes of your own, whose names --net, "
        "--loss, --noise_type and --recipe then take; docs/extending.md has an example. It may "
        "import jaxnoise and installed packages.",
        is_file=True,
    )

    @property
    def user(self) -> UserCode:
        """The content of `user_code` when these settings were made."""
        return content(self.user_code)

    def definition(self, kind: str) -> Definition | None:
        """The run's net, loss, noise_model or recipe, if it is of `user_code`."""
        return self.user.declared[kind].get(getattr(self, FLAGS[kind]))

    def options(self, kind: str) -> dict[str, Option]:
        """The hyper-parameters of a net, loss or noise_model of `user_code`; empty for others."""
        found = self.definition(kind)
        return found.options | self._given_options(kind, found) if found else {}

    def options_name(self, kind: str) -> str:
        """Those that are given as a part of a name, `width_64_depth_3`; empty if none is."""
        found = self.definition(kind)
        given = self._given_options(kind, found) if found else {}
        return "_".join(f"{name}_{_spelled(value)}" for name, value in given.items())

    def check_user_code(self) -> None:
        """Rejects options that would do nothing, and gives equal ones one spelling.

        A file that a run uses nothing of is not one of its settings.
        """
        for kind, flag in OPTIONS.items():
            if (value := getattr(self, flag)) is None:
                continue
            found = self.definition(kind)
            if found is None:
                name = self.network if kind == "net" else getattr(self, FLAGS[kind])
                raise InputError(
                    f"--{flag}={value} with --{FLAGS[kind]}={name}: allowed only with one of "
                    "--user_code"
                )
            given = self._given_options(kind, found)
            spelled = " ".join(f"{name}={_spelled(x)}" for name, x in given.items())
            object.__setattr__(self, flag, spelled or None)
        if not any(self.definition(kind) for kind in FLAGS):
            object.__setattr__(self, "user_code", None)

    def _given_options(self, kind: str, found: Definition) -> dict[str, Option]:
        """The options that are given, in the order of their declaration."""
        flag = OPTIONS[kind]
        text, given = getattr(self, flag) or "", {}
        for part in text.split():
            name, equals, value = part.partition("=")
            if not equals or name not in found.options or name in given:
                allowed = ", ".join(f"{x} ({_spelled(y)})" for x, y in found.options.items())
                raise InputError(
                    f"--{flag}={text}: {part}: allowed are NAME=VALUE, separated by spaces, each "
                    f"name once; those of {getattr(self, FLAGS[kind])}, with their defaults: "
                    f"{allowed or 'none'}"
                )
            given[name] = _parsed(value, type(found.options[name]), f"--{flag}={text}: {part}")
        return {name: given[name] for name in found.options if name in given}


def _parsed(text: str, kind: type, told: str) -> Option:
    try:
        value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        if kind is float and not math.isfinite(value):
            raise ValueError
        if kind is str and not re.fullmatch(r"[\w.-]+", value, re.ASCII):
            raise ValueError
    except (ValueError, KeyError):
        words = {bool: "true and false", str: "letters, digits, dots, - and _"}
        allowed = words.get(kind, f"values of type {kind.__name__}")
        spaces = "; spaces, not commas, separate options" * ("," in text)
        raise InputError(f"{told}: allowed are {allowed}{spaces}") from None
    return value


def _spelled(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
