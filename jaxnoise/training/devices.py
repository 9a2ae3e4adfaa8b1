"""Choice of the devices and processes that take part, before JAX starts its backends."""

import contextlib
import dataclasses
import logging
import pickle
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.training import surroundings

log = logging.getLogger("jaxnoise")

ALL_GPUS = -1


def start(config: Config, *, gpu_asked: bool) -> None:
    """Sets up JAX for a command, as flags request; a library user sets it up directly.

    Args:
      gpu_asked: whether --GPU_num was given.

    Raises:
      InputError: the requested GPU or host, or the platform of JAX_PLATFORMS, is not available.
    """
    surroundings.undo_variables()
    if config.coordinator_address:
        join_hosts(config.coordinator_address, config.num_processes, config.process_id)
    if gpu_asked or not config.coordinator_address:
        choose_gpu(config.GPU_num, asked=gpu_asked)
    # Compiling for accelerators can take minutes, so JAX caches the result. Programs of a CPU are
    # kept by `program_cache`.
    if _backend(config.GPU_num) != "cpu" and not jax.config.jax_compilation_cache_dir:
        compiled = data.cache_folder(config.cache_dir) / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(compiled))


def choose_gpu(number: int, *, asked: bool) -> None:
    """Makes the GPU of this number the only one that JAX sees; ALL_GPUS changes nothing.

    Numbers refer to the GPUs that CUDA_VISIBLE_DEVICES leaves visible, so a scheduler's choice is
    kept. If there is no GPU and one was requested (`asked`), a line in the log says so.

    Raises:
      InputError: there are GPUs, but none with that number.
    """
    if number != ALL_GPUS:
        jax.config.update("jax_cuda_visible_devices", str(number))
        jax.config.update("jax_rocm_visible_devices", str(number))
    backend = _backend(number)
    if asked and backend != "gpu":
        log.info("--GPU_num=%d: JAX finds no GPU here; running on %s", number, backend)


def _backend(number: int) -> str:
    """JAX's default platform, which starts if it has not been used yet."""
    try:
        return jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # the second: known to JAX, not installed
        platforms = jax.config.jax_platforms
        asked = f"JAX_PLATFORMS={platforms}" if platforms else f"--GPU_num={number}"
        reason = next(iter(str(error).splitlines()), "it is not installed")
        raise InputError(f"{asked}: JAX cannot start on it: {reason}") from error


def join_hosts(coordinator_address: str, num_processes: int, process_id: int) -> None:
    """Joins this process with those of the other hosts; from then on only process 0 logs.

    Args:
      coordinator_address: host:port of process 0, or `auto`, with which the cluster or TPU provides
        all three values.

    Raises:
      InputError: the address is not valid, or the other processes cannot be reached.
    """
    named = {}
    if coordinator_address != "auto":
        host, _, port = coordinator_address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
            raise InputError(
                f"--coordinator_address={coordinator_address}: allowed are host:port and auto"
            )
        named = {
            "coordinator_address": coordinator_address,
            "num_processes": num_processes,
            "process_id": process_id,
        }
    try:
        jax.distributed.initialize(**named)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--coordinator_address={coordinator_address}: {reason}") from error
    if jax.process_index() > 0:
        log.setLevel(logging.WARNING)


@contextlib.contextmanager
def own_results(config: Config) -> Iterator[Config]:
    """The config for this process: all but process 0 write to a temporary folder."""
    if jax.process_index() == 0:
        yield config
        return
    with tempfile.TemporaryDirectory() as folder:
        yield dataclasses.replace(config, results_dir=folder)


def of_the_first(value: Any) -> Any:
    """Sends the value that process 0 has to all processes: picklable, with arrays on the host."""
    if jax.process_count() == 1:
        return value
    content = pickle.dumps(value) if jax.process_index() == 0 else b""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.frombuffer(content.ljust(size, b"\0"), np.uint8)
    return pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes())


def largest(number: int) -> int:
    """The largest of the numbers that the processes pass, returned in all of them."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())
