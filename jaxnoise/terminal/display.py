"""The live part of a terminal, below the log: what is being done, and how far it has come."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from jaxnoise import activity

_live: Live | None = None
_rows: list[Callable[[], RenderableType]] = []
_notice: list[str] = []


class _Steady(Console):
    """Leaves the cursor visible, so that a process that is killed leaves a sound terminal."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


@contextlib.contextmanager
def live() -> Iterator[None]:
    """Inside the block, stdout, or else stderr, has a live part if it is a terminal."""
    global _live
    terminals = [x for x in (sys.stdout, sys.stderr) if x is not None and x.isatty()]
    if _live is not None or not terminals:
        yield
        return
    _live = Live(
        get_renderable=_rendered,
        console=_Steady(file=terminals[0]),
        transient=True,  # the log says all that lasts
        redirect_stdout=sys.stdout in terminals,
        redirect_stderr=sys.stderr in terminals,
    )
    try:
        with _live:
            yield
    finally:
        _live = None
        _notice.clear()


def covers(stream: TextIO) -> bool:
    """Whether what goes to the stream must be written above the live part, by `write`."""
    return _live is not None and stream.isatty()


def write(text: str) -> None:
    """Writes lines above the live part."""
    _live.console.print(Text(text), soft_wrap=True)


def notice(text: str) -> bool:
    """Shows a message in the live part until it ends; returns False if there is none."""
    if _live is not None:
        _notice.append(text)
    return _live is not None


@contextlib.contextmanager
def row(draw: Callable[[], RenderableType]) -> Iterator[None]:
    """Inside the block, the live part shows what `draw` returns, several times a second."""
    _rows.append(draw)
    try:
        yield
    finally:
        _rows.remove(draw)


def _rendered() -> RenderableType:
    parts = [draw() for draw in _rows]
    if doing := activity.now():
        passed = time.monotonic() - doing.since
        about = f" of about {duration(doing.expected)}" if doing.expected else ""
        mark = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(passed * 8) % 10]
        parts.append(words(f"{mark} {doing.what}: {duration(passed)}{about}"))
    return Group(*parts, *map(words, _notice))


def words(text: str) -> Text:
    """Text of the live part: it is broken into lines also while `write` writes one that is not."""
    return Text(text, no_wrap=False, overflow="fold")


def duration(seconds: float) -> str:
    """As in `42 s`, `12 min` and `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
