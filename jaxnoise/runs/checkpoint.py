"""Checkpoints, written whole and read back only if unchanged: the only module that uses Orbax.

A run keeps its nets in checkpoints/best and checkpoints/last; `resume` keeps its progress beside.
"""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxnoise.config import InputError
from jaxnoise.datasets import digests
from jaxnoise.train_step import Program, TrainState, create_state
from jaxnoise.training import surroundings

# In the folder of a run.
FOLDER = "checkpoints"
# After the epoch with the best validation accuracy of each repeat, which the scores are of, and
# after the last epoch. Without a validation part both are the last: whatever reads `best` works.
NETS = ("best", "last")
# With --ema_decay, also those with the moving average of the weights after the last epoch.
EMA = "ema"
# Beyond the arrays themselves: Orbax's own files.
_OVERHEAD_BYTES = 2**20


def save(folder: Path, arrays: dict[str, Any]) -> None:
    """Writes nested dicts of arrays to a folder, in place of what an interrupted call left there.

    The folder appears whole or not at all; once it has, a file `folder`.sha256 beside it has the
    digests of its files, as the command sha256sum writes them, since Orbax does not notice a
    flipped bit.

    Raises:
      InputError: it cannot be written; nothing is left of it.
    """
    folder.parent.mkdir(exist_ok=True)
    remove(folder)
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)) + _OVERHEAD_BYTES
    free = shutil.disk_usage(folder.parent).free
    if free < needed:  # Orbax would report it in many lines
        raise InputError(
            f"{folder}: cannot be saved: the disk has {free / 1e6:.1f} MB left, but "
            f"{needed / 1e6:.1f} MB are needed"
        )
    try:
        with _checkpointer() as checkpointer:
            checkpointer.save(folder.absolute(), arrays)
        found = {name: digests.of_file(path) for name, path in _files(folder).items()}
        digests.write(_digests_file(folder), found)
    except Exception as error:  # Orbax and TensorStore raise another type for each failure
        remove(folder)
        raise InputError(f"{folder}: cannot be saved: {_reason(error)}") from error


def load(folder: Path) -> dict[str, Any]:
    """Reads what `save` wrote.

    Raises:
      InputError: there is no checkpoint, or it is damaged; the message names the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such checkpoint")
    listing = _digests_file(folder)
    try:
        expected = digests.read(listing)
    except (OSError, ValueError) as error:
        raise InputError(f"{listing}: not readable, so {folder} may be damaged") from error
    found = _files(folder)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise InputError(f"{folder.parent / name}: missing, though {listing.name} lists it")
        if digests.of_file(found[name]) != expected.get(name):
            raise InputError(f"{found[name]}: damaged, according to {listing.name}")
    try:
        with _checkpointer() as checkpointer:
            return checkpointer.restore(folder.absolute())
    except Exception as error:  # as above
        raise InputError(f"{folder}: not a readable checkpoint: {_reason(error)}") from error


def save_nets(run_folder: Path, which: str, state: TrainState) -> None:
    """Writes the nets of a run, `which` of NETS or EMA: as (repeats, ...) parameters and variables.

    Raises:
      InputError: see `save`.
    """
    save(run_folder / FOLDER / which, {"params": state.params, **state.variables})


def read_nets(
    run_folder: Path,
    which: str,
    program: Program,
    image_shape: tuple[int, ...],
    repeats: int,
) -> TrainState:
    """Reads what `save_nets` wrote: enough to measure the nets, not to train them further.

    Raises:
      InputError: it is missing, damaged, or of other nets.
    """
    folder = run_folder / FOLDER / which
    variables = load(folder)
    one = jax.eval_shape(lambda key: create_state(program, key, image_shape), surroundings.key(0))
    expected = {"params": one.params, **one.variables}
    if jax.tree.map(lambda x: (x.shape, x.dtype), variables) != jax.tree.map(
        lambda x: ((repeats, *x.shape), x.dtype), expected
    ):
        raise InputError(f"{folder}: does not hold the nets that config.json describes")
    params = variables.pop("params")
    return TrainState(np.zeros(repeats, np.int32), params, variables, None)


def remove(folder: Path) -> None:
    """Deletes a checkpoint, whole or not, and its digests."""
    _digests_file(folder).unlink(missing_ok=True)
    for part in (folder, *folder.parent.glob(f"{folder.name}.orbax-checkpoint-tmp*")):
        shutil.rmtree(part, ignore_errors=True)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0]


def _checkpointer() -> ocp.StandardCheckpointer:
    """For arrays that this process has whole: it waits for no other process."""
    me = jax.process_index()
    return ocp.StandardCheckpointer(
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
        )
    )


def _digests_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".sha256")


def _files(folder: Path) -> dict[str, Path]:
    """All files, by the names that they have in the list of digests beside the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder.parent)): path for path in paths}
