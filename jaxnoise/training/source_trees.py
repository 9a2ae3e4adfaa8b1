"""The source code of modules as syntax trees: what stands at the top, and where it comes from."""

import ast
import contextlib
import functools
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Source(NamedTuple):
    """What stands at the top of a module."""

    definitions: dict[str, ast.AST]
    imports: dict[str, tuple[str, str]]  # module and the name in it; "" if it is the module


@functools.cache
def of_module(module: str) -> Source:
    """The source of a module; empty if it has none."""
    path = path_of(module)
    if path is None:
        return Source({}, {})
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return of_text(path.read_bytes(), package)


@functools.cache
def of_text(text: str | bytes, package: str = "") -> Source:
    """What stands at the top of a source, of a module in that package."""
    found = Source({}, {})
    for statement in ast.parse(text).body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.imports.update(_imported(package, node))
        for name in _bound(statement):
            found.definitions[name] = statement
    return found


def _imported(
    package: str, node: ast.Import | ast.ImportFrom
) -> Iterator[tuple[str, tuple[str, str]]]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield alias.asname or alias.name, (alias.name, "")
        else:
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


def entry(table: ast.AST | None, key: str) -> ast.AST | None:
    """The value at a key of a table that is written as a dict."""
    written = getattr(table, "value", None)
    if isinstance(written, ast.Dict):
        for name, value in zip(written.keys, written.values, strict=True):
            if isinstance(name, ast.Constant) and name.value == key:
                return value
    return None


def plain(node: Any) -> str:
    """A syntax tree as text, without docstrings; the same in all versions of Python."""
    if isinstance(node, list):
        return f"[{' '.join(map(plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
        ast.get_docstring(node, clean=False) is not None
    ):
        fields["body"] = fields["body"][1:]
    given = [f"{name}={plain(x)}" for name, x in fields.items() if x is not None and x != []]
    return f"{type(node).__name__}({' '.join(given)})"


def path_of(module: str) -> Path | None:
    """The source file of a module; None if it has none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(module)
            file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


def is_installed(module: str, path: Path) -> bool:
    """Whether a module belongs to Python or to a package that was installed, wherever it was."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    if Path(sysconfig.get_paths()["stdlib"]) in path.parents:
        return True
    depth = module.count(".") + (path.name == "__init__.py")
    beside = path.parents[depth] if depth < len(path.parents) else path.parent
    return any(beside.glob("*.dist-info"))  # as pip install --target leaves them
