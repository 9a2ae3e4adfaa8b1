"""Published results: the rows of the recipes, and how a run compares with them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from jaxnoise.config import Config, InputError, recipes
from jaxnoise.config.recipes import Row
from jaxnoise.runs import pairs
from jaxnoise.scores.selection import SELECTIONS


class Comparison(NamedTuple):
    """A published accuracy and a run's, in percent."""

    name: str  # of the selection
    published: float
    now: float  # mean over the repeats; NaN if the run lacks the selection
    std: float  # the population's
    tolerance: float

    @property
    def agrees(self) -> bool:
        return abs(self.now - self.published) <= self.tolerance


def rows() -> dict[str, Row]:
    """All rows by their names, RECIPE_ROW."""
    return {row.name: row for name in recipes.NAMES for row in recipes.read(name).rows}


def config(row: Row, **where: str) -> Config:
    """The run that answers to a row."""
    return Config(recipe=row.recipe, **row.flags, **where)


def effort(config: Config) -> str:
    """What a run takes, in words."""
    return (
        f"{config.total_repeats} trainings of {config.network} for {config.epochs_num} epochs on "
        "the whole data set are work for a GPU"
    )


def compare(row: Row, folder: Path) -> list[Comparison]:
    """The accuracies of a finished run beside the published ones.

    Raises:
      InputError: a repeat diverged.
    """
    run = pairs.read(folder)
    if not run.survived.all():
        raise InputError(f"{folder}: a repeat diverged")
    comparisons = []
    for name, accuracy in row.accuracy.items():
        now = run.accuracy.get(name, np.array(np.nan))
        comparisons.append(Comparison(name, accuracy, now.mean(), now.std(), row.tolerance))
    return comparisons


def table(comparisons: list[Comparison]) -> str:
    """The comparisons as text."""
    rows = [
        (
            SELECTIONS[each.name].words,
            f"{each.published:.2f}",
            f"± {each.tolerance:g}",
            f"{each.now:.2f} ± {each.std:.2f}" if np.isfinite(each.now) else "–",
            "pass" if each.agrees else "FAIL",
        )
        for each in comparisons
    ]
    header = ["test accuracy (%)", "published", "allowed", "now", ""]
    return tabulate(rows, header, disable_numparse=True)
