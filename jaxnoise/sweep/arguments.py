"""The flags of main.py as arguments that take comma-separated lists of values."""

import argparse
from collections.abc import Mapping
from typing import Any

from jaxnoise.config import FIELDS, flag_type, help
from jaxnoise.sweep import grid


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all flags of main.py; `given` reads them."""
    for title, names in help.GROUPS.items():
        about = f"flags of main.py, each with comma-separated values: {title.lower()}"
        group = parser.add_argument_group(about)
        for name in names:
            field = FIELDS[name]
            bare = {"nargs": "?", "const": "true"} if flag_type(field) is bool else {}
            said = field.metadata["help"].replace("%", "%%")
            group.add_argument(f"--{name}", metavar="VALUES", help=said, action=_Once, **bare)


class _Once(argparse.Action):
    """Stores the values of a flag; argparse itself keeps the last of two flags without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(
                f"--{self.dest} is given twice; allowed is once, with comma-separated values"
            )
        setattr(namespace, self.dest, values)


def given(arguments: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of the flags of main.py that are given.

    Raises:
      InputError: a value does not have the type of its flag.
    """
    return {
        name: grid.listed(name, arguments[name]) for name in FIELDS if arguments[name] is not None
    }
