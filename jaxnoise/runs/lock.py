"""One process at a time in a run folder."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from jaxnoise.config import InputError

_LOCK, _HOLDER = ".lock", ".holder.json"


class Held(InputError):
    """Another process is working in the folder."""


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps other processes out of an existing folder inside the block.

    The operating system frees the lock of a process that dies, however it dies: none is ever stale.

    Raises:
      Held: another process is in it; the message says which.
    """
    lock = filelock.FileLock(folder / _LOCK, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Held(
            f"{folder}: {_told(folder)} is working on this run; allowed is one process at a time"
        ) from None
    holder = folder / _HOLDER
    try:
        holder.write_text(
            json.dumps(
                {
                    "process": os.getpid(),
                    "host": socket.gethostname(),
                    "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                }
            )
            + "\n"
        )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _told(folder: Path) -> str:
    """Who is in the folder; unknown while that process is just starting or ending."""
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['host']}, since {holder['since']},"
    except (OSError, ValueError, KeyError):
        return "another process"
