"""Compiled programs of a CPU, kept in files, so that the next start does not compile them again.

JAX's own cache refuses what it kept on CPUs with AVX-512 (jax-ml/jax#38445), so this one keeps
serialized executables. A program is found again only by all that its machine code depends on: its
StableHLO, jaxlib's build, the CPU's features, the number of cores, and XLA's flags and options. A
machine that differs in any of these, as one that shares the home folder, compiles its own.

Whatever happens to the files, a run at worst compiles: an entry whose SHA-256 is not right is
deleted, and one that cannot be read or written, or is another user's, is left out.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import tempfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

log = logging.getLogger("jaxnoise")

# Bytes of all entries; those unused for longest make room. One of an epoch of training has 1 MB.
LARGEST = 512 * 2**20
_DIGEST = 32  # bytes of a SHA-256
_REMEMBERED = 100  # programs whose times are known


class ProgramCache:
    """The programs in a folder. Threads and processes may share it."""

    def __init__(self, folder: Path):
        """The folder is made when the first program is kept."""
        self._folder = folder

    def compiled(
        self, lowered: jax.stages.Lowered, options: dict[str, Any] | None, compile: Callable
    ) -> Any:
        """The executable of a lowered program: a kept one or, if there is none, a new one.

        Args:
          options: of the compiler, apart from XLA_FLAGS.
          compile: compiles the program.
        """
        path = self._folder / f"{_key(lowered, options)}.program"
        program = self._read(path, lowered)
        if program is None:
            program = compile()
            self._write(path, program)
        return program

    def _read(self, path: Path, lowered: jax.stages.Lowered) -> Any:
        try:
            if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
                return None  # JAX unpickles it, which may run anything
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):  # the second is reported by `_write`
            return None
        except OSError as error:
            _say("Compiled programs are not read: %s: %s", path, error.strerror)
            return None
        with contextlib.suppress(OSError):  # of a read-only folder, entries can be used
            os.utime(path)
        digest, packed = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(packed).digest() != digest:
            _say("Warning: %s: damaged; deleting it and compiling again", path)
            _delete(path)
            return None
        try:
            return serialize_executable.deserialize_and_load(
                zlib.decompress(packed), lowered.in_tree, lowered.out_tree
            )
        except Exception as error:  # whatever it is, compiling works
            _say("%s: cannot be used (%s); compiling again", path, _line(error))
            return None

    def _write(self, path: Path, program: Any) -> None:
        try:
            payload, *_ = serialize_executable.serialize(program)
        except Exception as error:  # not every program can be
            log.debug("not kept: %s", _line(error))
            return
        packed = zlib.compress(payload, level=1)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder, prefix="writing-") as folder:
                whole = Path(folder, path.name)
                whole.write_bytes(hashlib.sha256(packed).digest() + packed)
                os.replace(whole, path)
            self._make_room()
        except OSError as error:
            _say("Compiled programs are not kept: %s: %s", self._folder, error.strerror)

    def _make_room(self) -> None:
        """Deletes the entries that have not been used for longest; the newest is always kept."""
        entries = []
        for path in self._folder.glob("*.program"):
            with contextlib.suppress(OSError):  # another process may have deleted it
                found = path.stat()
                entries.append((found.st_mtime, found.st_size, path))
        total = 0
        for age, (_, size, path) in enumerate(sorted(entries, reverse=True)):
            total += size
            if age and total > LARGEST:
                _delete(path)


class CompileTimes:
    """How long compiling took, by the length of a program's StableHLO: for predictions alone."""

    def __init__(self, folder: Path):
        """The times are in `compiling.json` in this folder, which need not exist."""
        self._folder = folder

    def expected(self, size: int) -> float | None:
        """Seconds that the known program of the nearest size took; None if none is near."""
        sizes = self._known()
        nearest = min(sizes, key=lambda known: abs(int(known) - size), default=None)
        near = nearest is not None and 0.8 < int(nearest) / size < 1.25
        return sizes[nearest] if near else None

    def learn(self, size: int, seconds: float) -> None:
        """Remembers a time, for the runs to come."""
        known = self._known()
        known.pop(str(size), None)
        newest = dict(list({**known, str(size): round(seconds, 1)}.items())[-_REMEMBERED:])
        with contextlib.suppress(OSError):  # it only serves a prediction
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f".compiling-{os.getpid()}-{threading.get_ident()}"
            partial.write_text(json.dumps(newest))
            os.replace(partial, self._folder / "compiling.json")

    def _known(self) -> dict[str, float]:
        """Seconds by the length of a program's StableHLO; those learned last come last."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            known = json.loads((self._folder / "compiling.json").read_text())
            return {str(int(size)): float(seconds) for size, seconds in known.items()}
        return {}


def _key(lowered: jax.stages.Lowered, options: dict[str, Any] | None) -> str:
    """64 hexadecimal digits over all that machine code depends on."""
    sha = hashlib.sha256()
    for part in (
        lowered.as_text(),
        # Arguments that the program does not use are not in its text, but it checks their types.
        str(lowered.args_info),
        str(lowered.in_tree),
        str(lowered.out_tree),
        sorted((options or {}).items()),
        *machine(),
    ):
        sha.update(repr(part).encode())
    return sha.hexdigest()


def machine() -> tuple:
    """What the machine code of a program depends on besides the program, as text and numbers."""
    return (
        os.environ.get("XLA_FLAGS", "").split(),
        jax.__version__,
        importlib.metadata.distribution("jaxlib").read_text("RECORD"),  # digests of all its files
        _cpu(),
        os.cpu_count(),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    )


def _cpu() -> list[str]:
    """The kind of the CPU and its features; where a system does not list them, the computer."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        kinds = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part")
        lines = {line.strip() for line in file if line.startswith(kinds)}
        if any(line.startswith(("flags", "Features")) for line in lines):
            return sorted(lines)
    return [*platform.uname()]


_said: set[str] = set()


def _say(message: str, *values: object) -> None:
    """Logs a line, once in a process."""
    if message not in _said:
        _said.add(message)
        log.warning(message, *values)


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
