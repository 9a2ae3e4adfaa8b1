"""JSON documents: written whole or not at all, and read though they may be damaged or edited."""

import json
import os
from pathlib import Path
from typing import Any

from jaxnoise.flags import InputError

OF_A_RUN = ("config.json", "scores.json")
# What provenance tells by name.
_FACTS = ("versions", "device", "machine")


def check_finished(folder: Path) -> None:
    """Raises InputError if a folder does not hold the documents of a finished run."""
    if not folder.is_dir():
        raise InputError(f"RUN_DIR={folder}: there is no such folder")
    missing = [name for name in OF_A_RUN if not (folder / name).is_file()]
    if missing:
        advice = "" if "config.json" in missing else "; the command that began it goes on with it"
        raise InputError(
            f"RUN_DIR={folder}: not the folder of a finished run: it has no {missing[0]}{advice}"
        )


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises OSError or ValueError if there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError(f"a {type(document).__name__}, not an object with names")
    return document


def write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def check_facts(facts: Any) -> None:
    """Raises ValueError if these are not such facts as `provenance.facts` tells of a session."""
    if not isinstance(facts, dict):
        raise ValueError("a session without facts")
    for name in _FACTS:
        if not isinstance(facts.get(name, {}), dict):
            raise ValueError(f"its {name} are no names with values")
