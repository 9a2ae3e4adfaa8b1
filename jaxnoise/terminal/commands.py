"""How commands end: with an exit code and, on bad input, one line of error. Loads no JAX."""

import argparse
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import absl.logging

from jaxnoise.config import InputError
from jaxnoise.terminal import fitting


class Interrupted(Exception):
    """The run has stopped on a signal, after a complete epoch, which is saved."""

    def __init__(self, number: int):
        self.signal = signal.Signals(number).name
        self.exit_code = 128 + number  # what a shell reports for a process that a signal ended


def ended(work: Callable[[], int]) -> int:
    """The exit code of a command's work, also if bad input, a signal or its output ends it."""
    # Orbax and TFDS write every step they take to absl's log.
    absl.logging.set_verbosity(absl.logging.WARNING)
    try:
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except Interrupted as interrupted:
        return interrupted.exit_code
    except InputError as error:
        return complain(error)
    except KeyboardInterrupt:  # before any epoch could be lost
        return 130  # what a shell expects of a program ended by SIGINT
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        discard_output()
        return 141  # what a shell expects of a program ended by SIGPIPE
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EBADF):
            raise
        discard_output()
        complain(f"the output cannot be written: {error.strerror}")
        return 1


def discard_output() -> None:
    """Sends what is left of stdout nowhere, so that Python does not fail on it at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, captured, or None
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class CommandParser(argparse.ArgumentParser):
    """The arguments of a command `python -m jaxnoise.NAME`; a bad one is reported in one line."""

    def __init__(self, name: str, description: str):
        super().__init__(
            f"python -m jaxnoise.{name}", allow_abbrev=False,
            description=fitting.fitted(description, fitting.columns(), refill=True),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    def error(self, message: str) -> NoReturn:
        self.exit(complain(f"{message} ({self.prog} --help lists all arguments)"))


def complain(error: object) -> int:
    """Prints an error as one line, whatever characters it holds; returns exit code 2."""
    line = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(error)
    )
    print(f"error: {line}", file=sys.stderr)
    return 2
