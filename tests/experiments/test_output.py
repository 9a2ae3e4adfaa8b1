"""Output that nobody reads, or that cannot be written: a run ends as usual, without a traceback."""

import logging
import os
import subprocess
import sys

import pytest
from places import MAIN

from jaxnoise.terminal import console

FLAGS = [
    "--dataset=digits", "--train_size=200", "--test_size=40", "--epochs_num=1",
    "--total_repeats=1", "--jacob_samples=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a finished run, whose table the same command prints again."""
    folder = tmp_path_factory.mktemp("output") / "é"
    folder.mkdir()
    done = subprocess.run(
        command(folder), env=environment(), cwd=folder.parent, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder


def command(folder):
    return [sys.executable, str(MAIN), *FLAGS, f"--results_dir={folder}"]


def environment(**more):
    return os.environ | {"JAX_PLATFORMS": "cpu"} | more


def test_a_reader_that_leaves(folder):
    process = subprocess.Popen(
        command(folder),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    process.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_behind_stdout(folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(folder), env=environment(), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr == (
        "stdout cannot be written (No space left on device); the run continues, see its log.txt\n"
    )
    assert done.returncode == 0


def test_a_closed_stdout(folder):
    line = " ".join(f"'{word}'" for word in command(folder))
    done = subprocess.run(
        ["sh", "-c", f"{line} >&-"], env=environment(), capture_output=True, text=True
    )
    assert done.stderr == "" and done.returncode == 0


def test_a_locale_without_the_characters_of_a_path(folder, tmp_path):
    narrow = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    done = subprocess.run(command(tmp_path / "ö"), env=narrow, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "has characters that this locale cannot name" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_handler_whose_output_fails_falls_silent_alone(capsys, monkeypatch):
    class Gone:
        def write(self, _):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def isatty(self):
            return False

    monkeypatch.setattr("sys.stdout", Gone())
    console.log_to_console()
    records = []
    other = logging.Handler()
    other.emit = records.append
    console.log.addHandler(other)
    console.log.info("one")
    console.log.info("two")
    assert [record.getMessage() for record in records] == ["one", "two"]
    assert capsys.readouterr().err == ""
