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
