"""The runs of a sweep: all combinations of the values that a command line or YAML file lists."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from jaxnoise.config import FIELDS, NOISE_FLAGS, Config, InputError, flag_type, nearest
from jaxnoise.runs import folders

# These spread one run over several processes; a sweep spreads its runs over jobs instead.
_OF_SEVERAL_PROCESSES = ("coordinator_address", "num_processes", "process_id")


# How YAML spells that there is no value.
_NOTHING = ("", "~", "null")


class PlannedRun(NamedTuple):
    """A run of a sweep."""

    name: str | None  # of its row in the YAML file
    config: Config

    @property
    def folder(self) -> Path:
        return folders.run_folder(self.config)


def parse(name: str, text: str) -> Any:
    """The value of a flag in its type; `none` is None for a flag whose default is None.

    Raises:
      InputError: the text is not of this type. `Config` checks the range.
    """
    field = FIELDS[name]
    kind = flag_type(field)
    if field.default is None and text.lower() == "none":
        return None
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        allowed = "true and false" if kind is bool else f"values of type {kind.__name__}"
        raise InputError(f"--{name}={text}: allowed are {allowed}, separated by commas") from None


def listed(name: str, text: str) -> list[Any]:
    """The values of a flag in a comma-separated list; one if its value is itself such a list."""
    if FIELDS[name].metadata["listed"]:
        return [parse(name, text.strip())]
    return [parse(name, item.strip()) for item in text.split(",")]


class _Text(yaml.BaseLoader):
    """Reads every value as the text in the file, and refuses a name that is there twice.

    YAML 1.1 itself reads 1e-4 as text, 010 as 8, 1:30 as 90 and no as false, and keeps the last of
    two equal names.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=True)
        if len(mapping) < len(node.value):
            names = [str(self.construct_object(key, deep=True)) for key, _ in node.value]
            twice = next(name for name in names if names.count(name) > 1)
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice} is there twice", node.start_mark
            )
        return mapping


def read_rows(path: Path) -> dict[str | None, dict[str, list[Any]]]:
    """The rows of a YAML file: for each name the values of its flags, including those for all rows.

    A file maps flags to a value or a list of values, spelled as on a command line; under `rows` it
    may map names of rows to such maps of their own. Without `rows` there is one row without a name.

    Raises:
      InputError: the file cannot be read, or its content has another form.
    """
    source = f"--grid={path}"
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{source}: cannot be read as YAML: {reason}") from error
    if not isinstance(document, dict):
        raise InputError(f"{source}: allowed is a map of flags to values")
    rows = document.pop("rows", {None: ""})
    if not isinstance(rows, dict) or not rows:
        raise InputError(f"{source}: rows: allowed is a map of names to maps of flags to values")
    common = _lists(document, source)
    return {
        None if name is None else str(name): common
        | _lists({} if row in _NOTHING else row, f"{source}: rows: {name}")
        for name, row in rows.items()
    }


def _lists(flags: Any, source: str) -> dict[str, list[Any]]:
    if not isinstance(flags, dict):
        raise InputError(f"{source}: allowed is a map of flags to values")
    lists = {}
    for name, values in flags.items():
        if name not in FIELDS:
            raise InputError(f"{source}: {name} is not a flag of main.py{nearest(name, FIELDS)}")
        values = values if isinstance(values, list) else [values]
        if not values:
            raise InputError(f"{source}: {name}: allowed is at least one value")
        if not all(isinstance(value, str) for value in values):
            raise InputError(f"{source}: {name}: allowed is a value or a list of values")
        if FIELDS[name].metadata["listed"] and len(values) > 1 and "," not in "".join(values):
            raise InputError(
                f"{source}: {name}: [{', '.join(values)}]: allowed for one value is "
                f'"{",".join(values)}"; runs with one number each are rows'
            )
        try:
            lists[name] = [
                x for text in values for x in listed(name, "none" if text in _NOTHING else text)
            ]
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
    return lists


def planned_runs(
    rows: Mapping[str | None, Mapping[str, list[Any]]], given: Mapping[str, list[Any]]
) -> list[PlannedRun]:
    """Every combination of values, row by row; the last flag of `Config` varies fastest.

    The names of a row's runs include the values that distinguish them, except those of the noise.

    Args:
      rows: see `read_rows`.
      given: values from the command line, which override the file's.

    Raises:
      InputError: a combination is not allowed, or a flag marked `where_only` has several values.
    """
    planned = []
    for name, row in rows.items():
        lists = {**row, **given}
        for flag in FIELDS.keys() & lists.keys():
            if FIELDS[flag].metadata["where_only"] and len(lists[flag]) > 1:
                several = ",".join(map(str, lists[flag]))
                raise InputError(f"--{flag}={several}: allowed is one value for all runs")
            if flag in _OF_SEVERAL_PROCESSES:
                raise InputError(f"--{flag}: not allowed in a sweep; --executor spreads its runs")
        flags = [flag for flag in FIELDS if flag in lists]
        for values in itertools.product(*(lists[flag] for flag in flags)):
            settings = dict(zip(flags, values, strict=True))
            distinguishing = [
                f"{flag}={value}"
                for flag, value in settings.items()
                if len(row.get(flag, ())) > 1
                and flag not in given
                and flag not in ("dataset", *NOISE_FLAGS)
            ]
            label = None if name is None else " ".join([name, *distinguishing])
            planned.append(PlannedRun(label, _config(settings)))
    named: dict[Config, str | None] = {}
    for run in planned:
        other = named.setdefault(run.config, run.name)
        if other != run.name:
            raise InputError(
                f"--grid: the rows {other} and {run.name} are one run, {run.config.command}; "
                "allowed is one name for equal settings"
            )
    return planned


def _config(settings: Mapping[str, Any]) -> Config:
    try:
        return Config(**settings)
    except InputError as error:
        flags = " ".join(f"--{name}={value}" for name, value in settings.items())
        raise InputError(
            f"{error} (in the run with {flags}; rows of a --grid file can leave such runs out)"
        ) from None
