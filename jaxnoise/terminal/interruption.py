"""Stopping on a signal: SIGINT (Ctrl-C), or SIGTERM, which clusters send before they take a node.

A separate thread listens, since Python runs signal handlers in the main thread only, and not while
that thread waits for JAX.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable

import jax
from jax.experimental import multihost_utils

from jaxnoise.terminal import display
from jaxnoise.terminal.commands import Interrupted
from jaxnoise.training import devices

log = logging.getLogger("jaxnoise")

# How long the current epoch may take to finish: less than the 10 s that containers are given before
# SIGKILL, and the 30 s of Slurm.
GRACE_SECONDS = 8


class Watch:
    """Listens for signals inside a `with` block; outside of it, `check` never raises.

    The first signal requests the run to stop after the current epoch, and ends the process if that
    takes longer than GRACE_SECONDS; the second ends it at once. A process that ends in the middle
    of its work loses at most the epochs since the last checkpoint, since files are written
    completely or not at all.
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._saved = "no epoch is saved yet; the same command starts from the beginning"

    def saved(self, what: str) -> None:
        """Sets what the message about stopping says is saved."""
        self._saved = f"{what}; the same command continues from there"

    def check(self, epoch: int, save: Callable[[], None] = lambda: None) -> None:
        """Raises Interrupted if a process got a signal, in all processes after the same epoch.

        Args:
          save: called before, to save what is not saved yet.
        """
        number = self._signal
        if jax.distributed.is_initialized():
            number = devices.largest(number or 0) or None
            if multihost_utils.reached_preemption_sync_point(epoch):
                number = signal.SIGTERM
        if number is not None:
            save()
            interrupted = Interrupted(number)
            log.info("Stopped by %s: %s", interrupted.signal, self._saved)
            raise interrupted

    def __enter__(self) -> "Watch":
        # If processes have joined, JAX handles SIGTERM itself and notifies all of them.
        joined = jax.distributed.is_initialized()
        numbers = [signal.SIGINT] if joined else [signal.SIGINT, signal.SIGTERM]
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._writer.close()
        self._listener.join()

    def _listen(self) -> None:
        with self._reader:
            self._signal = self._received()
            if self._signal is None:
                return
            # Not through the log, whose lock the main thread may hold.
            message = (
                f"{signal.Signals(self._signal).name}: stopping after the current epoch, in "
                f"{GRACE_SECONDS} s at the latest (a second signal stops at once); {self._saved}"
            )
            if not display.notice(message):
                os.write(2, f"\n{message}\n".encode(errors="replace"))
            self._reader.settimeout(GRACE_SECONDS)
            try:
                again = self._received()
            except TimeoutError:
                again = self._signal
            if again is not None:
                message = f"Stopped before the end of the epoch: {self._saved}\n"
                os.write(2, message.encode(errors="replace"))
                os._exit(128 + again)

    def _received(self) -> int | None:
        """Waits for the next signal; None once the block is left."""
        while received := self._reader.recv(1):
            if received[0] in self._handlers:
                return received[0]
        return None
