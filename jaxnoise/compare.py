"""Finished runs side by side, with paired differences to the first: a command of its own.

python -m jaxnoise.compare RUN_DIR... prints a table and writes comparison.md, .csv and .tex.
"""

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from tabulate import tabulate

from jaxnoise import documents
from jaxnoise.config import Config, InputError
from jaxnoise.flags import complain
from jaxnoise.selection import ORACLE_WORDS, SELECTIONS

CONFIDENCE = 0.95
_DOCUMENTS = ("config.json", "scores.json")
DEFAULTS = Config().result_settings
# What two runs must share for their repeats of equal number to be pairs: pictures, the seeds of
# initialization and batch order, and the draw of the noise that each repeat has.
PAIRED_BY = ("dataset", "train_size", "test_size", "validation_ratio", "seed", "noise_seed",
             "noise_file", "noise_draws", "noise_per_repeat")  # fmt: skip


class Run(NamedTuple):
    """What a finished run's folder says of it."""

    folder: Path
    flags: dict[str, Any]  # those that can change a result
    true_rate: float  # in [0, 1]
    accuracy: dict[str, np.ndarray]  # percent, (repeats,), for each name in SELECTIONS
    data_sha256: str | None  # of the data set; None: of before it was recorded

    @property
    def repeats(self) -> int:
        return len(self.accuracy["last"])


class Difference(NamedTuple):
    """Mean of paired differences and its confidence interval, in percentage points."""

    mean: float
    low: float
    high: float


def read(folder: Path) -> Run:
    """Raises InputError if there is no finished run, or one of an earlier version's."""
    if not folder.is_dir():
        raise InputError(f"RUN_DIR={folder}: there is no such folder")
    missing = [name for name in _DOCUMENTS if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"RUN_DIR={folder}: not the folder of a finished run: it has no {missing[0]}"
        )
    try:
        config, scores = (documents.read(folder / name) for name in _DOCUMENTS)
        # A run made before a flag was there had its default.
        flags = {name: config["flags"].get(name, default) for name, default in DEFAULTS.items()}
        data_sha256 = config.get("data_sha256")
        for name, value in [*flags.items(), ("data_sha256", data_sha256)]:
            if isinstance(value, list | dict):
                raise ValueError(f"{name} is no single value")
        accuracy = {
            name: np.array(scores["selection"][name]["accuracy"], float) for name in SELECTIONS
        }
        true_rate = float(scores["noise"]["true_rate"])
        lengths = {values.shape for values in accuracy.values()}
        if len(lengths) > 1 or lengths.pop() in ((), (0,)) or not np.isfinite(true_rate):
            raise ValueError("its accuracies are not one for each repeat, or it has no true rate")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"RUN_DIR={folder}: its config.json or scores.json is damaged or an earlier version's; "
            f"main.py --overwrite makes the run anew ({error!r})"
        ) from error
    return Run(folder, flags, true_rate, accuracy, data_sha256)


def unpaired_because(run: Run, first: Run) -> str | None:
    """Why repeats of two runs are no pairs; None if they are."""
    for name in PAIRED_BY:
        if run.flags[name] != first.flags[name]:
            return f"--{name} is {run.flags[name]}, there it is {first.flags[name]}"
    if None not in (both := {run.data_sha256, first.data_sha256}) and len(both) > 1:
        return "the pictures or labels of its data set are others than there (data_sha256)"
    if min(run.repeats, first.repeats) < 2:
        return "a single pair has no spread"
    return None


def paired_difference(difference: np.ndarray) -> Difference:
    """Mean d of paired differences and its 95 % interval d ± t(0.975, n − 1) · s/√n.

    Student's t for pairs, s being the sample's standard deviation.

    Args:
      difference: float (n,), n ≥ 2.
    """
    n, mean = len(difference), difference.mean()
    quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    half = quantile * difference.std(ddof=1) / np.sqrt(n)
    return Difference(*map(float, (mean, mean - half, mean + half)))


class Comparison:
    """A table of runs: the settings they differ in, and the four test accuracies."""

    def __init__(self, runs: list[Run]):
        self._runs = runs
        names = [name for name in runs[0].flags if name != "total_repeats"]  # it is n
        self._differing = [
            name for name in names if len({str(run.flags[name]) for run in runs}) > 1
        ]
        self._common = {
            name: runs[0].flags[name]
            for name in names
            if name not in self._differing
            and (name in ("dataset", "net") or runs[0].flags[name] != DEFAULTS[name])
        }
        self._unpaired = [unpaired_because(run, runs[0]) for run in runs[1:]]

    def table(self, tablefmt: str) -> str:
        """A row for each run, and for each but the first one of its difference to the first."""
        header = ["run", *self._differing, "true rate (%)",
                  *(selection.words for selection in SELECTIONS.values()), "n"]  # fmt: skip
        rows = []
        for i, run in enumerate(self._runs):
            settings = ["–" if run.flags[name] is None else f"{run.flags[name]}"
                        for name in self._differing]  # fmt: skip
            accuracies = [f"{x.mean():.2f} ± {x.std():.2f}" for x in run.accuracy.values()]
            rate = f"{100 * run.true_rate:.2f}"
            rows.append([str(i + 1), *settings, rate, *accuracies, run.repeats])
            if i > 0 and self._unpaired[i - 1] is None:
                differences = [
                    f"{d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"
                    for d in self._differences(run).values()
                ]
                blank = [""] * (len(settings) + 1)
                rows.append([f"{i + 1} less 1", *blank, *differences, self._pairs(run)])
        return tabulate(rows, header, tablefmt=tablefmt, disable_numparse=True)

    def notes(self) -> list[str]:
        """What is to be known beside the table."""
        common = " ".join(f"--{name}={value}" for name, value in self._common.items())
        folders = [f"Run {i + 1}: {run.folder}" for i, run in enumerate(self._runs)]
        unpaired = [
            f"Run {i} cannot be paired with run 1: {reason}."
            for i, reason in enumerate(self._unpaired, start=2)
            if reason
        ]
        about = (
            "Test accuracy in percent, mean ± std (the population's) over n repeats, by what "
            f"chooses the epoch. {ORACLE_WORDS}."
        )
        paired = (
            "Differences are of repeats with equal seeds: mean and 95 % confidence interval "
            "(paired t) over n pairs, in percentage points, not corrected for their number; they "
            "speak for what varies between the repeats of a run."
        )
        paired = [paired] if None in self._unpaired else []
        return [f"All runs: {common}", *folders, about, *paired, *unpaired]

    def csv(self) -> str:
        """The same unrounded, a row for each run."""
        rows = []
        for i, run in enumerate(self._runs):
            row = {"run": i + 1, "folder": run.folder, **run.flags, "true_rate": run.true_rate,
                   "n": run.repeats}  # fmt: skip
            for name, values in run.accuracy.items():
                row |= {f"{name}_mean": values.mean(), f"{name}_std": values.std()}
            paired = i > 0 and self._unpaired[i - 1] is None
            for name, difference in (self._differences(run) if paired else {}).items():
                row |= {f"{name}_less_run_1_{k}": v for k, v in difference._asdict().items()}
            row |= {"pairs": self._pairs(run)} if paired else {}
            rows.append(row)
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return text.getvalue()

    def _pairs(self, run: Run) -> int:
        return min(run.repeats, self._runs[0].repeats)

    def _differences(self, run: Run) -> dict[str, Difference]:
        n, first = self._pairs(run), self._runs[0]
        return {
            name: paired_difference(run.accuracy[name][:n] - first.accuracy[name][:n])
            for name in SELECTIONS
        }


def compare(folders: list[Path], out: Path | None = None) -> str:
    """Writes the files of a comparison and returns its table as text.

    Args:
      folders: of finished runs; differences are to the first.
      out: where to write; by default beside the first run.

    Raises:
      InputError: a folder holds no finished run or is given twice, or `out` cannot be written or
        has another comparison in it.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"RUN_DIR={' '.join(map(str, folders))}: one of them is given twice")
    comparison = Comparison([read(folder) for folder in folders])
    notes = comparison.notes()
    texts = {
        "md": "\n\n".join([comparison.table("github"), *notes]) + "\n",
        "csv": comparison.csv(),
        "tex": _latex(comparison.table("latex_booktabs"), notes),
    }
    out = folders[0].resolve().parent if out is None else out
    paths = {out / f"comparison.{kind}": text for kind, text in texts.items()}
    for path, text in paths.items():
        if path.exists() and path.read_bytes() != text.encode():
            raise InputError(
                f"--out={out}: {path} is there and says something else; allowed is a folder "
                "without it"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    written = "Written: " + ", ".join(map(str, paths))
    return "\n".join([comparison.table("simple"), "", *notes, written])


def _latex(table: str, notes: list[str]) -> str:
    """For \\input, with booktabs: the notes as comments, no character that old LaTeX lacks."""
    comments = "".join(f"% {note}\n" for note in notes)
    return comments + table.replace("±", r"$\pm$").replace("–", "--") + "\n"


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser("python -m jaxnoise.compare", description=__doc__)
    parser.add_argument("runs", metavar="RUN_DIR", nargs="+", type=Path, help="of a finished run")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: beside the first run)"
    )
    arguments = parser.parse_args(argv)
    try:
        print(compare(arguments.runs, arguments.out))
    except InputError as error:
        return complain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
