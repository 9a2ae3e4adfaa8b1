"""Reference results made again: a command of its own.

python -m jaxnoise.reproduce NAME runs a setting whose results are kept in reference/, and says
whether its test accuracies agree with them. Without a name it lists those that there are;
--record=RUN_DIR keeps a finished run's results under a new name.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from tabulate import tabulate

from jaxnoise import (
    console,
    devices,
    documents,
    exits,
    experiment,
    interruption,
    paired,
    results,
)
from jaxnoise.config import Config, InputError
from jaxnoise.exits import CommandParser
from jaxnoise.flags import nearest
from jaxnoise.selection import SELECTIONS

REFERENCE = Path(__file__).parents[1] / "reference"
# Of all comparisons of a run together, by Bonferroni: a run that is right fails once in twenty.
CONFIDENCE = 0.95


class Comparison(NamedTuple):
    """A test accuracy now and in the reference, in percent."""

    name: str
    reference: np.ndarray  # (repeats,)
    now: np.ndarray
    low: float  # where the mean is to be now
    high: float

    @property
    def equal(self) -> bool:
        """To the last digit."""
        return np.array_equal(self.reference, self.now)

    @property
    def agrees(self) -> bool:
        return self.equal or bool(self.low <= self.now.mean() <= self.high)


def keep(name: str, run_dir: Path) -> Path:
    """Keeps a finished run's results as reference/NAME.json, a few kilobytes.

    Raises:
      InputError: there is no finished run, a repeat diverged, or the name is taken.
    """
    run = paired.read(run_dir)
    config, scores = (documents.read(run_dir / document) for document in documents.OF_A_RUN)
    path = REFERENCE / f"{name}.json"
    if path.exists():
        raise InputError(f"NAME={name}: {path} is there; allowed is a name that is not taken")
    if run.n < 3 or not run.survived.all():
        raise InputError(
            f"--record={run_dir}: allowed are runs of 3 repeats or more, none diverged"
        )
    flags = {name: x for name, x in run.flags.items() if x != paired.DEFAULTS[name]}
    document = {
        "command": Config(**flags).command,
        "flags": flags,
        **{fact: config.get(fact) for fact in
           ("data_sha256", "git_revision", "versions", "device", "wall_seconds")},
        "noise": scores["noise"],
        "n": run.n,
        "mean": scores["mean"],
        "std": scores["std"],
        "accuracy": {name: values.tolist() for name, values in run.accuracy.items()},
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def read(name: str) -> dict[str, Any]:
    """The reference of that name; raises InputError if there is none."""
    try:
        return documents.read(REFERENCE / f"{name}.json")
    except (OSError, ValueError) as error:
        if not (there := names()):
            here = f"none are there: {REFERENCE} is part of the repository, not of a wheel"
            raise InputError(f"NAME={name}: {here}") from error
        raise InputError(
            f"NAME={name}: allowed are the {len(there)} names that python -m jaxnoise.reproduce "
            f"lists{nearest(name, there)}"
        ) from error


def names() -> list[str]:
    """Of all references."""
    return sorted(path.stem for path in REFERENCE.glob("*.json"))


def compare(reference: dict[str, Any], folder: Path) -> list[Comparison]:
    """Test accuracies of a finished run beside the reference's.

    The interval is where the mean of m repeats is expected after a reference of n with mean r and
    sample standard deviation s: r ± t(q, n − 1) s √(1/n + 1/m), Student's prediction interval, q
    such that all of them together hold with probability CONFIDENCE at least. It is the reference's
    own, so that a run that varies more than the reference does not pass for it.

    Raises:
      InputError: the run has other pictures or labels, or a repeat of it diverged.
    """
    run = paired.read(folder)
    noise = documents.read(folder / "scores.json")["noise"]
    for what, kept, now in (
        ("pictures (data_sha256)", reference["data_sha256"], run.data_sha256),
        ("noisy labels", reference["noise"], noise),
    ):
        if kept != now:
            raise InputError(f"{folder}: its {what} are others than the reference's")
    if not run.survived.all():
        raise InputError(f"{folder}: a repeat diverged, in the reference none did")
    level = 1 - (1 - CONFIDENCE) / len(SELECTIONS)
    comparisons = []
    for name in SELECTIONS:
        kept, now = np.array(reference["accuracy"][name]), run.accuracy[name]
        spread = kept.std(ddof=1) * np.sqrt(1 / len(kept) + 1 / len(now))
        low, high = scipy.stats.t.interval(level, len(kept) - 1, kept.mean(), max(spread, 1e-9))
        comparisons.append(Comparison(name, kept, now, float(low), float(high)))
    return comparisons


def table(comparisons: list[Comparison]) -> str:
    """For people."""
    rows = [
        (SELECTIONS[each.name].words,
         f"{each.reference.mean():.2f} ± {each.reference.std():.2f}",
         f"[{each.low:.2f}, {each.high:.2f}]",
         f"{each.now.mean():.2f} ± {each.now.std():.2f}",
         ("equal to the last digit" if each.equal else "pass") if each.agrees else "FAIL")
        for each in comparisons
    ]  # fmt: skip
    header = ["test accuracy (%)", "reference", "allowed", "now", ""]
    return tabulate(rows, header, disable_numparse=True)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 0 if all agree, 1 if not."""
    parser = CommandParser("reproduce", __doc__)
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument("--record", type=Path, metavar="RUN_DIR", help="finished run to be kept")
    for flag in ("results_dir", "data_dir", "manual_dir", "cache_dir"):
        parser.add_argument(f"--{flag}", metavar="DIR", help="as of main.py")
    arguments = vars(parser.parse_args(argv))
    return exits.ended(lambda: _main(**arguments))


def _main(name: str | None, record: Path | None, **where: str | None) -> int:
    if name is None:
        rows = [(each, read(each)["command"]) for each in names()]
        print(tabulate(rows, ["NAME", "command"]))
        return 0
    if record is not None:
        print(keep(name, record))
        return 0
    reference = read(name)
    given = {flag: value for flag, value in where.items() if value is not None}
    config = Config(**reference["flags"], **given)
    console.log_to_console()
    devices.start(config, gpu_asked=False)
    with interruption.Watch() as watch:
        experiment.run(config, watch)
    comparisons = compare(reference, results.run_folder(config))
    passed = all(each.agrees for each in comparisons)
    print(f"\n{name}, n = {reference['n']}\n\n{table(comparisons)}\n")
    joint = f"{100 * CONFIDENCE:g} %"
    print(f"Allowed are the reference's prediction intervals, {joint} for all of them together.")
    print(f"{name} {'is' if passed else 'is NOT'} reproduced.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
