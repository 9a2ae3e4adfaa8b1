"""What a process does that is asked to stop, whatever its main thread is about."""

import os
import signal
import subprocess
import sys
import time

import pytest
from places import ROOT

from jaxnoise.terminal import interruption

# A main thread that runs no Python code, as one that waits for JAX.
BUSY = """
import ctypes, sys
from jaxnoise.terminal import interruption
interruption.GRACE_SECONDS = float(sys.argv[1])
with interruption.Watch() as watch:
    watch.saved("all")
    print("ready", flush=True)
    ctypes.CDLL(None).sleep(20)
    ctypes.CDLL(None).sleep(20)
"""


def busy(grace):
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(grace)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_stops_at_once(number):
    process = busy(grace=1000)
    process.send_signal(signal.SIGTERM)
    assert process.stderr.readline() == "\n"
    assert process.stderr.readline().startswith("SIGTERM: stopping after the current epoch")
    assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 128 + number


def test_process_ends_when_its_time_is_over():
    process = busy(grace=0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 130
    first, last = error.strip().splitlines()
    assert first.endswith(
        "(a second signal stops at once); all; the same command continues from there"
    )
    assert last == "Stopped before the end of the epoch: all; the same command continues from there"


def test_run_is_asked_once_the_signal_is_there():
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruption.Watch() as watch:
        watch.check(0)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(interruption.Interrupted) as interrupted:
            while True:
                watch.check(1)
                time.sleep(0.001)
    assert interrupted.value.exit_code == 143
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_nobody_asks_outside_of_the_block():
    interruption.Watch().check(0)
