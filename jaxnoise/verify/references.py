"""Reference results: kept as reference/NAME.json, and compared with new runs."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from tabulate import tabulate

from jaxnoise.config import Config, InputError, nearest
from jaxnoise.runs import documents, files, pairs
from jaxnoise.scores.selection import SELECTIONS, named

REFERENCE = Path(__file__).parents[2] / "reference"
# Of all comparisons of a run together, by Bonferroni: a correct run fails at most once in twenty.
CONFIDENCE = 0.95


class Comparison(NamedTuple):
    """A test accuracy now and in the reference, in percent; each float (repeats,)."""

    name: str
    reference: np.ndarray
    now: np.ndarray
    low: float  # bounds of the mean now
    high: float

    @property
    def equal(self) -> bool:
        """To the last digit."""
        return np.array_equal(self.reference, self.now)

    @property
    def agrees(self) -> bool:
        return self.equal or bool(self.low <= self.now.mean() <= self.high)


def keep(name: str, run_dir: Path, elsewhere: Sequence[Path] = ()) -> Path:
    """Keeps a finished run's results as reference/NAME.json, a few kilobytes.

    Args:
      elsewhere: the same run made by other arithmetic: on another CPU, by another version of JAX or
        under other flags of XLA. They widen and centre the intervals of `compare`.

    Raises:
      InputError: there is no finished run, it has fewer than 3 repeats or one that diverged, a run
        of `elsewhere` is not the same, or the name is taken.
    """
    run = pairs.read(run_dir)
    config, scores = (files.read_json(run_dir / document) for document in documents.OF_A_RUN)
    path = REFERENCE / f"{name}.json"
    if path.exists():
        raise InputError(f"NAME={name}: {path} exists; allowed is a name that is not taken")
    others = [pairs.read(folder) for folder in elsewhere]
    for each in (run, *others):
        if each.n < 3 or not each.survived.all():
            raise InputError(
                f"--record={each.folder}: allowed are runs of 3 repeats or more, none of which "
                "diverged"
            )
    for each in others:
        same = (each.flags, each.data_sha256, each.labels_sha256)
        if same != (run.flags, run.data_sha256, run.labels_sha256):
            raise InputError(
                f"--record={each.folder}: allowed are runs with the flags, images and labels of "
                f"{run_dir}"
            )
    flags = {name: x for name, x in run.flags.items() if x != pairs.DEFAULTS[name]}
    # With the values that defaults and recipes had, which may change.
    flags.pop("recipe", None)
    flags |= Config(**flags).hyperparameters
    document = {
        "command": Config(**flags).command,
        "flags": flags,
        **{fact: config.get(fact) for fact in
           ("data_sha256", "git_revision", "versions", "device", "wall_seconds")},
        "noise": scores["noise"],
        "n": run.n,
        "mean": scores["mean"],
        "std": scores["std"],
        "accuracy": _lists(run.accuracy),
    }  # fmt: skip
    if others:
        document["elsewhere"] = [
            {fact: each.facts.get(fact) for fact in ("versions", "device", "environment")}
            | {"accuracy": _lists(each.accuracy)}
            for each in others
        ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def _lists(accuracy: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in accuracy.items()}


def read(name: str, others: Collection[str] = ()) -> dict[str, Any]:
    """The reference of that name; raises InputError if there is none.

    Args:
      others: names of other results, one of which may be meant.
    """
    try:
        return files.read_json(REFERENCE / f"{name}.json")
    except (OSError, ValueError) as error:
        if not (there := names()):
            here = f"there are no references here: {REFERENCE} is in the repository, not in a wheel"
            raise InputError(f"NAME={name}: {here}") from error
        raise InputError(
            f"NAME={name}: allowed are the names that python -m jaxnoise.reproduce --list gives"
            f"{nearest(name, [*there, *others])}"
        ) from error


def names() -> list[str]:
    """Of all references."""
    return sorted(path.stem for path in REFERENCE.glob("*.json"))


def compare(reference: dict[str, Any], folder: Path) -> list[Comparison]:
    """Test accuracies of a finished run beside the reference's.

    The interval is where the mean of m repeats is expected after n of the reference, those made
    elsewhere included, with mean r and sample standard deviation s: r ± t(q, n − 1) s √(1/n + 1/m),
    Student's prediction interval, q such that all of them together hold with probability CONFIDENCE
    at least. Its width comes from the reference alone, so a run that varies more than the reference
    does not pass for that reason.

    Compared are the selections that the run, the reference and those made elsewhere all have: one
    from before there was `last_ten` does not have it.

    Raises:
      InputError: the run has other pictures or labels, or one of its repeats diverged.
    """
    run = pairs.read(folder)
    noise = files.read_json(folder / "scores.json")["noise"]
    for what, kept, now in (
        ("pictures (data_sha256)", reference["data_sha256"], run.data_sha256),
        ("noisy labels", reference["noise"], noise),
    ):
        if kept != now:
            raise InputError(f"{folder}: its {what} differ from the reference's")
    if not run.survived.all():
        raise InputError(f"{folder}: a repeat diverged, but none did in the reference")
    sources = [reference, *reference.get("elsewhere", ())]
    shared = [name for name in run.accuracy if all(name in x["accuracy"] for x in sources)]
    # By the number of comparisons that are made, not of SELECTIONS: a selection that a reference
    # does not have cannot fail, and must not widen the intervals of those that it has.
    level = 1 - (1 - CONFIDENCE) / len(shared)
    comparisons = []
    for name in shared:
        kept, now = np.array(reference["accuracy"][name]), run.accuracy[name]
        every = np.concatenate([each["accuracy"][name] for each in sources])
        spread = every.std(ddof=1) * np.sqrt(1 / len(every) + 1 / len(now))
        low, high = scipy.stats.t.interval(level, len(every) - 1, every.mean(), max(spread, 1e-9))
        comparisons.append(Comparison(name, kept, now, float(low), float(high)))
    return comparisons


def table(comparisons: list[Comparison]) -> str:
    """The comparisons as text; what is not compared, for want of a reference, is marked."""
    rows = [
        (SELECTIONS[each.name].words,
         f"{each.reference.mean():.2f} ± {each.reference.std():.2f}",
         f"[{each.low:.2f}, {each.high:.2f}]",
         f"{each.now.mean():.2f} ± {each.now.std():.2f}",
         ("equal to the last digit" if each.equal else "pass") if each.agrees else "FAIL")
        for each in comparisons
    ]  # fmt: skip
    compared = {each.name for each in comparisons}
    rows += [(SELECTIONS[name].words, *"–––", "not compared")
             for name in named(ema="ema_last" in compared) if name not in compared]  # fmt: skip
    header = ["test accuracy (%)", "reference", "allowed", "now", ""]
    return tabulate(rows, header, disable_numparse=True)
