"""Declaring a flag, checking a value against its declaration, and the words of the messages."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Collection
from typing import Any


class InputError(ValueError):
    """Bad input of a user: `main.py` prints it as one line, no traceback, and exits with 2."""


def flag(
    default: Any,
    help: str,
    *,
    choices: Collection[str] | None = None,
    low: float | None = None,
    high: float | None = None,
    open_range: bool = False,
    below_high: bool = False,
    where_only: bool = False,
    is_file: bool = False,
    listed: bool = False,
) -> Any:
    """Declares one flag.

    A range includes its ends `low` and `high`; `open_range` excludes both, `below_high` the upper
    one. `where_only` marks flags that set where or whether to run, not what; `is_file` marks flags
    that name a file whose content, not whose path, determines the result; `listed` marks flags
    whose one value is a list with commas (see `numbers`).
    """
    metadata = {
        "help": help,
        "choices": choices,
        "low": low,
        "high": high,
        "open_range": open_range,
        "below_high": below_high,
        "where_only": where_only,
        "is_file": is_file,
        "listed": listed,
    }
    return dataclasses.field(default=default, metadata=metadata)


_MAX_INT = 2**31 - 1
_MAX_FLOAT = 3.4e38  # beyond, float32 is infinite


def flag_type(field: dataclasses.Field) -> type:
    """The type of a field's flag apart from None: bool, int, float or str."""
    return next(
        kind for kind in typing.get_args(field.type) or (field.type,) if kind is not types.NoneType
    )


def check(field: dataclasses.Field, value: Any, *, own: Collection[str] | None = None) -> None:
    """Raises `InputError` if the flag of a field does not allow the value.

    Args:
      own: names of --user_code that it allows too; None: it takes none.
    """
    flag, kind, meta = f"--{field.name}={value}", flag_type(field), field.metadata
    if value is None and field.default is None:
        return
    # bool is an int too, and the path of --user_code more than a str.
    exact = type(value) in ((int, float) if kind is float else (kind,))
    if not (isinstance(value, str) if kind is str else exact):
        raise InputError(
            f"--{field.name}={value!r}: allowed is a value of type {kind.__name__}, not "
            f"{type(value).__name__}"
        )
    if value == "":
        raise InputError(f"{flag}: allowed is any text that is not empty")
    if kind is str and "\0" in value:
        raise InputError(f"{flag}: allowed is any text without the character NUL")
    if meta["choices"] and value not in (choices := (*meta["choices"], *(own or ()))):
        near = nearest(value, choices)
        more = ", and what a --user_code declares" * (own is not None and not own)
        raise InputError(f"{flag}: allowed are {', '.join(choices)}{more}{near}")
    if meta["low"] is None:
        return
    low, high = meta["low"], meta["high"]
    above_low, below_high = meta["open_range"], meta["open_range"] or meta["below_high"]
    if high is None:
        high = _MAX_INT if kind is int else _MAX_FLOAT
    above = low < value if above_low else low <= value  # false for NaN
    if not above or not (value < high if below_high else value <= high):
        left, right = "(" if above_low else "[", ")" if below_high else "]"
        is_percent = field.name.endswith(("_rate", "_ratio")) and 2 <= value <= 100
        share = f", a share: {value / 100:g} for {value:g} %" if is_percent else ""
        raise InputError(f"{flag}: allowed is {left}{low:g}, {high:.10g}{right}{share}")


def defaults(config: Any) -> dict[str, Any]:
    """The default of every flag of a dataclass, by name."""
    return {field.name: field.default for field in dataclasses.fields(config)}


def numbers(name: str, text: str, kind: type) -> tuple:
    """The numbers of a flag that is a list; raises `InputError` if they are not of that kind."""
    try:
        return tuple(kind(each) for each in text.split(","))
    except ValueError:
        whole = "whole numbers" if kind is int else "numbers"
        raise InputError(f"--{name}={text}: allowed are {whole} separated by commas") from None


# Of difflib: `lenett` is 0.91 like `lenet`, `resnet` 0.73.
_NEAR = 0.8


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"


# What other programs call a flag.
_ELSEWHERE = {
    "arch": "net", "model": "net", "lr": "learning_rate", "weight_decay": "wd_coef",
    "wd": "wd_coef", "epochs": "epochs_num", "repeats": "total_repeats", "runs": "total_repeats",
    "noise_mode": "noise_type", "noise_ratio": "noise_rate", "r": "noise_rate",
    "optim": "optimizer", "gpu": "GPU_num", "output_dir": "results_dir",
}  # fmt: skip


def nearest(text: str, allowed: Collection[str]) -> str:
    """A suggestion that ends a message; empty if nothing allowed is near.

    Letter case and leading dashes do not matter, and names in `_ELSEWHERE` stand for flags. The
    first words of a name, of four letters or more, stand for it if no other name begins with them,
    as `uniform` does for `uniform_noise`.
    """
    names: dict[str, set[str]] = {}
    for name in allowed:
        words = _plain(name).split("_")
        for i in range(1, len(words)):
            names.setdefault("_".join(words[:i]), set()).add(name)
    meant = {head: min(of) for head, of in names.items() if len(of) == 1 and len(head) >= 4}
    plain = {_plain(name): name for name in allowed}
    elsewhere = {x: plain[flag.lower()] for x, flag in _ELSEWHERE.items() if flag.lower() in plain}
    meant = elsewhere | meant | plain
    found = difflib.get_close_matches(_plain(text), meant, 1, _NEAR)
    return f" (did you mean {meant[found[0]]}?)" if found else ""


def _plain(text: str) -> str:
    return text.lower().lstrip("-")
