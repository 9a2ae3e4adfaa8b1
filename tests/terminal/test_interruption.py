"""What a process does that is asked to stop, whatever its main thread is about."""

import os
import signal
import subprocess
import sys
import time

import pytest
import run_folders
from places import ROOT

from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.terminal import interruption

# A main thread that runs no Python code, as one that waits for JAX.
BUSY = """
import ctypes, sys
from jaxnoise.config import Config
from jaxnoise.experiments import experiment
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


@pytest.mark.usefixtures("standard_dtype_promotion")
def test_a_resumed_run_knows_from_the_start_what_is_saved(tmp_path):
    """A signal in the first epoch after a resumption is answered with the epochs before it."""

    class Recording(run_folders.StopAfter):
        def __init__(self, epoch):
            super().__init__(epoch)
            self.told = []

        def saved(self, what):
            self.told.append(what)

    config = Config(
        dataset="digits", train_size=200, test_size=40, epochs_num=2, total_repeats=1,
        jacob_samples=1, results_dir=str(tmp_path),
    )  # fmt: skip
    first, second = Recording(1), Recording(None)
    with pytest.raises(interruption.Interrupted):
        experiment.run(config, first)
    experiment.run(config, second)
    assert [told.partition(" is saved")[0] for told in (*first.told, *second.told)] == [
        "epoch 1 of 2", "epoch 1 of 2", "epoch 2 of 2",
    ]  # fmt: skip
