"""Reading the JSON documents of a run, which may be damaged, edited, or another program's."""

import json
from pathlib import Path
from typing import Any

# What provenance tells by name.
_FACTS = ("versions", "device", "machine")


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises OSError or ValueError if there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError(f"a {type(document).__name__}, not an object with names")
    return document


def check_facts(facts: Any) -> None:
    """Raises ValueError if these are not such facts as `provenance.facts` tells of a session."""
    if not isinstance(facts, dict):
        raise ValueError("a session without facts")
    for name in _FACTS:
        if not isinstance(facts.get(name, {}), dict):
            raise ValueError(f"its {name} are no names with values")
