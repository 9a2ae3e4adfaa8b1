"""Checkpoints of trained members: the only module that knows Orbax."""

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxnoise.config import InputError
from jaxnoise.train_step import TrainState


def save(folder: Path, state: TrainState) -> None:
    """Writes the Flax variables of all members to a folder that does not exist yet.

    What is written, {"params": …, "batch_stats": …, "spectral": …} with a leading member axis, is
    what `net.apply` takes, once a member is selected. A file `folder`.sha256 beside it holds the
    digest of the arrays, since Orbax does not notice a flipped bit in them.
    """
    variables = {"params": state.params, **state.variables}
    with _checkpointer() as checkpointer:
        checkpointer.save(folder.absolute(), variables)
    _digest_file(folder).write_text(_digest(variables) + "\n")


def load(folder: Path) -> dict[str, Any]:
    """Reads what `save` wrote, as arrays on the default device.

    Raises:
      InputError: there is no checkpoint, it cannot be read, or its content has changed.
    """
    try:
        with _checkpointer() as checkpointer:
            variables = checkpointer.restore(Path(folder).absolute())
        expected = _digest_file(folder).read_text().strip()
    except Exception as error:  # Orbax and TensorStore raise another type for each kind of damage
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder}: not a readable checkpoint: {reason}") from error
    if _digest(variables) != expected:
        raise InputError(f"{folder}: damaged checkpoint: its arrays are not those that were saved")
    return variables


def _checkpointer() -> ocp.StandardCheckpointer:
    """For arrays that this process has whole: it waits for no other process."""
    me = jax.process_index()
    return ocp.StandardCheckpointer(
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
        )
    )


def _digest_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".sha256")


def _digest(variables: dict[str, Any]) -> str:
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        sha.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()
