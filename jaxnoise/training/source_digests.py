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
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxnoise.config import Config

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
    ("jaxnoise.methods.optim", "RECIPES"): "network",
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
    "labels.table",
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


class _Source(NamedTuple):
    """What stands at the top of a module."""

    definitions: dict[str, ast.AST]
    imports: dict[str, tuple[str, str]]  # module and the name in it; "" if it is the module


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
        elif name in _source(module).imports:
            places.append(_source(module).imports[name])
        return places + self._of_object(found, module)

    def _of_object(self, found: Any, module: str) -> list[tuple[str, str]]:
        """The place of a function or class of another module that was put here at run time."""
        home, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        if not name or home in (None, module) or not _counts(home):
            return []
        top = name.partition(".")[0]
        if top in _source(home).definitions:
            return [(home, top)]
        self.digests[home, top] = _digest(_text(found))  # from a notebook
        return []


class _Definition(NamedTuple):
    digest: str
    references: tuple[tuple[str, str], ...]  # module and name of what its names stand for


@functools.cache
def _definition(module: str, name: str, key: str | None) -> _Definition | None:
    """A definition of a module, or the value at a key of a table; None if it has none."""
    source = _source(module)
    node = source.definitions.get(name)
    if (module, name) in _TABLES:
        node = _entry(node, key)
    if node is None:
        return None
    return _Definition(_digest(_plain(node)), tuple(_references(source, module, node)))


def _references(source: _Source, module: str, node: ast.AST) -> Iterator[tuple[str, str]]:
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
    path = _path(module)
    return path is not None and not _installed(module, path)


def _installed(module: str, path: Path) -> bool:
    """Whether a module belongs to Python or to a package that was installed, wherever it was."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    if Path(sysconfig.get_paths()["stdlib"]) in path.parents:
        return True
    depth = module.count(".") + (path.name == "__init__.py")
    beside = path.parents[depth] if depth < len(path.parents) else path.parent
    return any(beside.glob("*.dist-info"))  # as pip install --target leaves them


def _path(module: str) -> Path | None:
    """The source file of a module; None if it has none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(module)
            file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


@functools.cache
def _source(module: str) -> _Source:
    path, found = _path(module), _Source({}, {})
    if path is None:
        return found
    tree = ast.parse(path.read_bytes())
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.imports.update(_imported(module, path, node))
        for name in _bound(statement):
            found.definitions[name] = statement
    return found


def _imported(
    module: str, path: Path, node: ast.Import | ast.ImportFrom
) -> Iterator[tuple[str, tuple[str, str]]]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield alias.asname or alias.name, (alias.name, "")
        else:
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            of = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield alias.asname or alias.name, (of, alias.name)


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement at the top of a module binds, apart from imports."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    inner = [each for each in ast.iter_child_nodes(statement) if isinstance(each, ast.stmt)]
    targets = {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return targets.union(*map(_bound, inner))


def _entry(table: ast.AST | None, key: str) -> ast.AST | None:
    """The value at a key of a table that is written as a dict."""
    written = getattr(table, "value", None)
    if isinstance(written, ast.Dict):
        for name, value in zip(written.keys, written.values, strict=True):
            if isinstance(name, ast.Constant) and name.value == key:
                return value
    return None


def _plain(node: Any) -> str:
    """A syntax tree as text, without docstrings; the same in all versions of Python."""
    if isinstance(node, list):
        return f"[{' '.join(map(_plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
        ast.get_docstring(node, clean=False) is not None
    ):
        fields["body"] = fields["body"][1:]
    given = [f"{name}={_plain(x)}" for name, x in fields.items() if x is not None and x != []]
    return f"{type(node).__name__}({' '.join(given)})"


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
