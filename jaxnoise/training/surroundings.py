"""What numbers depend on besides flags: JAX's settings, the environment's variables, the code.

A setting of JAX that changes numbers has one value here, whatever the environment or the caller
says. What cannot be pinned is recorded by `of_run`: variables that the libraries below JAX read,
and the code. JAX is imported late, since the record serves commands that do without it.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnoise.config import Config
from jaxnoise.training import source_digests

if TYPE_CHECKING:
    import jax

log = logging.getLogger("jaxnoise")

# What every compiled program is traced and called under, by the names of `jax`.
_PINNED = {
    "enable_x64": False,
    "threefry_partitionable": True,
    "default_matmul_precision": None,  # programs choose their own, see `Program.matmul_precision`
    "softmax_custom_jvp": False,
    "disable_jit": False,
}
# What a command undoes if a variable sets it: it would end in a traceback, not in other numbers.
_UNDONE = {
    **_PINNED,
    "default_prng_impl": "threefry2x32",
    "random_seed_offset": 0,
    "no_tracing": False,
    "no_execution": False,
    "legacy_prng_key": "allow",
    "numpy_dtype_promotion": "standard",
    "numpy_rank_promotion": "allow",
    "check_tracer_leaks": False,
    "debug_nans": False,  # a share of no samples is NaN, and a repeat that diverges is frozen
    "debug_infs": False,
    "transfer_guard": "allow",
    "transfer_guard_host_to_device": "allow",
    "transfer_guard_device_to_device": "allow",
    "transfer_guard_device_to_host": "allow",
}
_PREFIXES = ("JAX_", "XLA_", "LIBTPU_", "TPU_", "NVIDIA_TF32", "CUBLAS_", "CUDNN_", "NPY_", "MKL_")
# Of these, variables and flags of XLA that say where or how to run, show more, or keep files.
_HARMLESS = (
    "JAX_PLATFORM", "JAX_CUDA_VISIBLE_DEVICES", "JAX_ROCM_VISIBLE_DEVICES", "JAX_NUM_CPU_DEVICES",
    "JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "JAX_ENABLE_COMPILATION_CACHE",
    "JAX_COORDINATOR", "JAX_NUM_PROCESSES", "JAX_PROCESS", "JAX_LOG", "JAX_TRACEBACK", "JAX_DEBUG_",
    "JAX_EXPLAIN", "JAX_RAISE", "JAX_ENABLE_CHECKS", "JAX_INCLUDE_FULL_TRACEBACKS",
    "XLA_PYTHON_CLIENT", "XLA_CLIENT_MEM", "TPU_ACCELERATOR", "TPU_CHIPS", "TPU_HOST",
    "TPU_LIBRARY", "TPU_LOAD", "TPU_MIN_LOG", "TPU_NAME", "TPU_PROCESS", "TPU_SKIP", "TPU_STDERR",
    "TPU_TOPOLOGY", "TPU_VISIBLE", "TPU_WORKER", "MKL_NUM_THREADS",
)  # fmt: skip
_HARMLESS_XLA = ("--xla_dump_", "--xla_force_host_platform_device_count", "--xla_hlo_profile")


def key(seed: int) -> "jax.Array":
    """The typed Threefry key of a seed in [0, 2³¹): `jax.random.key(seed)` by JAX's defaults.

    Neither JAX_DEFAULT_PRNG_IMPL nor JAX_RANDOM_SEED_OFFSET changes it.
    """
    import jax
    import jax.numpy as jnp

    return jax.random.wrap_key_data(jnp.asarray([0, seed], np.uint32), impl="threefry2x32")


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Inside the block, in this thread, JAX's settings that change numbers have their one value."""
    import jax

    with contextlib.ExitStack() as settings:
        for name, value in _PINNED.items():
            settings.enter_context(getattr(jax, name)(value))
        yield


def undo_variables() -> None:
    """For the whole process, undoes what JAX's variables in the environment set; logs which.

    It is for commands, whose process is theirs; a library must leave the process as it is.
    """
    import jax

    for name, value in _UNDONE.items():
        option = f"jax_{name}"
        said = os.environ.get(option.upper())
        if said is None or option not in jax.config.values:
            continue
        if getattr(jax.config, option) not in (value, None):
            log.warning("%s=%s is ignored: jaxnoise sets it to %s", option.upper(), said, value)
        jax.config.update(option, value)


def of_run(config: Config) -> dict[str, dict[str, str]]:
    """What decides a run's numbers besides its flags and data, for its record.

    Returns:
      `code`, see `source_digests.of_run`, and `environment`, see `variables`.
    """
    return {"code": source_digests.of_run(config), "environment": variables()}


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """How the first of two records of `of_run` differs, in words after `made`; empty if equal.

    A record may have an entry `resumed_anyway`, the changes amid its run. They count too.
    """
    if "code" not in before:
        return ["by an earlier version, which did not record its code"]
    changed = []
    if modules := source_digests.changed(before["code"], now["code"]):
        changed.append(f"by other code in {', '.join(modules)}")
    there, here = before.get("environment", {}), now["environment"]
    for name in sorted(there.keys() | here.keys()):
        if name not in there:
            changed.append(f"without {name}={here[name]}")
        elif name not in here:
            changed.append(f"with {name}={there[name]}, which is not set now")
        elif there[name] != here[name]:
            changed.append(f"with {name}={there[name]}, which is {here[name]} now")
    amid = [*before.get("resumed_anyway", []), *now.get("resumed_anyway", [])]
    return changed + [f"{change}, until it was resumed with --resume_anyway" for change in amid]


def variables() -> dict[str, str]:
    """The environment's variables that can change numbers and are not pinned, by name.

    A variable that nobody here knows counts as one that can. XLA_FLAGS has its flags sorted.
    """
    pinned = {f"JAX_{name.upper()}" for name in _UNDONE}
    found = {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith(_PREFIXES) and not name.startswith(_HARMLESS) and name not in pinned
    }
    flags = found.pop("XLA_FLAGS", "").split()
    if kept := sorted(flag for flag in flags if not flag.startswith(_HARMLESS_XLA)):
        found["XLA_FLAGS"] = " ".join(kept)
    return found
