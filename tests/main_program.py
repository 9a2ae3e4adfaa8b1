"""main.py, as a process of its own and within this one."""

import os
import re
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver
from places import MAIN

import main
from jaxnoise.terminal import console
from jaxnoise.training import devices

if "noise_rate" not in flags.FLAGS:
    main.define_flags()


def command(*arguments, folder):
    """Runs main.py as a user without a GPU does, in a given folder."""
    return subprocess.run(
        [sys.executable, MAIN, *arguments],
        cwd=folder,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def call(*arguments):
    """The same within this process: the exit code. The device and the log are left as they are."""
    with flagsaver.flagsaver(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "log_to_console", lambda: None)
        patch.setattr(devices, "start", lambda *_, **__: None)
        try:
            return main.main(main.parse_flags(["main.py", *arguments]))
        except SystemExit as exit_:
            return exit_.code


def assert_one_error_line(text):
    assert re.fullmatch(r"error: \S.*\n", text), text  # . matches no line break
