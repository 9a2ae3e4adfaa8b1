"""How the runs of a report were made: when, with what, on what, by which commands."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from jaxnoise.report.collection import Entry


def lines(entries: Sequence[Entry]) -> list[str]:
    """A line each on dates, versions, hardware and code; values that differ stand side by side."""
    facts = [entry.run.facts for entry in entries if entry.run]
    days = sorted({str(each["started"])[:10] for each in facts if each.get("started")})
    versions = [_section(each, "versions") for each in facts]
    names = list(dict.fromkeys(name for each in versions for name in each))
    devices = [_section(each, "device").get("kind") for each in facts]
    systems = [_section(each, "machine").get("system") for each in facts]
    told = {
        "Runs begun": " to ".join(dict.fromkeys(days[:1] + days[-1:])),
        "Versions": ", ".join(
            f"{name} {_several(each.get(name) for each in versions)}" for name in names
        ),
        "Hardware": ", ".join(filter(None, (_several(devices), _several(systems)))),
        "Code": _several(str(each.get("git_revision") or "")[:12] for each in facts),
    }
    return [f"{name}: {words}" for name, words in told.items() if words]


def commands(entries: Sequence[Entry]) -> list[str]:
    """The commands that made the runs, as they were typed, each once."""
    found = {}
    for entry in entries:
        words = entry.run.facts.get("command") if entry.run else None
        if isinstance(words, list) and all(isinstance(word, str) for word in words) and words:
            first = [words[0]] if words[0].endswith(".py") else ["-m", words[0]]
            found[shlex.join(["python", *first, *words[1:]])] = None
    return list(found)


def _section(facts: dict[str, Any], name: str) -> dict[str, Any]:
    found = facts.get(name)
    return found if isinstance(found, dict) else {}


def _several(values: Iterable[object]) -> str:
    return " / ".join(dict.fromkeys(str(value) for value in values if value))
