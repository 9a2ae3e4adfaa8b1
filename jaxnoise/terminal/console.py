"""Where the lines of the log go: stdout, above the live part of a terminal, and files."""

import contextlib
import contextvars
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import absl.logging

from jaxnoise.terminal import commands, display, fitting

log = logging.getLogger("jaxnoise")

_about: contextvars.ContextVar[Path | None] = contextvars.ContextVar("about", default=None)


@contextlib.contextmanager
def about(folder: Path) -> Iterator[None]:
    """Inside the block, log records concern only the run in this folder."""
    token = _about.set(folder)
    try:
        yield
    finally:
        _about.reset(token)


def log_to_console(*, runs: bool = True) -> None:
    """Sends the package's log to stdout, except, on a terminal, what its live part shows.

    Args:
      runs: whether records `about` a single run go to stdout too; they always go to the run's log.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack some characters
        sys.stdout.reconfigure(errors="replace")
    for earlier in [handler for handler in log.handlers if isinstance(handler, _Console)]:
        log.removeHandler(earlier)  # of an earlier command, in a notebook
    log.setLevel(logging.INFO)
    log.propagate = False
    if sys.stdout is None:  # closed
        return
    handler = _Console(sys.stdout)
    handler.addFilter(
        lambda record: not (getattr(record, "on_bar", False) and display.covers(handler.stream))
    )
    handler.addFilter(lambda _: runs or _about.get() is None)
    log.addHandler(handler)


def show_progress() -> None:
    """Prints what runs report, as main.py does. Call it once, in a notebook or a program.

    Of libraries that log every step they take, such as Orbax, only warnings are printed.
    """
    absl.logging.set_verbosity(absl.logging.WARNING)
    log_to_console()


class _Console(logging.StreamHandler):
    """The handler that `log_to_console` adds.

    If its output cannot be written, because the reader of a pipe has gone or a disk is full, it
    falls silent. The run continues: its folder has the whole log.
    """

    _failed = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._failed:  # removed, it would hide this record from the handlers after it
            return
        if not display.covers(self.stream):
            return super().emit(record)
        try:
            display.write(self.format(record))
        except OSError:
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not self.stream.isatty():
            return text
        refill = getattr(record, "refill", False)
        return fitting.fitted(text, fitting.columns(), refill=refill)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            return super().handleError(record)
        self._failed = True
        if not isinstance(error, BrokenPipeError):
            told = (
                f"stdout cannot be written ({error.strerror}); the run continues, see its log.txt"
            )
            print(told, file=sys.stderr)
        commands.discard_output()


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Inside the block, copies the package's log, with times, to a file.

    Records about a run in another folder than the file's are left out.
    """
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.addFilter(lambda _: _about.get() in (None, path.parent))
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
