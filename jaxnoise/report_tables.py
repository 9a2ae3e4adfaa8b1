"""Methods × noise: test accuracies as a table for papers, in Markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from jaxnoise.paired import differences, unpaired_because
from jaxnoise.run_collection import FINISHED, Entry, one_of_each
from jaxnoise.selection import ORACLE_WORDS, SELECTIONS

NOTE = (
    "Test accuracy in percent, mean ± std (the population's) over repeats, by what chooses the "
    "epoch. Bold is the best of a column where the 95 % interval (paired t, repeats of equal "
    "seeds, not corrected for the number of comparisons) of its lead over the second excludes "
    f"zero. {ORACLE_WORDS}."
)


class Value(NamedTuple):
    """What stands in a cell."""

    text: str  # mean ± std, or the state of a run that has none
    bold: bool = False


class Table(NamedTuple):
    """One selection's accuracies."""

    selection: str
    columns: list[tuple[str, str]]  # (data set, noise)
    methods: list[str]
    values: dict[tuple[str, tuple[str, str]], Value]  # by method and column; those that there are

    def rows(self, bold: str = "{}") -> list[list[str]]:
        """Method and values; `bold` formats the bold ones, and – stands where nothing is."""
        rows = []
        for method in self.methods:
            values = [self.values.get((method, column), Value("–")) for column in self.columns]
            rows.append([method, *(bold.format(x.text) if x.bold else x.text for x in values)])
        return rows


def tables(entries: Sequence[Entry]) -> list[Table]:
    """A table for each of SELECTIONS."""
    entries = one_of_each(entries)
    columns = sorted({entry.column for entry in entries})
    methods = list(dict.fromkeys(entry.method for entry in entries))
    found = []
    for selection in SELECTIONS:
        values = {}
        for column in columns:
            there = [entry for entry in entries if entry.column == column]
            best = _clearly_best(there, selection)
            for entry in there:
                values[entry.method, column] = Value(in_words(entry, selection), entry is best)
        found.append(Table(selection, columns, methods, values))
    return found


def in_words(entry: Entry, selection: str) -> str:
    """mean ± std of an accuracy, with how many repeats it is of if some diverged; or the state."""
    if entry.state != FINISHED:
        return entry.state
    run = entry.run
    if not run.n:
        return "diverged"
    mean, std = run.mean_and_std()[selection]
    few = "" if run.survived.all() else f" ({run.n} of {len(run.survived)})"
    return f"{mean:.2f} ± {std:.2f}{few}"


def _clearly_best(entries: Sequence[Entry], selection: str) -> Entry | None:
    """The entry whose lead over the second is not by chance, if there is one."""
    able = [entry for entry in entries if entry.run and entry.run.n]
    if len(able) < 2:
        return None
    first, second, *_ = sorted(able, key=lambda x: -x.run.mean_and_std()[selection][0])
    if unpaired_because(first.run, second.run):
        return None
    return first if differences(first.run, second.run)[selection].low > 0 else None


def markdown(found: Sequence[Table]) -> str:
    """All tables, one below the other."""
    parts = []
    for table in found:
        header = ["method", *(f"{dataset} {noise}" for dataset, noise in table.columns)]
        body = tabulate(table.rows("**{}**"), header, tablefmt="github", disable_numparse=True)
        parts += [f"## {SELECTIONS[table.selection].words}", body]
    return "\n\n".join([*parts, NOTE]) + "\n"


def latex(found: Sequence[Table]) -> str:
    """For \\input, with booktabs; no character that old LaTeX lacks."""
    parts = [f"% {NOTE}"]
    for table in found:
        header = ["method", *(f"{dataset} {noise}" for dataset, noise in table.columns)]
        # A mark that tabulate's escaping leaves alone.
        body = tabulate(
            table.rows("BOLD<{}>"), header, tablefmt="latex_booktabs", disable_numparse=True
        )
        body = body.replace(r"BOLD\ensuremath{<}", r"\textbf{").replace(r"\ensuremath{>}", "}")
        parts += [f"% {SELECTIONS[table.selection].words}", body]
    return "\n".join(parts).replace("±", r"$\pm$").replace("–", "--") + "\n"


def table_csv(entries: Sequence[Entry]) -> str:
    """A row for each run, unrounded."""
    columns = ["dataset", "noise", "method", "state", "n", "true_rate"]
    columns += [f"{name}_{quantity}" for name in SELECTIONS for quantity in ("mean", "std")]
    text = io.StringIO()
    table = csv.DictWriter(text, [*columns, "folder", "command", "error"], lineterminator="\n")
    table.writeheader()
    for entry in entries:
        row = {"dataset": entry.dataset, "noise": entry.noise, "method": entry.method,
               "state": entry.state, "folder": entry.folder, "command": entry.command,
               "error": entry.error}  # fmt: skip
        if entry.run:
            row |= {"n": entry.run.n, "true_rate": entry.run.true_rate}
            for name, (mean, std) in entry.run.mean_and_std().items():
                row |= {f"{name}_mean": mean, f"{name}_std": std}
        table.writerow(row)
    return text.getvalue()
