"""Checkpoints of trained members: the only module that knows Orbax."""

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from jaxnoise.config import InputError
from jaxnoise.train_step import TrainState


def save(folder: Path, state: TrainState) -> None:
    """Writes the Flax variables of all members to a folder that does not exist yet.

    What is written, {"params": …, "batch_stats": …, "spectral": …} with a leading member axis, is
    what `net.apply` takes, once a member is selected.
    """
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder.absolute(), {"params": state.params, **state.variables})


def load(folder: Path) -> dict[str, Any]:
    """Reads what `save` wrote, as NumPy or JAX arrays on the default device.

    Raises:
      InputError: there is no checkpoint, or it cannot be read.
    """
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(Path(folder).absolute())
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder}: not a readable checkpoint: {reason}") from error
