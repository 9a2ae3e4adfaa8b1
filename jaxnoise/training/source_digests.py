"""Digests of the source code that a run is trained by, so that a change of it is noticed.

Counted are the definitions (functions, classes and constants of a module) that training reaches
from a few roots and from the run's own net, loss, method and noise model, in this package and in
modules of one's own. A digest is over the syntax tree of a definition, without comments and
docstrings. So a change in docs, in reports, or in a net that the run does not use, does not count.
A definition that is only rewritten does. The lowered program would tell those apart, but it differs
between settings and versions of JAX, so it could not tell whether two runs were made by one code.

Not followed are settings and data, which a run records themselves, and installed packages, whose
versions it records.
"""

import ast
import contextlib
import functools
import hashlib
import importlib
import inspect
import itertools
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxnoise.config import Config
from jaxnoise.training import source_trees
from jaxnoise.training.source_trees import Source

_ROOTS = (
    ("jaxnoise.labels.noisy_dataset", "load"),
    ("jaxnoise.training.assembly", "program"),
    ("jaxnoise.training.assembly", "members"),
    ("jaxnoise.training.loop", "start"),
    ("jaxnoise.training.loop", "advance"),
)
# Tables of which a run uses one entry, and the setting that is its key.
_TABLES = {
    ("jaxnoise.nets", "NETS"): "network",
    ("jaxnoise.methods.robust_training", "METHODS"): "method",
    ("jaxnoise.labels.noise", "MODELS"): "noise_type",
}
# What these make or read, a run records by content.
_RECORDED = (
    "config",
    "data",
    "datasets",
    "labels.given",
    "labels.reading",
    "labels.named",
    "noise_files",
)


def of_run(config: Config) -> dict[str, str]:
    """The definitions that a run with these settings is trained by.

    Returns:
      for each module `NAME=DIGEST NAME=DIGEST …`, eight hexadecimal digits of a SHA-256 each.
    """
    reached = _Reached(config)
    for place in _ROOTS:
        reached.follow(*place)
    reached.follow("jaxnoise.methods.robust_losses", config.loss)
    # The file of --user_code itself is part of the settings; followed is what it imports.
    own = source_trees.of_text(config.user.source)
    named = (_references(own, "", node) for node in own.definitions.values())
    for place in (*own.imports.values(), *itertools.chain.from_iterable(named)):
        reached.follow(*place)
    if config.loss == "forward":
        for name in ("of_draw", "estimate"):
            reached.follow("jaxnoise.labels.transition", name)
    modules: dict[str, list[str]] = {}
    for (module, name), digest in sorted(reached.digests.items()):
        modules.setdefault(module, []).append(f"{name}={digest}")
    return {module: " ".join(definitions) for module, definitions in modules.items()}


def changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The modules with a definition that both runs have, with different digests.

    Runs with different nets or losses reach different definitions; that is no change.
    """
    return sorted(
        module
        for module in before.keys() & now.keys()
        if not _agree(_definitions(before[module]), _definitions(now[module]))
    )


def _agree(before: dict[str, str], now: dict[str, str]) -> bool:
    return all(before[name] == now[name] for name in before.keys() & now.keys())


def _definitions(recorded: str) -> dict[str, str]:
    return dict(each.partition("=")[::2] for each in str(recorded).split())


class _Reached:
    """The digests of the definitions reached so far, by module and name."""

    def __init__(self, config: Config):
        self.digests: dict[tuple[str, str], str] = {}
        self._followed: set[tuple[str, str]] = set()
        self._config = config

    def follow(self, *place: str) -> None:
        """Adds a definition, given by module and name, and all that its names refer to."""
        places = [place]
        while places:  # not recursive: a chain of definitions may be longer than Python's stack
            module, name = places.pop()
            if (module, name) not in self._followed and _counts(module):
                self._followed.add((module, name))
                places += self._add(module, name)

    def _add(self, module: str, name: str) -> list[tuple[str, str]]:
        """Adds a definition; returns the places that it refers to."""
        found, called, key = getattr(sys.modules.get(module), name, None), name, None
        if (module, name) in _TABLES:
            key = getattr(self._config, _TABLES[module, name])
            table = getattr(importlib.import_module(module), name)
            found, called = table.get(key), f"{name}[{key}]"
        places = []
        if (definition := _definition(module, name, key)) is not None:
            self.digests[module, called] = definition.digest
            places += definition.references
        elif name in source_trees.of_module(module).imports:
            places.append(source_trees.of_module(module).imports[name])
        # A table may be filled with what its own module defines.
        return places + self._of_object(found, None if definition is None else module)

    def _of_object(self, found: Any, module: str | None) -> list[tuple[str, str]]:
        """The place of a function or class that is not defined where it was found."""
        home, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        if not name or home in (None, module) or not _counts(home):
            return []
        top = name.partition(".")[0]
        if top in source_trees.of_module(home).definitions:
            return [(home, top)]
        self.digests[home, top] = _digest(_text(found))  # from a notebook
        return []


class _Definition(NamedTuple):
    digest: str
    references: tuple[tuple[str, str], ...]  # module and name of what its names stand for


@functools.cache
def _definition(module: str, name: str, key: str | None) -> _Definition | None:
    """A definition of a module, or the value at a key of a table; None if it has none."""
    source = source_trees.of_module(module)
    node = source.definitions.get(name)
    if (module, name) in _TABLES:
        node = source_trees.entry(node, key)
    if node is None:
        return None
    return _Definition(_digest(source_trees.plain(node)), tuple(_references(source, module, node)))


def _references(source: Source, module: str, node: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of what the names in a definition stand for."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and each.id in source.definitions.keys() | source.imports:
            yield module, each.id
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            of = ".".join(filter(None, source.imports.get(each.value.id, ())))
            if of and _counts(of):
                yield of, each.attr


@functools.cache
def _counts(module: str) -> bool:
    """Whether code of a module of that name counts: there is one, and it is not installed."""
    package, _, within = module.partition(".")
    if package == __name__.partition(".")[0]:
        splits = within == "datasets.splits"
        return splits or not any(f"{within}.".startswith(f"{of}.") for of in _RECORDED)
    if module == "__main__":
        return True
    path = source_trees.path_of(module)
    return path is not None and not source_trees.is_installed(module, path)


def _text(found: Any) -> str:
    """The source of a function or class that is in no file; empty if there is none."""
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsource(found)
    functions = [x for x in vars(found).values() if inspect.isfunction(x)]
    with contextlib.suppress(OSError, TypeError):
        return "".join(map(inspect.getsource, functions))
    return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
