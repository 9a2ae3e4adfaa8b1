"""`Compiled`, a function of one member turned into a compiled program for a group of members."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from jaxnoise import activity
from jaxnoise.layers import conv
from jaxnoise.training import surroundings
from jaxnoise.training.program_cache import CompileTimes, ProgramCache


class Compiled:
    """A function mapped over the members of a group, sharded over all devices, compiled once.

    Several threads may call it: one of them compiles it while the others wait.
    """

    def __init__(
        self,
        function: Callable,
        mesh: Mesh,
        *,
        members: int = 1,
        shared: int = 0,
        name: str | None = None,
        programs: ProgramCache | None = None,
        times: CompileTimes | None = None,
        **how: Any,
    ):
        """Prepares the mapping; the first call compiles it.

        Args:
          function: the function of one member.
          mesh: all devices, along the axis "members". They may be those of a topology, which are
            not there (`jax.experimental.topologies`): `program` compiles for them.
          members: number of leading arguments that belong to members and have an axis (members,).
          shared: number of trailing arguments that all members share.
          name: what the log says is being compiled; None: it does not.
          programs: where compiled programs are kept; None: nowhere.
          times: where the time that compiling takes is kept; None: nowhere.
          how: options of `jax.jit`.
        """
        along, whole = PartitionSpec("members"), PartitionSpec()
        self.mapped = jax.shard_map(
            jax.vmap(function, (0,) * members + (None,) * shared),
            mesh=mesh,
            in_specs=(along,) * members + (whole,) * shared,
            out_specs=along,
            check_vma=False,
        )
        self._platform = mesh.devices.flat[0].platform
        self._options = _compiler_options(self._platform)
        self._jitted = jax.jit(self.mapped, compiler_options=self._options, **how)
        self._name, self._kept, self._times = name, programs, times
        self._lock = threading.Lock()
        self._programs: dict[Any, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        program = self.program(*arguments)
        with surroundings.pinned():
            return program(*arguments)

    def memory(self, *arguments: Any) -> int:
        """Bytes that a call takes on one device, including its arguments and result."""
        sizes = self.program(*arguments).memory_analysis()
        return (
            sizes.temp_size_in_bytes
            + sizes.argument_size_in_bytes
            + sizes.output_size_in_bytes
            - sizes.alias_size_in_bytes
        )

    def program(self, *arguments: Any) -> Any:
        """The executable for such arguments, which may be shapes: a `jax.stages.Compiled`."""
        leaves = jax.tree.leaves(arguments)
        key = jax.tree.structure(arguments), *((x.shape, x.dtype) for x in leaves)
        with self._lock:
            if key not in self._programs:
                doing = activity.doing(f"preparing {self._name or 'a program'}", logged=False)
                with doing, surroundings.pinned(), conv.traced_for(self._platform):
                    self._programs[key] = self._compiled(self._jitted.lower(*arguments))
            return self._programs[key]

    def _compiled(self, lowered: jax.stages.Lowered) -> Any:
        def compile() -> jax.stages.Compiled:
            size, started = len(lowered.as_text()), time.monotonic()
            expected = self._times and self._times.expected(size)
            what, logged = f"compiling {self._name or 'a program'}", self._name is not None
            with activity.doing(what, expected=expected, logged=logged):
                program = lowered.compile()
            if self._times:
                self._times.learn(size, time.monotonic() - started)
            return program

        return self._kept.compiled(lowered, self._options, compile) if self._kept else compile()


def _compiler_options(platform: str) -> dict[str, int] | None:
    """On CPU, level 1: XLA's default, 3, compiles 1.4 times as long, to code that is no faster."""
    level = "xla_backend_optimization_level"
    chosen = level in os.environ.get("XLA_FLAGS", "")
    return {level: 1} if platform == "cpu" and not chosen else None
