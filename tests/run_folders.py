"""Runs that are interrupted, and what stands in run folders, to compare bit for bit."""

import json
import pathlib
import struct

import jax
import numpy as np
from tensorboardX.proto import event_pb2

from jaxnoise.runs import checkpoint
from jaxnoise.terminal import interruption


class StopAfter(interruption.Watch):
    """Asks to stop after an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def check(self, epoch, save):
        if epoch == self.epoch:
            save()
            raise interruption.Interrupted(15)


def content(folder: pathlib.Path) -> dict[str, object]:
    """Everything but times and places: by file or, where those are in it, by what it says.

    Checkpoints are taken as their arrays' bytes, TensorBoard files as their scalars in order, the
    log as the lines of its epochs without their times, config.json as its flags without folders.
    """
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        parts = name.split("/")
        if path.is_dir() or parts[0] == "checkpoints":
            continue
        if parts[0] == "logs":
            found.setdefault(f"logs/{parts[1]}", []).extend(scalars(path))
        elif name not in ("config.json", "log.txt", ".lock"):
            found[name] = path.read_bytes()
    found["checkpoints"] = sorted(path.name for path in (folder / "checkpoints").iterdir())
    for which in {"best", "last", "ema"} & set(found["checkpoints"]):
        arrays = checkpoint.load(folder / "checkpoints" / which)
        for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
            leaf = np.asarray(leaf)
            found[f"{which}{jax.tree_util.keystr(path)}"] = leaf.shape, leaf.dtype, leaf.tobytes()
    found["config.json"] = json.loads((folder / "config.json").read_text())["flags"]
    for where in ("results_dir", "cache_dir"):
        del found["config.json"][where]
    return found


def everything(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file, byte for byte."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def scalars(file: pathlib.Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of every scalar; a record is length, its CRC, content, its CRC."""
    records, found = file.read_bytes(), []
    while records:
        (length,) = struct.unpack("<Q", records[:8])
        event = event_pb2.Event.FromString(records[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        records = records[12 + length + 4 :]
    return found
