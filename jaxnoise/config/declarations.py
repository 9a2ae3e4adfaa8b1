"""What a file of --user_code declares, read from its syntax: nothing in it runs to check settings.

The functions of `jaxnoise.extending` mark nets, losses, noise models and recipes. The source stays
with the settings, so that what was checked is what runs, however the file changes.
"""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxnoise.config.flags import InputError

Option = bool | int | float | str

# The functions of `jaxnoise.extending` that mark a definition, and the flag that takes its name.
FLAGS = {"net": "net", "loss": "loss", "noise_model": "noise_type", "recipe": "recipe"}
# The arguments and fields that jaxnoise gives; others are hyper-parameters.
_GIVEN = {
    "net": ("num_classes", "spectral", "dtype", "conventions"),
    "loss": ("logits", "labels"),
    "noise_model": ("rate",),
}


class Definition(NamedTuple):
    """A net, loss, noise model or recipe of one's own."""

    arguments: dict[str, Any]  # of the function that marks it
    options: dict[str, Option]  # its hyper-parameters, with their defaults


class UserCode(NamedTuple):
    """The content of a file, and what it declares, by the function that marks it and by name."""

    path: str = ""
    source: str = ""
    declared: Mapping[str, Mapping[str, Definition]] = {kind: {} for kind in FLAGS}

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source.encode()).hexdigest()


NONE = UserCode()


class UserCodePath(str):
    """The path of a file with what it held when settings were made, which go on with that."""

    user: UserCode


def content(path: str | None) -> UserCode:
    """What a path that `read` returned comes with; NONE for anything else."""
    return getattr(path, "user", NONE)


def read(path: str, taken: Mapping[str, Collection[str]]) -> UserCodePath:
    """The path with the content of its file, if it does not come with it already.

    Args:
      taken: for each function that marks definitions, the names that jaxnoise itself uses.

    Raises:
      InputError: the file cannot be read, or declares something that cannot be used.
    """
    if isinstance(path, UserCodePath):
        return path
    found = UserCodePath(path)
    try:
        source = Path(os.path.expanduser(path)).read_text(encoding="utf-8")
        found.user = UserCode(path, source, _declared(source))
        for kind, names in taken.items():
            if both := sorted(found.user.declared[kind].keys() & names):
                raise ValueError(f"{both[0]}: is a name of jaxnoise; allowed are others")
    except OSError as error:
        looked = "" if os.path.isabs(path) else f" (looked for at {os.path.abspath(path)})"
        raise InputError(f"--user_code={path}: cannot be read: {error.strerror}{looked}") from error
    except SyntaxError as error:
        told = f"line {error.lineno}: {error.msg}"
        raise InputError(f"--user_code={path}: is not Python: {told}") from error
    except ValueError as error:
        raise InputError(f"--user_code={path}: {error}") from error
    return found


@functools.lru_cache(maxsize=64)
def _declared(source: str) -> dict[str, dict[str, Definition]]:
    """Raises ValueError, or SyntaxError, if the source cannot be used."""
    tree = ast.parse(source)
    _check_imports(tree)
    marks = _marks(tree)
    declared: dict[str, dict[str, Definition]] = {kind: {} for kind in FLAGS}
    for statement in tree.body:
        try:
            for kind, name, definition in _definitions(statement, marks):
                if any(name in names for names in declared.values()):
                    raise ValueError(f"{name}: is declared twice")
                declared[kind][name] = definition
        except ValueError as error:
            raise ValueError(f"line {statement.lineno}: {error}") from None
    return declared


def _marks(tree: ast.Module) -> dict[str, str]:
    """How the file spells each function that marks a definition, as in `jaxnoise.net`."""
    marks = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name == "jaxnoise":
                    marks |= {f"{alias.asname or alias.name}.{kind}": kind for kind in FLAGS}
        elif isinstance(statement, ast.ImportFrom) and statement.module == "jaxnoise":
            for alias in statement.names:
                if alias.name in FLAGS:
                    marks[alias.asname or alias.name] = alias.name
    return marks


def _definitions(
    statement: ast.stmt, marks: Mapping[str, str]
) -> Iterator[tuple[str, str, Definition]]:
    """What a statement declares: kind, name and definition."""
    match statement:
        case (
            ast.FunctionDef(name=name, decorator_list=found)
            | ast.ClassDef(name=name, decorator_list=found)
        ):
            pass
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
            found = [call]
        case _:
            return
    for mark in found:
        call = mark if isinstance(mark, ast.Call) else None
        kind = marks.get(ast.unparse(call.func if call else mark))
        if kind is None:
            continue
        keywords = call.keywords if call else []
        if call and (call.args or not all(each.arg for each in keywords)):
            raise ValueError(f"{name}: allowed are arguments with names")
        arguments = {each.arg: _literal(name, each.arg, each.value) for each in keywords}
        options = {} if isinstance(statement, ast.Assign) else _options(statement, kind)
        yield kind, name, Definition(arguments, options)


def _options(node: ast.FunctionDef | ast.ClassDef, kind: str) -> dict[str, Option]:
    """Hyper-parameters: fields of a net, keyword-only arguments of a function, with defaults."""
    given = _GIVEN[kind]
    if isinstance(node, ast.ClassDef) != (kind == "net"):
        raise ValueError(f"{node.name}: allowed is a {'class' if kind == 'net' else 'function'}")
    if isinstance(node, ast.ClassDef):
        options = {}
        for each in node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value:
                with contextlib.suppress(ValueError):  # such as jnp.float32
                    options[each.target.id] = ast.literal_eval(each.value)
        return {
            name: x for name, x in options.items() if name not in given and isinstance(x, Option)
        }
    arguments = node.args
    names = [each.arg for each in arguments.kwonlyargs]
    before = len(arguments.posonlyargs + arguments.args)
    if before != (2 if kind == "noise_model" else 0) or not {*given} <= {*names}:
        form = {"loss": "*, logits, labels", "noise_model": "samples, rng, *, rate"}[kind]
        raise ValueError(
            f"{node.name}: allowed are the arguments ({form}) and, after them, hyper-parameters"
        )
    options = {}
    for name, default in zip(names, arguments.kw_defaults, strict=True):
        if name in given:
            continue
        value = None if default is None else _literal(node.name, name, default)
        if not isinstance(value, Option):
            raise ValueError(
                f"{node.name}: {name}: requires a default, a number, a truth value or a word"
            )
        options[name] = value
    return options


def _installed(package: str) -> bool:
    spec = importlib.util.find_spec(package) if package else None
    if spec is None:
        return False
    places = [Path(place) for place in spec.submodule_search_locations or [spec.origin]]
    if any({"site-packages", "dist-packages"} & {*place.parts} for place in places):
        return True
    from importlib import metadata  # late: to import it takes 50 ms, which a bad flag need not

    return package in metadata.packages_distributions()


def _literal(of: str, name: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{of}: {name}={ast.unparse(node)}: allowed are literal values") from None


def _check_imports(tree: ast.Module) -> None:
    """Refuses modules whose source would not be part of the run, such as one beside the file."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"jaxnoise"}
    if other := sorted(name for name in tops if not _installed(name)):
        name = other[0] or min(name for name in names if name.startswith("."))
        raise ValueError(
            f"imports {name}, whose source would not be recorded with the run; allowed are "
            "jaxnoise and installed packages"
        )
