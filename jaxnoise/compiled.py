"""Compiled programs that threads share."""

import threading
from collections.abc import Callable
from typing import Any

import jax


class Compiled:
    """A jitted function that several threads may call: one of them compiles, the others wait."""

    def __init__(self, function: Callable):
        self._function, self._lock = function, threading.Lock()
        self._programs: dict[Any, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        return self._program(arguments)(*arguments)

    def memory(self, *arguments: Any) -> int:
        """Bytes of one device that a call takes, arguments and result included."""
        sizes = self._program(arguments).memory_analysis()
        return (
            sizes.temp_size_in_bytes
            + sizes.argument_size_in_bytes
            + sizes.output_size_in_bytes
            - sizes.alias_size_in_bytes
        )

    def _program(self, arguments: tuple) -> Any:
        key = jax.tree.structure(arguments), *(x.shape for x in jax.tree.leaves(arguments))
        with self._lock:
            if key not in self._programs:
                self._programs[key] = self._function.lower(*arguments).compile()
            return self._programs[key]
