"""Flags for data and device, shared by the commands that measure finished runs again."""

import argparse
import dataclasses
from typing import Any

from jaxnoise.config import Config
from jaxnoise.training import devices

WHERE = ("data_dir", "manual_dir", "cache_dir")


def add_where(parser: argparse.ArgumentParser) -> None:
    """Adds --data_dir, --manual_dir, --cache_dir and --GPU_num."""
    helps = {field.name: field.metadata["help"] for field in dataclasses.fields(Config)}
    for name in WHERE:
        parser.add_argument(
            f"--{name}", metavar="DIR", help=f"default: the value that the run used. {helps[name]}"
        )
    parser.add_argument("--GPU_num", type=int, default=0, help=helps["GPU_num"])


def start(arguments: dict[str, Any]) -> dict[str, str]:
    """Chooses the device, and returns the given flags that locate the data.

    Raises:
      InputError: see `devices.start`.
    """
    where = {name: arguments[name] for name in WHERE if arguments[name] is not None}
    devices.start(Config(GPU_num=arguments["GPU_num"], **where), gpu_asked=False)
    return where
