"""Interrupted runs, as real processes: killed, asked to stop, damaged, and started again.

`python -m pytest tests/test_resume.py --kills=20` is the long form: as many kills as one asks for.
"""

import dataclasses
import errno
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import orbax.checkpoint as ocp
import pytest
import run_folders
from places import MAIN

from jaxnoise.config import Config, InputError
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import folders, resume
from jaxnoise.runs.history import EpochWriter
from jaxnoise.terminal import interruption
from jaxnoise.training import surroundings

# Momentum, batch statistics and spectral vectors all have a past.
SETTINGS = {
    "dataset": "digits", "train_size": 300, "test_size": 60, "noise_rate": 0.4, "wd_coef": 1e-4,
    "do_sn": True, "total_repeats": 3, "epochs_num": 12, "jacob_samples": 20,
}  # fmt: skip


# Saves after every epoch, however short, so that there is much to interrupt; draws no figures, like
# the runs within the tests' own process.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from jaxnoise.experiments import run_figures
from jaxnoise.runs import resume
resume.SHARE = 1
run_figures.draw = lambda *_: None
import main
main.program()
"""


def start(where, **settings):
    """main.py as a process of its own, results in a folder `where`."""
    arguments = [f"--{name}={value}" for name, value in (SETTINGS | settings).items()]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, MAIN.parent, *arguments, f"--results_dir={where}"],
        env=os.environ | {"JAX_PLATFORMS": jax.default_backend()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(where, **settings):
    """The same to its end: what it printed."""
    process = start(where, **settings)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0 and error == "", error
    return out


def run_folder(where):
    return folders.run_folder(Config(**SETTINGS, results_dir=str(where)))


def saved_epochs(folder):
    """Those that are whole: the digests are written last."""
    found = (
        re.fullmatch(r"epoch_(\d+)\.sha256", path.name) for path in folder.glob("checkpoints/*")
    )
    return sorted(int(match[1]) for match in found if match)


def wait_until(process, condition):
    """True once it holds, False if the process ends before."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.001)
    return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run that nobody disturbed."""
    where = tmp_path_factory.mktemp("undisturbed")
    run(where)
    return run_folder(where)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Where a run was killed after its fourth epoch or a little later."""
    where = tmp_path_factory.mktemp("interrupted")
    process = start(where)
    assert wait_until(process, lambda: max(saved_epochs(run_folder(where)), default=0) >= 4)
    process.kill()
    process.communicate()
    return where


@pytest.fixture
def copied(interrupted, tmp_path):
    """The config of a copy of it, to do harm to."""
    shutil.copytree(interrupted, tmp_path / "copied")
    return Config(**SETTINGS, results_dir=str(tmp_path / "copied"))


def assert_same(folder, other):
    """Every array and file, bit for bit."""
    found, expected = run_folders.content(folder), run_folders.content(other)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


# SIGKILL


def test_run_killed_at_any_moment_ends_as_if_it_had_not_been(undisturbed, pytestconfig, tmp_path):
    """Half of the kills at random moments, half while a checkpoint is being written.

    Some sessions compile their programs, others find them compiled.
    """
    kills = pytestconfig.getoption("kills")
    folder, rng = run_folder(tmp_path), random.Random(0)
    moments, amid_writing = [], 0
    for kill in range(kills):
        process = start(tmp_path, **rng.choice([{}, {"cache_dir": tmp_path / "cache"}]))
        if kill % 2:
            # After so many more epochs, when the next one is being saved; or best, or last.
            first = max(saved_epochs(folder), default=0) + rng.randint(1, 3)

            def writing(first=first):
                partial = [path.name for path in folder.glob("checkpoints/*orbax-checkpoint-tmp*")]
                return any(not name.startswith(f"epoch_{first - 1:04d}") for name in partial) and (
                    max(saved_epochs(folder), default=0) >= first - 1
                )

            wait_until(process, writing)
        else:
            wait_until(process, (folder / "log.txt").exists)
            time.sleep(rng.uniform(0, 8))
        process.kill()
        _, error = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), error
        amid_writing += bool(list(folder.glob("checkpoints/*orbax-checkpoint-tmp*")))
        moments.append(saved_epochs(folder)[-1:] or ["finished" * folders.finished(folder)])
        if folders.finished(folder):
            assert_same(folder, undisturbed)
            shutil.rmtree(folder)
    run(tmp_path)
    assert_same(folder, undisturbed)
    print(
        f"\n{kills} kills, {amid_writing} while writing a checkpoint; last epochs saved {moments}"
    )


# What the same command does


def test_finished_run_keeps_no_epochs(undisturbed):
    kept = {path.name for path in (undisturbed / "checkpoints").iterdir()}
    assert kept == {"best", "best.sha256", "last", "last.sha256"}


@pytest.fixture
def begun(monkeypatch):
    """Calls run() up to its training: from which epoch it would go on."""

    def of(config):
        epochs = []

        def train(cells, *_, **__):
            epochs.extend(each.epochs for each in cells)
            raise NotImplementedError

        with monkeypatch.context() as patch, pytest.raises(NotImplementedError):
            patch.setattr(experiment, "train", train)
            experiment.run(config)
        return sum(epochs)

    return of


def test_run_goes_on_unless_told_not_to(begun, copied):
    folder = folders.run_folder(copied)
    done = saved_epochs(folder)
    assert begun(copied) == begun(dataclasses.replace(copied, overwrite=True)) == done[-1]
    assert saved_epochs(folder) == done
    (folder / "stale.txt").touch()
    assert begun(dataclasses.replace(copied, resume=False)) == 0
    assert saved_epochs(folder) == [] and not (folder / "stale.txt").exists()


def test_other_settings_never_go_on_from_it(begun, copied):
    before = run_folders.everything(folders.run_folder(copied))
    assert begun(dataclasses.replace(copied, epochs_num=13)) == 0
    assert run_folders.everything(folders.run_folder(copied)) == before


def test_changed_labels_never_go_on_from_it(copied, monkeypatch):
    """Such as those of another version, or of a data set that has changed."""
    load = noisy_dataset.load

    def changed(config, **how):
        what = load(config, **how)
        what.noisy_labels[0].noisy[0] ^= 1
        return what

    monkeypatch.setattr(noisy_dataset, "load", changed)
    folder = folders.run_folder(copied)
    done = saved_epochs(folder)
    with pytest.raises(InputError) as refusal:
        experiment.run(copied)
    assert str(refusal.value) == (
        f"{folder}/checkpoints/epoch_{done[-1]:04d}: made with other pictures or labels, so the "
        "run cannot resume from it; --noresume deletes it and starts from the beginning"
    )
    assert saved_epochs(folder) == done


def test_progress_of_another_version_is_refused(copied, monkeypatch):
    monkeypatch.setattr(resume, "_from_names", lambda *_: None)
    with pytest.raises(
        InputError, match=r"epoch_\d+: made with other shapes of the net, so the run cannot"
    ):
        experiment.run(copied)


def test_another_device_or_version_is_told(copied, begun, caplog):
    path = folders.run_folder(copied) / "config.json"
    document = json.loads(path.read_text())
    document["versions"]["jax"] = "0.9.0"
    path.write_text(json.dumps(document))
    begun(copied)
    told = f"Begun with jax 0.9.0, now {jax.__version__}: the results may differ in the last digits"
    assert told in caplog.text


def other_code(document):
    document["code"]["jaxnoise.losses"] = "cross_entropy=00000000"


def other_environment(document):
    document["environment"]["NVIDIA_TF32_OVERRIDE"] = "0"


def no_code(document):
    del document["code"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (other_code, "begun by other code in jaxnoise.losses;"),
        (other_environment, "begun with NVIDIA_TF32_OVERRIDE=0, which is not set now;"),
        (no_code, "begun by an earlier version, which did not record its code;"),
    ],
)
def test_what_other_code_or_environment_began_is_resumed_only_if_asked(copied, begun, edit, said):
    folder = folders.run_folder(copied)
    document = json.loads((folder / "config.json").read_text())
    edit(document)
    (folder / "config.json").write_text(json.dumps(document))
    before = run_folders.everything(folder)
    with pytest.raises(InputError, match=re.escape(f"{folder}: interrupted, and {said} allowed")):
        experiment.run(copied)
    kept = run_folders.everything(folder)
    files = [name for name in before if name != "log.txt" and not name.startswith(".")]
    assert [name for name in files if kept[name] != before[name]] == []
    anyway = dataclasses.replace(copied, resume_anyway=True)
    assert begun(anyway) == max(saved_epochs(folder))
    # From then on it is known, and the next session needs no leave.
    recorded = json.loads((folder / "config.json").read_text())
    change = said.removeprefix("begun ").removesuffix(";")
    assert recorded["resumed_anyway"] == [change] and recorded["code"]["jaxnoise.losses"]
    assert begun(copied) == max(saved_epochs(folder))
    recorded = json.loads((folder / "config.json").read_text())
    assert recorded["resumed_anyway"] == [change]
    assert surroundings.changes(recorded, surroundings.of_run(copied)) == [
        f"{change}, until it was resumed with --resume_anyway"
    ]


def test_other_code_is_named_also_if_its_net_has_other_shapes(copied, monkeypatch):
    """Its points cannot be read; --noresume would delete what the old code can resume."""
    folder = folders.run_folder(copied)
    document = json.loads((folder / "config.json").read_text())
    document["code"]["jaxnoise.nets"] = "LeNet=00000000"
    (folder / "config.json").write_text(json.dumps(document))
    monkeypatch.setattr(resume, "_from_names", lambda *_: None)
    with pytest.raises(InputError, match="begun by other code in jaxnoise.nets; allowed are what"):
        experiment.run(copied)


def test_what_a_lost_config_json_was_begun_with_is_not_known(copied):
    (folders.run_folder(copied) / "config.json").write_text("{")
    with pytest.raises(
        InputError, match="did not record its code; allowed are what it was begun with, --res"
    ):
        experiment.run(copied)


# Damage


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def arrays_of(folder):
    """The file that holds most of a checkpoint."""
    return max(folder.rglob("d/*"), key=lambda path: path.stat().st_size)


def metadata_of(folder):
    return folder / "_METADATA"


def digest_of(folder):
    return folder.with_name(folder.name + ".sha256")


HARMS = [
    (of, harm)
    for of in (arrays_of, metadata_of, digest_of)
    for harm in (truncate, flip_a_bit, pathlib.Path.unlink)
]


def test_damaged_file_is_named_and_the_checkpoint_before_it_taken(copied, begun, tmp_path, caplog):
    *_, before, newest = saved_epochs(folders.run_folder(copied))
    for i, (of, harm) in enumerate(HARMS):
        shutil.copytree(copied.results_dir, tmp_path / str(i))
        harmed = dataclasses.replace(copied, results_dir=str(tmp_path / str(i)))
        folder = folders.run_folder(harmed)
        file = of(folder / "checkpoints" / f"epoch_{newest:04d}")
        harm(file)
        caplog.clear()
        assert begun(harmed) == before
        (told,) = (message for message in caplog.messages if "deleting this checkpoint" in message)
        assert told.startswith(f"{file}: ") or (of == digest_of and file.name in told), (of, harm)
        assert saved_epochs(folder)[-1] == before


def test_without_a_whole_checkpoint_the_run_starts_anew(copied, begun, caplog):
    folder = folders.run_folder(copied)
    epochs = saved_epochs(folder)
    for epoch in epochs:
        truncate(arrays_of(folder / "checkpoints" / f"epoch_{epoch:04d}"))
    assert begun(copied) == 0
    assert len(
        re.findall(r": damaged, according to .*; deleting this checkpoint\n", caplog.text)
    ) == len(epochs)


# A full disk


def fail(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_is_told_and_earlier_checkpoints_are_whole(copied, begun, monkeypatch):
    folder = folders.run_folder(copied)
    newest = saved_epochs(folder)[-1]
    with monkeypatch.context() as patch, pytest.raises(InputError) as refusal:
        patch.setattr(ocp.StandardCheckpointer, "save", fail)
        experiment.run(copied)
    assert str(refusal.value) == (
        f"{folder}/checkpoints/epoch_{newest + 1:04d}: cannot be saved: [Errno 28] No space left "
        "on device"
    )
    assert begun(copied) == newest
    with monkeypatch.context() as patch, pytest.raises(InputError) as refusal:
        patch.setattr(EpochWriter, "write", fail)
        experiment.run(copied)
    assert str(refusal.value) == (
        f"{folder}: cannot be written: No space left on device; what was saved before is intact, "
        "and the same command resumes from there"
    )
    assert begun(copied) == newest


def mounted(folder, size):
    """A file system of its own, if this process may make one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    return sys.platform == "linux" and subprocess.run(command, stderr=-3).returncode == 0


def test_really_full_disk(undisturbed, tmp_path):
    if not mounted(tmp_path / "small", "4m"):
        pytest.skip("only root may mount a small file system")
    try:
        process = start(tmp_path / "small")
        _, error = process.communicate(timeout=120)
        assert process.returncode == 2
        assert re.fullmatch(r"error: .*/epoch_\d+: cannot be saved: the disk has .*\n", error), (
            error
        )
        done = saved_epochs(run_folder(tmp_path / "small"))
        subprocess.run(["mount", "-o", "remount,size=100m", tmp_path / "small"], check=True)
        printed = run(tmp_path / "small")
        assert not done or f"Resuming after epoch {done[-1]}," in printed
        assert_same(run_folder(tmp_path / "small"), undisturbed)
    finally:
        subprocess.run(["umount", tmp_path / "small"], check=True)


# How often is saved


@pytest.mark.parametrize(
    ("epoch", "saving", "share"), [(0.1, 0.2, 0.1), (10, 0.2, 0.2 / 10.2), (1, 5, 0.1)]
)
def test_saving_takes_at_most_a_tenth_of_the_time(epoch, saving, share, monkeypatch):
    """And is done after every epoch, where that takes less."""
    now = 0.0
    monkeypatch.setattr(resume.time, "monotonic", lambda: now)
    pace, saved = resume.Pace(), 0.0
    while now < 1000:
        now += epoch
        if pace.due():
            with pace.saving():
                now += saving
                saved += saving
    assert saved / now == pytest.approx(share, rel=0.2) and saved / now < 1.01 * share


@pytest.mark.usefixtures("standard_dtype_promotion")
def test_an_epoch_that_was_not_due_is_saved_before_a_stop(monkeypatch, undisturbed, tmp_path):
    config = Config(**SETTINGS, results_dir=str(tmp_path))
    monkeypatch.setattr(resume, "SHARE", 0)
    with pytest.raises(interruption.Interrupted):
        experiment.run(config, run_folders.StopAfter(3))
    assert saved_epochs(folders.run_folder(config)) == [1, 3]
    run(tmp_path)
    assert_same(folders.run_folder(config), undisturbed)


# Two processes, SIGINT and SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_after_the_current_epoch(number, copied, undisturbed):
    folder = folders.run_folder(copied)
    before = saved_epochs(folder)[-1]
    process = start(copied.results_dir)
    assert wait_until(process, lambda: saved_epochs(folder)[-1] > before)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    done = saved_epochs(folder)[-1]
    assert before < done < 12
    assert out.splitlines()[-1] == (
        f"Stopped by {number.name}: epoch {done} of 12 is saved in {folder}; the same command "
        "continues from there"
    )
    assert error.startswith(f"\n{number.name}: stopping after the current epoch, in 8 s at the ")
    if number == signal.SIGTERM:
        return
    log = (folder / "log.txt").read_text()
    printed = run(copied.results_dir)
    assert f"Resuming after epoch {done}, where the run was interrupted\n" in printed
    epochs = [int(epoch) for epoch in re.findall(r"^epoch +(\d+)/12", printed, re.M)]
    assert epochs == list(range(done + 1, 13))
    assert (folder / "log.txt").read_text().startswith(log)
    earlier = json.loads((folder / "config.json").read_text())["earlier_sessions"]
    assert len(earlier) == 2  # killed, and stopped by the signal
    assert earlier[0].keys() >= {"command", "versions", "device", "started"}
    assert_same(folder, undisturbed)


def test_second_process_on_a_folder_is_told_who_is_there(copied, begun):
    """The folder's first process was killed, and its lock does not bar the second."""
    folder = folders.run_folder(copied)
    assert (folder / ".holder.json").is_file() and (folder / ".lock").is_file()
    before = saved_epochs(folder)
    second = start(copied.results_dir)
    assert wait_until(second, lambda: saved_epochs(folder) != before)
    with pytest.raises(InputError) as refusal:
        experiment.run(copied)
    second.kill()
    second.communicate()
    assert re.fullmatch(
        rf"{re.escape(str(folder))}: process {second.pid} on {socket.gethostname()}, since "
        r"[-0-9T:+]+, is working on this run; allowed is one process at a time",
        str(refusal.value),
    )
    assert begun(copied) > before[-1]
