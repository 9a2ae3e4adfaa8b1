"""What the program is doing right now, for whoever shows it: the log gets a line, a terminal asks.

Every wing may report what takes long; only `terminal` shows it.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

log = logging.getLogger("jaxnoise")


@dataclass(frozen=True, eq=False)  # two activities can look alike
class Activity:
    """Something that takes a while."""

    what: str  # as in "compiling an epoch of training"
    since: float  # time.monotonic()
    expected: float | None  # seconds that it took before, on this machine


_going_on: list[Activity] = []


def now() -> Activity | None:
    """The activity that began last and has not ended."""
    return _going_on[-1] if _going_on else None


@contextlib.contextmanager
def doing(what: str, *, expected: float | None = None, logged: bool = True) -> Iterator[None]:
    """Inside the block, the program is doing `what`. Threads may use it side by side.

    Args:
      what: in the progressive form, lower case.
      expected: about how many seconds it will take, if that is known.
      logged: whether the log gets a line, where no terminal shows the activity.
    """
    if logged:
        log.info("%s …", what[0].upper() + what[1:], extra={"on_bar": True})
    activity = Activity(what, time.monotonic(), expected)
    _going_on.append(activity)
    try:
        yield
    finally:
        _going_on.remove(activity)
