"""The choice of the device, made before JAX starts its backends."""

import logging

import jax

from jaxnoise.config import InputError

log = logging.getLogger("jaxnoise")


def choose_gpu(number: int, *, asked: bool) -> None:
    """Makes the numbered GPU the only one JAX sees; without a GPU, says so if one was asked for.

    Numbers count what CUDA_VISIBLE_DEVICES leaves visible, so that a scheduler's choice is kept.

    Raises:
      InputError: there are GPUs, but none of that number.
    """
    jax.config.update("jax_cuda_visible_devices", str(number))
    jax.config.update("jax_rocm_visible_devices", str(number))
    try:
        backend = jax.default_backend()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--GPU_num={number}: JAX cannot start on it: {reason}") from error
    if asked and backend != "gpu":
        log.info("--GPU_num=%d: JAX finds no GPU here; running on %s", number, backend)
