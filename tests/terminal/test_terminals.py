"""What a user sees in real (pseudo-)terminals of several widths."""

import contextlib
import os
import re
import subprocess
import sys

import pytest

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")

# A run as main.py makes it, without the training.
RUN = """
import time
import numpy as np
from jaxnoise import activity
from jaxnoise.terminal import console, display, progress

console.log_to_console()
names = ("step_loss", "train_noisy_accuracy", "train_accuracy", "valid_accuracy", "test_accuracy")
with display.live(), progress.EpochReport(100, jacob_start_epoch=50) as epochs:
    console.log.info("Noise    32400 training labels picked, 32400 changed: true rate 60.00 %, "
                     "SHA-256 ef07007306be268e")
    with activity.doing("compiling an epoch of training with the Jacobian term (program 2 of 2)",
                        expected=25):
        time.sleep(0.5)
    for _ in range(2):
        epochs.update({name: np.full(2, 98.765, np.float32) for name in names})
    time.sleep(0.5)
print("the end")
"""


def screen(command, columns):
    """All that a terminal of that width is sent, as lines without control sequences."""
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color"}
    terminal, end = pty.openpty()
    with subprocess.Popen(command, stdout=end, stderr=end, env=environment) as process:
        os.close(end)
        sent = b""
        with contextlib.suppress(OSError):  # how Linux reports that the other end is closed
            while part := os.read(terminal, 65536):
                sent += part
    os.close(terminal)
    assert process.returncode == 0, sent.decode()
    assert b"\x1b[?25l" not in sent  # the cursor stays visible, should the process be killed
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent.decode()))


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_nothing_is_cut_off_or_broken_within_a_word(columns):
    lines = screen([sys.executable, "-c", RUN], columns)
    assert max(map(len, lines)) <= columns
    text = "\n".join(line.rstrip() for line in lines)
    told = (
        "compiling an epoch of training with the Jacobian term (program 2 of 2): 0 s of about 25 s"
    )
    assert told in re.sub(r"\s+", " ", text)
    assert "test 98.8 %  valid 98.8 %  train 98.8 %  train/noisy 98.8 %  loss 98.7650" in text
    bars = [line for line in lines if line.startswith("epoch 2/100 ━")]
    assert bars and all(len(line) == columns for line in bars)  # over the whole width
    assert re.search(r"━ +\d s", bars[-1])
    words = "true rate 60.00 %, SHA-256 ef07007306be268e"
    assert words in re.sub(r"\s+", " ", text) and "the end" in lines
