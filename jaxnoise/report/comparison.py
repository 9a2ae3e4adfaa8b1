"""Finished runs side by side: a table, and paired differences from one of them, the baseline."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from jaxnoise.config import InputError
from jaxnoise.report.collection import row_name
from jaxnoise.report.tables import github
from jaxnoise.runs.pairs import (
    DEFAULTS,
    Run,
    baseline,
    differences,
    gain_by_ema,
    pairs,
    read,
    selections,
    unpaired_because,
)
from jaxnoise.scores.intervals import Difference
from jaxnoise.scores.selection import ORACLE_WORDS, SELECTIONS, absent_words


class Comparison:
    """A table of runs: the settings they differ in, and their test accuracies.

    Args:
      runs: the first is the baseline.
      names: the name of each in a sweep's file, if it has one there.
      because: why the first one is the baseline.
    """

    def __init__(self, runs: list[Run], names: list[str | None], because: str):
        self._runs, self._because = runs, because
        self._names = names if any(names) else []
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
        self._selections = selections(runs)
        self._unpaired = [unpaired_because(run, runs[0]) for run in runs[1:]]

    def table(self, tablefmt: str) -> str:
        """A row for each run, followed, except for the first, by its differences from it."""
        header = ["run", *["name"] * bool(self._names), *self._differing, "true rate (%)",
                  *(SELECTIONS[name].words for name in self._selections), "n"]  # fmt: skip
        rows = []
        for i, run in enumerate(self._runs):
            settings = [self._names[i] or "–"] if self._names else []
            settings += ["–" if run.flags[name] is None else f"{run.flags[name]}"
                         for name in self._differing]  # fmt: skip
            statistics = run.mean_and_std().items()
            accuracies = self._cells(
                {x: f"{mean:.2f} ± {std:.2f}" for x, (mean, std) in statistics}
            )
            n = f"{run.n}" if run.survived.all() else f"{run.n} of {len(run.survived)}"
            rate = f"{100 * run.true_rate:.2f}"
            rows.append([str(i + 1), *settings, rate, *accuracies, n])
            if i > 0 and self._unpaired[i - 1] is None:
                first, blank = self._runs[0], [""] * (len(settings) + 1)
                intervals = self._cells(differences(run, first))
                rows.append([f"{i + 1} − 1", *blank, *intervals, pairs(run, first).sum()])
        if tablefmt == "github":
            return github(header, rows)
        return tabulate(rows, header, tablefmt=tablefmt, disable_numparse=True)

    def notes(self) -> list[str]:
        """Notes below the table."""
        common = " ".join(f"--{name}={value}" for name, value in self._common.items())
        folders = [f"Run {i + 1}: {run.folder}" for i, run in enumerate(self._runs)]
        baseline = f"Run 1 is the baseline: {self._because}."
        baseline = [baseline] if len(self._runs) > 1 else []
        unpaired = [
            f"Run {i} cannot be paired with run 1: {reason}."
            for i, reason in enumerate(self._unpaired, start=2)
            if reason
        ]
        same = [
            f"Run {j + 1} has the same settings as run {i + 1}."
            for j, run in enumerate(self._runs)
            for i in [[each.flags for each in self._runs].index(run.flags)]
            if i < j
        ]
        about = (
            "Test accuracy in percent, mean ± std (the population's) over n repeats; each column "
            f"chooses the epoch in its own way. {ORACLE_WORDS}."
        )
        if any(name not in run.accuracy for run in self._runs for name in self._selections):
            about = f"{about} {absent_words(self._selections)}."
        gains = [
            f"Run {i}: EMA of the weights minus last epoch, of the same repeats: {gain}."
            for i, run in enumerate(self._runs, start=1)
            if (gain := gain_by_ema(run))
        ]
        paired = (
            "Rows such as 2 − 1 are differences between runs: mean and 95 % confidence interval "
            "(paired t) over n pairs of repeats with equal seeds, in percentage points, not "
            "corrected for multiple comparisons. The intervals cover only what varies between the "
            "repeats of a run."
        )
        paired = [paired] if None in self._unpaired else []
        diverged = (
            "Repeats that diverged are left out, with their pairs. The remaining repeats may make "
            "a run look better than it is, so n gives their number out of all."
        )
        diverged = [] if all(run.survived.all() for run in self._runs) else [diverged]
        return [
            f"All runs: {common}",
            *folders,
            *same,
            *baseline,
            about,
            *gains,
            *paired,
            *diverged,
            *unpaired,
        ]

    def csv(self) -> str:
        """The same unrounded, a row for each run."""
        rows = []
        for i, run in enumerate(self._runs):
            row = {"run": i + 1, "folder": run.folder}
            row |= {"name": self._names[i]} if self._names else {}
            row |= {**run.flags, "true_rate": run.true_rate, "n": run.n}
            statistics = run.mean_and_std()
            for name in self._selections:
                mean, std = statistics.get(name, (None, None))
                row |= {f"{name}_mean": mean, f"{name}_std": std}
            paired = i > 0 and self._unpaired[i - 1] is None
            found = differences(run, self._runs[0]) if paired else {}
            for name in self._selections if paired else ():
                parts = found.get(name, [None] * len(Difference._fields))
                columns = (f"{name}_less_run_1_{part}" for part in Difference._fields)
                row |= dict(zip(columns, parts, strict=True))
            row |= {"pairs": pairs(run, self._runs[0]).sum()} if paired else {}
            rows.append(row)
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return text.getvalue()

    def _cells(self, found: Mapping[str, Any]) -> list[str]:
        """What there is for each selection; – where there is nothing."""
        return [str(found.get(name, "–")) for name in self._selections]


def compare(folders: list[Path], out: Path | None = None, baseline: Path | None = None) -> str:
    """Writes the files of a comparison and returns its table as text.

    Args:
      folders: of finished runs.
      out: where to write; by default beside the first run, unless another comparison is there.
      baseline: the run that differences are from, one of `folders` or another one; by default the
        only one without regularizer, loss and method, or else the first.

    Raises:
      InputError: a folder holds no finished run or is given twice, or `out` cannot be written or
        contains another comparison.
    """
    folder = folders[0].resolve().parent if out is None else out
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"RUN_DIR={' '.join(map(str, folders))}: one of them is given twice")
    runs = [read(folder) for folder in folders]
    first, because = _baseline(runs, baseline)
    runs = [first, *(run for run in runs if run.folder.resolve() != first.folder.resolve())]
    comparison = Comparison(runs, [row_name(run.folder) for run in runs], because)
    notes = comparison.notes()
    texts = {
        "md": "\n\n".join([comparison.table("github"), *notes]) + "\n",
        "csv": comparison.csv(),
        "tex": _latex(comparison.table("latex_booktabs"), notes),
    }
    told = "\n".join([comparison.table("simple"), "", *notes])
    paths = {folder / f"comparison.{kind}": text for kind, text in texts.items()}
    for path, text in paths.items():
        if path.exists() and path.read_bytes() != text.encode():
            other = f"{path} exists with other content"
            if out is None:
                return f"{told}\nNot written: {other}; --out=FOLDER writes the comparison elsewhere"
            raise InputError(f"--out={out}: {other}; allowed is a folder without it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out={folder}: cannot be written: {error.strerror}") from error
    return f"{told}\nWritten: {', '.join(map(str, paths))}"


def _baseline(runs: list[Run], asked: Path | None) -> tuple[Run, str]:
    """The baseline, and why it is that."""
    if asked is not None:
        try:
            return read(asked), "--baseline names it"
        except InputError as error:
            known = ", ".join(str(run.folder) for run in runs)
            raise InputError(
                f"--baseline={asked}: allowed are {known}, or the folder of another finished run "
                f"({error})"
            ) from error
    place, because = baseline(runs)
    return runs[place], because


def _latex(table: str, notes: list[str]) -> str:
    """For \\input: the notes as comments, no character that old LaTeX lacks."""
    comments = "".join(
        f"% {note}\n" for note in (r"Needed in the preamble: \usepackage{booktabs}", *notes)
    )
    table = re.sub(r"(?<![\w.])-(?=\d)", "$-$", table)
    return comments + table.replace("±", r"$\pm$").replace("−", "$-$").replace("–", "--") + "\n"
