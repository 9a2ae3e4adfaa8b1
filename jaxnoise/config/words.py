"""Words that messages share: numbers with their nouns, and suggestions."""

import difflib
from collections.abc import Collection

# Of difflib: `lenett` is 0.91 like `lenet`, `resnet` 0.73.
_NEAR = 0.8


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"


def nearest(text: str, allowed: Collection[str]) -> str:
    """A suggestion that ends a message; empty if nothing allowed is near.

    Letter case and leading dashes do not matter. The first words of a name, of four letters or
    more, stand for it if no other name begins with them, as `uniform` does for `uniform_noise`.
    """
    names: dict[str, set[str]] = {}
    for name in allowed:
        words = _plain(name).split("_")
        for i in range(1, len(words)):
            names.setdefault("_".join(words[:i]), set()).add(name)
    meant = {head: min(of) for head, of in names.items() if len(of) == 1 and len(head) >= 4}
    meant |= {_plain(name): name for name in allowed}
    found = difflib.get_close_matches(_plain(text), meant, 1, _NEAR)
    return f" (did you mean {meant[found[0]]}?)" if found else ""


def _plain(text: str) -> str:
    return text.lower().lstrip("-")
