"""Kept programs: the same bits, found only where they fit, and never a reason to fail."""

import concurrent.futures
import logging
import os
import pathlib
import subprocess
import sys
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from places import MAIN

from jaxnoise.config import Config
from jaxnoise.labels import noisy_dataset
from jaxnoise.training import assembly, program_cache
from jaxnoise.training.program_cache import ProgramCache

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def lowered(scale=2.0, x=X):
    return jax.jit(lambda x: {"sin": jnp.sin(x * scale), "sum": x.sum()}).lower(x)


@pytest.fixture(autouse=True)
def _say_again(monkeypatch):
    monkeypatch.setattr(program_cache, "_said", set())


@pytest.fixture
def cache(tmp_path):
    return ProgramCache(tmp_path / "programs")


@pytest.fixture
def use(cache):
    """Runs a program, kept or not; returns whether it was compiled."""

    def run(program, options=None):
        compiled = []
        executable = cache.compiled(
            program, options, lambda: compiled.append(True) or program.compile()
        )
        result = executable(X)
        np.testing.assert_allclose(result["sum"], X.sum())
        return bool(compiled)

    return run


def entries(tmp_path):
    return sorted((tmp_path / "programs").iterdir())


def test_a_program_is_compiled_once(use, tmp_path):
    assert use(lowered())
    assert not use(lowered())
    assert [path.suffix for path in entries(tmp_path)] == [".program"]


def test_kept_and_compiled_programs_give_the_same_bits(cache):
    program = lowered()
    compiled = program.compile()(X)
    cache.compiled(program, None, program.compile)
    kept = cache.compiled(program, None, pytest.fail)(X)
    for name, value in compiled.items():
        assert kept[name].dtype == value.dtype
        assert np.asarray(kept[name]).tobytes() == np.asarray(value).tobytes()


def test_a_kept_program_tells_its_memory(cache):
    program = lowered()
    cache.compiled(program, None, program.compile)
    kept, compiled = cache.compiled(program, None, pytest.fail), program.compile()
    for name in ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes"):
        assert getattr(kept.memory_analysis(), name) == getattr(compiled.memory_analysis(), name)


def test_another_program_or_option_is_another_entry(use, tmp_path):
    assert use(lowered())
    assert use(lowered(scale=3.0))
    assert use(lowered(), {"xla_backend_optimization_level": 1})
    assert len(entries(tmp_path)) == 3


@pytest.mark.parametrize("changed", ["flags", "cpu", "cores", "jaxlib"])
def test_another_machine_or_version_compiles_its_own(use, changed, monkeypatch, tmp_path):
    assert use(lowered())
    if changed == "flags":
        monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"] + " --xla_made_up=1")
    elif changed == "cpu":
        monkeypatch.setattr(program_cache, "_cpu", lambda: ["flags: sse2"])
    elif changed == "cores":
        monkeypatch.setattr(os, "cpu_count", lambda: 1000)
    else:
        monkeypatch.setattr(
            program_cache.importlib.metadata, "distribution",
            lambda _: type("", (), {"read_text": lambda *_: "another build"}),
        )  # fmt: skip
    assert use(lowered())
    assert len(entries(tmp_path)) == 2


def test_arguments_that_a_program_does_not_use_are_part_of_its_key(cache, tmp_path):
    """They are not in its StableHLO, but the executable refuses others."""
    for unused in (np.zeros(3, np.float32), np.zeros(4, np.float32), {"a": np.zeros(3, np.int32)}):
        program = jax.jit(lambda x, _: x + 1).lower(X, unused)
        executable = cache.compiled(program, None, program.compile)
        np.testing.assert_array_equal(executable(X, unused), X + 1)
    assert len(entries(tmp_path)) == 3


def test_flags_of_xla_in_other_spacing_are_the_same(use, monkeypatch):
    assert use(lowered())
    monkeypatch.setenv("XLA_FLAGS", f"  {os.environ['XLA_FLAGS'].replace(' ', '   ')} ")
    assert not use(lowered())


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "harm", [cut, flip, lambda _: b"", lambda content: content[:32]], ids=["cut", "flip", "0", "32"]
)
def test_a_damaged_entry_is_told_deleted_and_compiled_again(use, harm, tmp_path, caplog):
    use(lowered())
    (path,) = entries(tmp_path)
    path.write_bytes(harm(path.read_bytes()))
    assert use(lowered())
    assert caplog.messages == [f"Warning: {path}: damaged; deleting it and compiling again"]
    assert not use(lowered())


def test_an_entry_that_jax_refuses_is_compiled_again(use, tmp_path, caplog):
    """As one of another format, whose digest is right."""
    use(lowered())
    (path,) = entries(tmp_path)
    packed = zlib.compress(b"not a program")
    path.write_bytes(program_cache.hashlib.sha256(packed).digest() + packed)
    assert use(lowered())
    assert len(caplog.messages) == 1 and "cannot be used" in caplog.text
    assert not use(lowered())


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no owners of files")
def test_another_user_s_entry_is_not_used(use, monkeypatch):
    """It is unpickled, which may run anything."""
    assert use(lowered())
    monkeypatch.setattr(os, "getuid", lambda: os.stat("/").st_uid + 1)
    assert use(lowered())


def test_a_program_that_cannot_be_kept_is_compiled(use, tmp_path, monkeypatch):
    def refuse(_):
        raise ValueError("not serializable")

    monkeypatch.setattr(program_cache.serialize_executable, "serialize", refuse)
    assert use(lowered()) and use(lowered())
    assert not (tmp_path / "programs").exists()


@pytest.mark.parametrize("place", ["file", "missing/../file/below"])
def test_a_folder_that_cannot_be_made_is_told_once(tmp_path, caplog, place):
    (tmp_path / "file").touch()
    cache, program = ProgramCache(tmp_path / place), lowered()
    for _ in range(2):
        cache.compiled(program, None, program.compile)(X)
    assert len(caplog.messages) == 1 and "Compiled programs are not kept: " in caplog.text


def test_an_entry_that_cannot_be_read_is_told_and_compiled(use, tmp_path, monkeypatch, caplog):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    use(lowered())
    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    assert use(lowered()) and use(lowered(scale=3.0)) and use(lowered())
    (told,) = caplog.messages
    assert told.startswith(f"Compiled programs are not read: {tmp_path}/programs/")


def test_a_read_only_folder_can_be_read(use, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    use(lowered())
    for name in ("utime", "replace", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    assert not use(lowered())
    assert not caplog.messages
    assert use(lowered(scale=3.0))
    assert len(caplog.messages) == 1 and "Read-only file system" in caplog.text


def test_a_full_disk_is_told_and_leaves_nothing(use, tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert use(lowered()) and use(lowered(scale=3.0))
    assert entries(tmp_path) == []
    assert caplog.messages == [
        f"Compiled programs are not kept: {tmp_path}/programs: No space left on device"
    ]


def test_those_unused_for_longest_make_room(use, tmp_path, monkeypatch):
    use(lowered(1.0)), use(lowered(2.0))
    for age, path in enumerate(sorted(entries(tmp_path), key=lambda path: path.stat().st_mtime)):
        os.utime(path, (age, age))
    assert not use(lowered(1.0))  # the older one has been used since
    size = max(path.stat().st_size for path in entries(tmp_path))
    monkeypatch.setattr(program_cache, "LARGEST", 2.5 * size)
    assert use(lowered(3.0))
    assert len(entries(tmp_path)) == 2
    assert not use(lowered(1.0)) and not use(lowered(3.0))
    assert use(lowered(2.0))


def test_threads_may_share_it(use, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: use(lowered()), range(16)))
    assert len(entries(tmp_path)) == 1


def test_runs_of_two_processes_compile_an_epoch_once(tmp_path):
    """And, started cold or warm, give the same bits."""
    settings = (
        "--dataset=digits --train_size=60 --test_size=20 --noise_rate=0.4 --epochs_num=2 "
        f"--total_repeats=1 --jacob_samples=2 --cache_dir={tmp_path}/cache"
    )
    told = []
    for where in ("cold", "warm"):
        done = subprocess.run(
            [sys.executable, MAIN, *settings.split(), f"--results_dir={tmp_path}/{where}"],
            env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        told.append("Compiling an epoch of training" in done.stdout)
    assert told == [True, False]
    cold, warm = (
        next((tmp_path / where).rglob("scores.json")).parent for where in ("cold", "warm")
    )
    for name in ("metrics.jsonl", "scores.csv", "history.npz", "samples.npz"):
        assert (cold / name).read_bytes() == (warm / name).read_bytes()


def test_only_a_cpu_keeps_programs_here(tmp_path):
    """JAX's own cache keeps those of accelerators."""
    config = Config(dataset="digits", train_size=60, cache_dir=str(tmp_path))
    engine = assembly.engine(config, noisy_dataset.load(config))
    assert (engine.trainer._start._kept is not None) == (jax.default_backend() == "cpu")


def test_nothing_is_said_of_an_ordinary_start(use, caplog):
    with caplog.at_level(logging.INFO):
        use(lowered()), use(lowered())
    assert not [record for record in caplog.records if record.name == "jaxnoise"]
