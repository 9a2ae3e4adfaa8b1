"""Recipes: named sets of flags that train as a publication does, with the accuracies it reports.

A recipe is a file recipes/NAME.toml, or one of --user_code. Flags that are given win over it.
"""

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxnoise.config.declarations import UserCode

_FOLDER = Path(__file__).with_name("recipes")
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))

# Flags of a recipe that make no sense any more if another one is given.
_DEPEND_ON = {
    "optimizer": ("momentum", "nesterov", "learning_rate"),
    "schedule": ("lr_decay_epochs", "lr_milestones", "lr_gamma", "lr_min"),
    "preprocess_mode": ("channel_mean", "channel_std"),
    "augment": ("cutout_size",),
}


class Row(NamedTuple):
    """A published result that a recipe answers to."""

    recipe: str  # its name
    name: str  # RECIPE_ROW
    flags: dict[str, Any]  # beside those of the recipe
    accuracy: dict[str, float]  # on test, percent, by the selection of the epoch
    source: str
    tolerance: float  # percentage points
    why: str  # this tolerance


class Recipe(NamedTuple):
    """The content of a recipe's file."""

    about: str
    source: str
    differences: str  # from the source
    nets: tuple[str, ...]  # that it is for; empty: all
    flags: dict[str, Any]
    rows: tuple[Row, ...]


@functools.cache
def read(name: str) -> Recipe:
    """The recipe of that name, one of NAMES."""
    document = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    published = document.get("published", {})
    rows = tuple(
        Row(
            name,
            f"{name}_{row['name']}",
            row["flags"],
            row["accuracy"],
            published["source"].strip(),
            published["tolerance"],
            published["why"],
        )
        for row in document.get("rows", ())
    )
    return Recipe(
        document["about"],
        document["source"].strip(),
        document["differences"].strip(),
        tuple(document["nets"]),
        document["flags"],
        rows,
    )


def named(name: str | None, user: UserCode) -> Recipe | None:
    """The recipe of that name, of ours or of --user_code; None if there is none."""
    if name in NAMES:
        return read(name)
    if name not in user.declared["recipe"]:
        return None
    return Recipe("", "", "", (), user.declared["recipe"][name].arguments, ())


def flags(recipe: Recipe | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a recipe that go with those given; empty if there is none."""
    if recipe is None:
        return {}
    of_recipe = recipe.flags
    dropped = {each for flag in _DEPEND_ON.keys() & given.keys() for each in _DEPEND_ON[flag]
               if given[flag] != of_recipe.get(flag)}  # fmt: skip
    if given.get("wd_coef") == 0:
        dropped.add("wd_on")
    return {flag: x for flag, x in of_recipe.items() if flag not in dropped | given.keys()}


def named_in(error: str, name: str, of_recipe: Mapping[str, Any]) -> str:
    """Says which flags in a message a recipe has set, so that nobody looks for them elsewhere."""
    mentioned = re.findall(r"--(\w+)", error)
    found = [
        f"--{flag}={of_recipe[flag]}" for flag in dict.fromkeys(mentioned) if flag in of_recipe
    ]
    return f" ({', '.join(found)} by --recipe={name})" if found else ""
