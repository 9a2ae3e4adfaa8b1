"""Reading what a finished run left in its folder, where nothing is trusted to be whole."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnoise import checkpoint, divergence, documents, noise_files, task
from jaxnoise.config import Config, InputError
from jaxnoise.scoring import SCORES, Report
from jaxnoise.selection import SELECTIONS, Selected
from jaxnoise.train_step import Program, TrainState, create_state

# Of the flags that say where, those that help to find the data and to repeat the arithmetic.
_WHERE = ("data_dir", "manual_dir", "cache_dir", "members_at_once")


class Run(NamedTuple):
    """What config.json and scores.json say."""

    folder: Path
    flags: dict[str, Any]  # as they were recorded
    config: Config
    facts: dict[str, Any]  # versions and device among them
    document: dict[str, Any]  # all of scores.json
    report: Report  # its numbers, those of each repeat


def read_run(folder: Path, **where: str) -> Run:
    """Reads config.json and scores.json.

    Args:
      where: flags that say where the data are, to use instead of the run's.

    Raises:
      InputError: there is no finished run, or one with other flags or scores than this version's.
    """
    documents.check_finished(folder)
    found = []
    for name in documents.OF_A_RUN:
        try:
            found.append(documents.read(folder / name))
        except (OSError, ValueError) as error:
            raise InputError(f"RUN_DIR={folder}: {name} cannot be read: {error}") from error
    facts, document = found
    try:
        documents.check_facts(facts)
        config = _config(facts["flags"], where)
        report = _report(document, config)
        report.text()
    except InputError as error:
        raise InputError(f"RUN_DIR={folder}: config.json: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"RUN_DIR={folder}: its config.json or scores.json is damaged or another version's "
            f"({error!r})"
        ) from error
    return Run(folder, facts["flags"], config, facts, document, report)


def _config(flags: dict[str, Any], where: dict[str, str]) -> Config:
    """Of the flags of a run; one made before a flag was there had its default."""
    fields = {field.name: field for field in dataclasses.fields(Config)}
    for name in flags:
        if name not in fields:
            raise InputError(f"--{name} is not a flag of this version")
    kept = {
        name: value
        for name, value in flags.items()
        if name in _WHERE or not fields[name].metadata["where_only"]
    }
    return Config(**kept | where)


def _report(document: dict[str, Any], config: Config) -> Report:
    rows = document["repeats"]
    scores = {name: np.array([row[name] for row in rows], float) for name in SCORES}
    selected = {}
    for name in SELECTIONS:
        accuracy, epoch = (
            np.array(document["selection"][name][of], float) for of in ("accuracy", "epoch")
        )
        selected[name] = Selected(accuracy, np.nan_to_num(epoch).astype(int))
    diverged = np.array([epoch or 0 for epoch in document["diverged_at_epoch"]], int)
    for values in (*scores.values(), diverged, *(x for both in selected.values() for x in both)):
        if values.shape != (config.total_repeats,):
            raise ValueError(f"{values.shape} numbers, {config.total_repeats} repeats")
    return Report(scores, selected, diverged, document["noise"], config.validation_labels)


def read_noise(folder: Path, config: Config) -> tuple[dict[str, np.ndarray], task.Task]:
    """The arrays of noise.npz, and the task that its labels make with the data set.

    Raises:
      InputError: it is missing, damaged, or of another data set or split.
    """
    path = folder / "noise.npz"
    arrays = _read_arrays(path)
    shapes = {}
    for prefix, index in (("", "train_index"), ("valid_", "valid_index")):
        size = len(arrays.get(index, []))
        shapes |= {index: (size,), f"{prefix}clean": (size,)}
        shapes |= {prefix + name: (config.draws, size) for name in ("noisy", "picked", "changed")}
    _check_shapes(path, arrays, shapes)
    what = task.load(config, noise_files.read_file(path, str(path)))
    for name in ("train_index", "valid_index"):
        if not np.array_equal(arrays[name], getattr(what, name)):
            raise InputError(f"{path}: {name} is not that of the data set's split")
    return arrays, what


def read_history(folder: Path, config: Config) -> dict[str, np.ndarray]:
    """history.npz: every metric as float (epochs, repeats).

    Raises:
      InputError: it is missing or damaged.
    """
    path = folder / "history.npz"
    history = _read_arrays(path)
    choosing = {selection.chosen_by for selection in SELECTIONS.values()} - {None}
    shape = (config.epochs_num, config.total_repeats)
    _check_shapes(path, history, dict.fromkeys(choosing | history.keys(), shape))
    return history


def of_survivors(history: dict[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    """Values (repeats,) with NaN for those that diverged."""
    return np.where(divergence.epochs(history) > 0, np.nan, values)


def read_samples(folder: Path, config: Config, what: task.Task) -> dict[str, np.ndarray]:
    """samples.npz: loss and predicted, each (repeats, training samples).

    Raises:
      InputError: it is missing or damaged.
    """
    path = folder / "samples.npz"
    samples = _read_arrays(path)
    shape = (config.total_repeats, len(what.train_index))
    _check_shapes(path, samples, dict.fromkeys(("loss", "predicted"), shape))
    return samples


def read_nets(
    folder: Path, program: Program, image_shape: tuple[int, ...], repeats: int
) -> TrainState:
    """The nets of a checkpoint with a leading axis (repeats,), fit for measuring only.

    Raises:
      InputError: it is missing, damaged, or of other nets.
    """

    variables = checkpoint.load(folder)
    one = jax.eval_shape(lambda key: create_state(program, key, image_shape), jax.random.key(0))
    expected = {"params": one.params, **one.variables}
    if jax.tree.map(lambda x: (x.shape, x.dtype), variables) != jax.tree.map(
        lambda x: ((repeats, *x.shape), x.dtype), expected
    ):
        raise InputError(f"{folder}: does not hold the nets that config.json tells of")
    params = variables.pop("params")
    return TrainState(np.zeros(repeats, np.int32), params, variables, None)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here, because np.load leaves the file open when it is damaged.
        with open(path, "rb") as file, np.load(file) as archive:
            arrays = dict(archive)
    except Exception as error:  # each kind of damage to a zip or NumPy header raises another type
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read: {reason}") from error
    return arrays


def _check_shapes(path: Path, arrays: dict[str, np.ndarray], shapes: dict[str, tuple]) -> None:
    for name, shape in sorted(shapes.items()):
        if name not in arrays:
            raise InputError(f"{path}: has no array {name}")
        array = arrays[name]
        if array.shape != shape or array.dtype.kind not in "biuf":
            raise InputError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}; a run's are numbers of "
                f"shape {shape}"
            )
