"""Which device and which processes a command works with."""

import pathlib
import tempfile

import jax
import pytest

from jaxnoise.config import Config, InputError
from jaxnoise.training import devices


@pytest.fixture
def device_settings(monkeypatch):
    """What would have been set; JAX has long chosen its devices here."""
    settings = {}
    monkeypatch.setattr(jax.config, "update", settings.__setitem__)
    return settings


@pytest.mark.parametrize(
    ("asked", "backend", "lines"), [(True, "cpu", 1), (False, "cpu", 0), (True, "gpu", 0)]
)
def test_missing_gpu_is_told_if_one_was_asked_for(
    asked, backend, lines, device_settings, monkeypatch, caplog
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    with caplog.at_level("INFO", "jaxnoise"):
        devices.choose_gpu(3, asked=asked)
    assert len(caplog.messages) == lines
    assert device_settings["jax_cuda_visible_devices"] == "3"


def test_gpu_number_that_is_not_there_is_refused(device_settings, monkeypatch):
    def fail():
        raise RuntimeError("no device 7\nand more lines")

    monkeypatch.delenv("JAX_PLATFORMS", raising=False)  # of who runs the tests
    monkeypatch.setattr(jax, "default_backend", fail)
    with pytest.raises(InputError) as refusal:
        devices.choose_gpu(7, asked=True)
    assert str(refusal.value) == "--GPU_num=7: JAX cannot start on it: no device 7"


def test_all_gpus_may_be_used(device_settings, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    devices.choose_gpu(devices.ALL_GPUS, asked=True)
    assert not device_settings


def test_compiled_programs_are_kept_for_accelerators_only(device_settings, monkeypatch, tmp_path):
    config = Config(cache_dir=str(tmp_path))
    for backend, kept in (("cpu", None), ("gpu", str(tmp_path / "compiled"))):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        devices.start(config, gpu_asked=False)
        assert device_settings.get("jax_compilation_cache_dir") == kept


def test_hosts_that_cannot_be_found_are_named(monkeypatch):
    def initialize(**named):
        raise RuntimeError(f"no answer from {named['coordinator_address']}\nand more lines")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(InputError) as refusal:
        devices.join_hosts("there:1", 2, 1)
    assert str(refusal.value) == "--coordinator_address=there:1: no answer from there:1"


def test_only_the_first_process_writes_where_it_is_told(monkeypatch):
    config = Config(results_dir="told")
    with devices.own_results(config) as own:
        assert own == config
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with devices.own_results(config) as own:
        folder = pathlib.Path(own.results_dir)
        assert folder.is_relative_to(tempfile.gettempdir()) and folder.is_dir()
        assert own.fingerprint == config.fingerprint
    assert not folder.exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("Unknown backend tpux\n(set JAX_PLATFORMS='')"), "Unknown backend tpux"),
        (AssertionError(), "it is not installed"),  # as JAX does for cuda without its plugin
    ],
)
@pytest.mark.parametrize("coordinator", [None, "host:1"])
def test_platform_that_is_not_there_is_named(error, reason, coordinator, monkeypatch):
    """In every command, since each of them starts its devices here."""

    def fail():
        raise error

    monkeypatch.setattr(jax, "default_backend", fail)
    monkeypatch.setattr(devices, "join_hosts", lambda *_: None)
    before = jax.config.jax_platforms
    jax.config.update("jax_platforms", "cuda")
    try:
        with pytest.raises(InputError) as refusal:
            devices.start(Config(coordinator_address=coordinator), gpu_asked=False)
    finally:
        jax.config.update("jax_platforms", before)
    assert str(refusal.value) == f"JAX_PLATFORMS=cuda: JAX cannot start on it: {reason}"
