"""Stopping when asked to: SIGINT (Ctrl-C) and SIGTERM, which clusters send before they take a node.

A thread of its own listens, since Python runs handlers of signals in the main thread only, and not
while that waits for JAX.
"""

import logging
import os
import signal
import socket
import threading

import jax
from jax.experimental import multihost_utils

from jaxnoise.terminal.commands import Interrupted
from jaxnoise.training import devices

log = logging.getLogger("jaxnoise")

# How long the epoch in hand may take to its end: less than the 10 s that containers are given
# before SIGKILL, and the 30 s of Slurm.
GRACE_SECONDS = 8


class Watch:
    """Listens inside a `with` block; outside of it, nothing is ever asked.

    The first signal asks the run to stop after the epoch in hand, and ends the process if that
    takes longer than GRACE_SECONDS; the second ends it at once. A process that ends in the midst of
    something loses at most the epoch in hand, since all files are written whole or not at all.
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._saved = "no epoch is saved yet; the same command starts anew"

    def saved(self, what: str) -> None:
        """Takes down what is saved, to be told by who stops."""
        self._saved = f"{what}; the same command goes on"

    def check(self, epoch: int) -> None:
        """Raises Interrupted, in all processes after the same epoch, if one of them was asked."""
        number = self._asked
        if jax.distributed.is_initialized():
            number = devices.largest(number or 0) or None
            if multihost_utils.reached_preemption_sync_point(epoch):
                number = signal.SIGTERM
        if number is not None:
            interrupted = Interrupted(number)
            log.info("Stopped by %s: %s", interrupted.signal, self._saved)
            raise interrupted

    def __enter__(self) -> "Watch":
        # Where processes have joined, JAX takes SIGTERM itself, and tells all of them.
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
            self._asked = self._received()
            if self._asked is None:
                return
            # Not by the log, which the main thread may be holding.
            message = (
                f"\n{signal.Signals(self._asked).name}: stopping after the epoch in hand, in "
                f"{GRACE_SECONDS} s at the latest (a second signal stops at once); {self._saved}\n"
            )
            os.write(2, message.encode(errors="replace"))
            self._reader.settimeout(GRACE_SECONDS)
            try:
                again = self._received()
            except TimeoutError:
                again = self._asked
            if again is not None:
                os.write(2, f"Stopped without it: {self._saved}\n".encode(errors="replace"))
                os._exit(128 + again)

    def _received(self) -> int | None:
        """Waits for the next signal; None once the block is left."""
        while received := self._reader.recv(1):
            if received[0] in self._handlers:
                return received[0]
        return None
