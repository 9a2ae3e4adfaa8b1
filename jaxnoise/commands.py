"""What commands have in common: where data and device are, and how they end."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import absl.logging

from jaxnoise import devices, interruption
from jaxnoise.config import Config, InputError
from jaxnoise.flags import complain

_WHERE = ("data_dir", "manual_dir", "cache_dir")


def add_where(parser: argparse.ArgumentParser) -> None:
    """Adds --data_dir, --manual_dir, --cache_dir and --GPU_num."""
    helps = {field.name: field.metadata["help"] for field in dataclasses.fields(Config)}
    for name in _WHERE:
        parser.add_argument(f"--{name}", metavar="DIR", help=f"default: the run's. {helps[name]}")
    parser.add_argument("--GPU_num", type=int, default=0, help=helps["GPU_num"])


def start(arguments: dict[str, Any]) -> dict[str, str]:
    """Chooses the device, and returns the flags that say where the data are, as far as given.

    Raises:
      InputError: see `devices.start`.
    """
    # Orbax and TFDS tell absl's log every step they take.
    absl.logging.set_verbosity(absl.logging.WARNING)
    where = {name: arguments[name] for name in _WHERE if arguments[name] is not None}
    devices.start(Config(GPU_num=arguments["GPU_num"], **where), gpu_asked=False)
    return where


def ended(work: Callable[[], int]) -> int:
    """The exit code of a command's work, also where a bad input or a signal ends it."""
    # Orbax and TFDS tell absl's log every step they take.
    absl.logging.set_verbosity(absl.logging.WARNING)
    try:
        return work()
    except interruption.Interrupted as interrupted:
        return interrupted.exit_code
    except InputError as error:
        return complain(error)
    except KeyboardInterrupt:  # before there was anything to lose
        return 130  # what a shell expects of a program ended by SIGINT
