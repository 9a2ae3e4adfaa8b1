"""Resuming an interrupted run: checkpoints of its epochs, of which the newest are kept."""

import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnoise.config import Config, InputError
from jaxnoise.labels.noisy_dataset import NoisyDataset
from jaxnoise.runs import checkpoint, documents
from jaxnoise.training import loop, surroundings

log = logging.getLogger("jaxnoise")

# One more than is needed, in case the newest is damaged.
KEPT = 2
# Of the time of a run, at most this share goes to saving.
SHARE = 0.1


class Pace:
    """When to save: after every epoch, unless epochs are so short that this would take long."""

    def __init__(self) -> None:
        self._saved, self._took = time.monotonic(), 0.0

    def due(self) -> bool:
        """Whether enough time has passed since the last time."""
        passed = time.monotonic() - self._saved
        return self._took <= SHARE * (self._took + passed)

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Times the saving inside."""
        begun = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._took = self._saved - begun


class Point(NamedTuple):
    """Everything that a run resumes from: all that changes from epoch to epoch."""

    progress: loop.Progress  # of all members, (members, ...) each, on the host
    history: dict[str, np.ndarray]  # of every metric, float32 (epochs, members)
    seconds: float  # spent on these epochs

    @property
    def epochs(self) -> int:
        """How many have been trained."""
        return len(next(iter(self.history.values())))


def identity(
    config: Config, dataset: NoisyDataset, transition_matrices: np.ndarray | None = None
) -> np.ndarray:
    """A SHA-256, uint8 (32,), over the settings, pictures and labels that determine a run.

    Args:
      transition_matrices: those of --loss=forward, which may be estimated.
    """
    sha = hashlib.sha256(config.fingerprint.encode())
    for settings in documents.resolved(config).values():  # their defaults are in no fingerprint
        for name, value in settings.items():
            sha.update(f"{name}={value}".encode())
    labels = (x.noisy for x in (*dataset.noisy_labels, *dataset.noisy_valid_labels))
    for array in (dataset.images, dataset.labels, dataset.split, *dataset.preprocessing, *labels):
        sha.update(np.ascontiguousarray(array))
    if transition_matrices is not None:
        sha.update(transition_matrices)
    return np.frombuffer(sha.digest(), np.uint8)


def save(folder: Path, point: Point, identity: np.ndarray) -> None:
    """Adds a point to a folder and, once it is whole, deletes those no longer needed.

    Raises:
      InputError: it cannot be written; the earlier points are still there.
    """
    arrays = {
        "progress": _by_name(point.progress),
        "history": point.history,
        "seconds": np.float64(point.seconds),
        "identity": identity,
    }
    checkpoint.save(folder / f"epoch_{point.epochs:04d}", arrays)
    for old in _points(folder)[KEPT:]:
        checkpoint.remove(old)


def newest(folder: Path, like: loop.Progress, identity: np.ndarray) -> Point | None:
    """The newest whole point, or None; damaged ones are reported and deleted.

    Args:
      like: progress of one member, for its structure, shapes and dtypes.

    Raises:
      InputError: a point is whole, but of another run.
    """
    for path in _points(folder):
        try:
            arrays = checkpoint.load(path)
        except InputError as error:
            log.warning("%s; deleting this checkpoint", error)
            checkpoint.remove(path)
            continue
        progress = _from_names(arrays["progress"], like)
        if progress is None or not np.array_equal(arrays["identity"], identity):
            other = "shapes of the net" if progress is None else "pictures or labels"
            raise InputError(
                f"{path}: made with other {other}, so the run cannot resume from it; --noresume "
                "deletes it and starts from the beginning"
            )
        return Point(progress, arrays["history"], float(arrays["seconds"]))
    return None


def changes(
    folder: Path, sessions: list[dict[str, Any]], facts: dict[str, Any], *, anyway: bool
) -> list[str]:
    """What of code and environment has changed amid a run, in words, this time included.

    Args:
      sessions: the facts of the sessions so far, the oldest first; empty if they are not known.
      facts: of this session.
      anyway: whether the run is to resume nevertheless.

    Raises:
      InputError: it is not, and something has changed since the newest session.
    """
    newest = dict(sessions[-1]) if sessions else {}
    past = newest.pop("resumed_anyway", [])
    changed = surroundings.changes(newest, facts)
    if changed and not anyway:
        raise InputError(
            f"{folder}: interrupted, and begun {'; '.join(changed)}; allowed are what it was begun "
            "with, --resume_anyway, which resumes it nevertheless, and --noresume, which starts it "
            "again"
        )
    return past + changed


def begun(folder: Path) -> bool:
    """Whether there is a point, whole or not."""
    return bool(_points(folder))


def clear(folder: Path) -> None:
    """Deletes all points: the run is finished."""
    for path in _points(folder):
        checkpoint.remove(path)


def _points(folder: Path) -> list[Path]:
    """The points in a folder, the newest first."""
    numbers = (re.fullmatch(r"epoch_(\d+)", path.name) for path in folder.glob("epoch_*"))
    found = {int(match[1]): match.string for match in numbers if match}
    return [folder / found[epoch] for epoch in sorted(found, reverse=True)]


def _by_name(progress: loop.Progress) -> dict[str, Any]:
    """Leaves by their paths: Orbax would lose the types of the tree's nodes."""
    paths = jax.tree_util.tree_leaves_with_path(progress)
    return {jax.tree_util.keystr(path): leaf for path, leaf in paths}


def _from_names(leaves: dict[str, Any], like: loop.Progress) -> loop.Progress | None:
    """Undoes `_by_name`; None if the leaves are those of another tree."""
    expected = _by_name(like)
    if {name: (leaf.shape[1:], leaf.dtype) for name, leaf in leaves.items()} != {
        name: (leaf.shape, leaf.dtype) for name, leaf in expected.items()
    }:
        return None
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in expected])
