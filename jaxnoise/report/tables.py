"""Methods × noise: test accuracies as a table for papers, in Markdown, CSV and LaTeX."""

import csv
import io
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from jaxnoise.report.collection import FINISHED, Column, Entry, one_of_each
from jaxnoise.runs.pairs import differences, gain_by_ema, selections, unpaired_because
from jaxnoise.scores.intervals import Difference
from jaxnoise.scores.scoring import AREAS, DETECTION
from jaxnoise.scores.selection import ORACLE_WORDS, SELECTIONS, absent_words

NOTE = (
    "Test accuracy in percent, mean ± std (the population's) over n repeats, for each way of "
    "choosing the epoch. The best entry of a column is bold where the 95 % interval of its lead "
    f"over the second best excludes zero. {ORACLE_WORDS}. Differences are in percentage points, "
    "mean and 95 % interval (paired t over repeats with equal seeds), bold where the interval "
    "excludes zero. The intervals are not corrected for multiple comparisons: even without any "
    "true difference, one in twenty excludes zero."
)

# Repeats; so few say little, also where an interval excludes zero.
_FEW = 3
_FEW_NOTE = (
    "Some runs have three repeats or fewer. By luck, the interval of so few is narrow now and "
    "then: do not rely on it."
)


class Value(NamedTuple):
    """The content of a cell."""

    text: str  # mean ± std, or the state of a run that has none; or a difference
    bold: bool = False


class Table(NamedTuple):
    """One selection's accuracies, or their differences from a method's."""

    selection: str
    less: str | None  # the method that is subtracted
    columns: list[Column]
    methods: list[str]
    values: dict[tuple[str, Column], Value]  # by method and column, where there is a run
    n: str  # repeats that a mean is over, as in `5` or `3–5`; empty if no run is finished

    @property
    def title(self) -> str:
        words = SELECTIONS[self.selection].words
        words = f"{words}, difference from {self.less}" if self.less else words
        return f"{words} (n = {self.n})" if self.n else words

    def rows(self, bold: str = "{}") -> list[list[str]]:
        """Method and values; `bold` formats the bold ones, and – marks a missing value."""
        rows = []
        for method in self.methods:
            values = [self.values.get((method, column), Value("–")) for column in self.columns]
            rows.append([method, *(bold.format(x.text) if x.bold else x.text for x in values)])
        return rows


def tables(entries: Sequence[Entry]) -> list[Table]:
    """For each of `named` a table of accuracies and, for several methods, one of differences.

    These are from the method without regularization, if there is one, else from the first.
    """
    entries = one_of_each(entries)
    columns = sorted(
        {entry.column for entry in entries}, key=lambda x: (x.dataset, x.model, x.rate or 0)
    )
    methods = list(dict.fromkeys(entry.method for entry in entries))
    plain = _plain(entries)
    others = [method for method in methods if method != plain]
    baseline = {entry.column: entry for entry in entries if entry.method == plain}
    from_plain = {
        (entry.method, entry.column): _differences(entry, baseline[entry.column])
        for entry in entries
        if entry.method != plain and entry.column in baseline
    }
    found = []
    for selection in named(entries):
        numbers = sorted({entry.run.n for entry in having(entries, selection)})
        n = "–".join(dict.fromkeys(str(x) for x in (numbers[:1] + numbers[-1:])))
        values = {}
        for column in columns:
            there = {entry.method: entry for entry in entries if entry.column == column}
            best = _clearly_best(list(there.values()), selection)
            for method, entry in there.items():
                values[method, column] = Value(in_words(entry, selection), entry is best)
        less = {
            place: _in_words(each[selection])
            for place, each in from_plain.items()
            if selection in each
        }
        found.append(Table(selection, None, columns, methods, values, n))
        if less:
            found.append(Table(selection, plain, columns, others, less, n))
    return found


def notes(entries: Sequence[Entry]) -> list[str]:
    """What the tables mean, and which runs have no difference in them, with the reason."""
    entries = one_of_each(entries)
    plain, reasons = _plain(entries), {}
    baseline = {entry.column: entry for entry in entries if entry.method == plain}
    for entry in entries:
        against = baseline.get(entry.column)
        if entry.method == plain or not (entry.run and against and against.run):
            continue
        if because := unpaired_because(entry.run, against.run):
            because = because.replace("in run 1", f"in {plain}").replace(
                "run 1", f"that of {plain}"
            )
            reasons.setdefault(because, []).append(f"{entry.method} ({entry.noise})")
    fewest = min((entry.run.n for entry in entries if entry.run and entry.run.n), default=_FEW + 1)
    few = [_FEW_NOTE] if fewest <= _FEW else []
    finished, names = [entry for entry in entries if entry.run], named(entries)
    lacking = any(name not in entry.run.accuracy for entry in finished for name in names)
    absent = [f"{absent_words(names)}."] if lacking else []
    gains = [
        f"{entry.method} ({entry.dataset}, {entry.noise}): EMA of the weights minus last epoch, of "
        f"the same repeats: {gain}."
        for entry in finished
        if (gain := gain_by_ema(entry.run))
    ]
    unpaired = (f"No difference for {', '.join(x)}: {because}." for because, x in reasons.items())
    return [NOTE, *absent, *few, *gains, *unpaired]


def _plain(entries: Sequence[Entry]) -> str:
    """The method that differences are from."""
    methods = list(dict.fromkeys(entry.method for entry in entries))
    regularized = {entry.method for entry in entries if not entry.plain}
    return next((x for x in methods if x not in regularized), methods[0])


def named(entries: Sequence[Entry]) -> list[str]:
    """The names of the selections to show, by the finished runs."""
    return selections(entry.run for entry in entries if entry.run)


def having(entries: Sequence[Entry], selection: str) -> list[Entry]:
    """The finished runs that have an accuracy by this selection."""
    return [x for x in entries if x.run and x.run.n and selection in x.run.accuracy]


def in_words(entry: Entry, selection: str) -> str:
    """mean ± std of an accuracy, with the number of repeats if some diverged; or the state.

    – if the run does not have this accuracy.
    """
    if entry.state != FINISHED:
        return entry.state
    run = entry.run
    if not run.n:
        return "diverged"
    if selection not in run.accuracy:
        return "–"
    mean, std = run.mean_and_std()[selection]
    few = "" if run.survived.all() else f" ({run.n} of {len(run.survived)})"
    return f"{mean:.2f} ± {std:.2f}{few}"


def _differences(entry: Entry, other: Entry) -> dict[str, Difference]:
    """A run's accuracies minus another's, by selection; empty if their repeats are no pairs."""
    if not (entry.run and other.run) or unpaired_because(entry.run, other.run):
        return {}
    return differences(entry.run, other.run)


def _in_words(difference: Difference) -> Value:
    return Value(str(difference), bold=difference.low > 0 or difference.high < 0)


def _clearly_best(entries: Sequence[Entry], selection: str) -> Entry | None:
    """The entry whose lead over the second is not by chance, if there is one."""
    able = having(entries, selection)
    if len(able) < 2:
        return None
    first, second, *_ = sorted(able, key=lambda x: -x.run.mean_and_std()[selection][0])
    lead = _differences(first, second).get(selection)
    return first if lead and lead.low > 0 else None


def markdown(found: Sequence[Table], notes: Sequence[str] = (NOTE,)) -> str:
    """All tables, one below the other, and the `notes` on them."""
    parts = []
    for table in found:
        several = len({column.dataset for column in table.columns}) > 1
        header = [x.noise if not several else f"{x.dataset} {x.noise}" for x in table.columns]
        where = "" if several else f"{table.columns[0].dataset}, "
        body = github(["method", *header], table.rows("**{}**"))
        parts += [f"## {where}{table.title}", body]
    return "\n\n".join([*parts, *notes]) + "\n"


def github(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, in which a | inside of a cell is no border."""
    cells = [[str(cell).replace("|", r"\|") for cell in row] for row in (header, *rows)]
    return tabulate(cells[1:], cells[0], tablefmt="github", disable_numparse=True)


def latex(found: Sequence[Table]) -> str:
    """For \\input: rates below their noise models, no character that old LaTeX lacks."""
    parts = ["% Needed in the preamble: \\usepackage{booktabs}", f"% {NOTE}"]
    for table in found:
        header = [x.model if x.rate is None else f"{x.rate:g}" for x in table.columns]
        # A mark that tabulate's escaping leaves alone.
        body = tabulate(
            table.rows("BOLD<{}>"), ["method", *header], tablefmt="latex_booktabs",
            disable_numparse=True,
        )  # fmt: skip
        body = body.replace(r"BOLD\ensuremath{<}", r"\textbf{").replace(r"\ensuremath{>}", "}")
        head, rule, rest = body.partition("\\toprule\n")
        parts += [f"% {table.title}", f"{head}{rule}{_heads(table.columns)}\n{rest}"]
    return "\n".join(parts).replace("±", r"$\pm$").replace("−", "$-$").replace("–", "--") + "\n"


def _heads(columns: Sequence[Column]) -> str:
    """A line above the header: data set and noise model over their columns."""
    cells, rules, place = [""], [], 2
    for (dataset, model), group in itertools.groupby(columns, lambda x: (x.dataset, x.model)):
        width = len(list(group))
        words = re.sub(r"([&%$#_{}])", r"\\\1", f"{dataset}, {model}")
        cells.append(rf"\multicolumn{{{width}}}{{l}}{{{words}}}")
        rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        place += width
    return f"{' & '.join(cells)} \\\\ {' '.join(rules)}"


def table_csv(entries: Sequence[Entry]) -> str:
    """A row for each run, unrounded."""
    columns = ["dataset", "noise", "method", "state", "n", "true_rate"]
    there = {name for entry in entries if entry.run for name in entry.run.detection}
    detection = [name for name in AREAS + DETECTION if name in there]
    for name in (*named(entries), *detection):
        columns += [f"{name}_mean", f"{name}_std"]
    text = io.StringIO()
    table = csv.DictWriter(text, [*columns, "folder", "command", "error"], lineterminator="\n")
    table.writeheader()
    for entry in entries:
        row = {"dataset": entry.dataset, "noise": entry.noise, "method": entry.method,
               "state": entry.state, "folder": entry.folder, "command": entry.command,
               "error": entry.error}  # fmt: skip
        if entry.run:
            row |= {"n": entry.run.n, "true_rate": entry.run.true_rate}
            both = entry.run.mean_and_std() | entry.run.detection
            for name, (mean, std) in both.items():
                row |= {f"{name}_mean": mean, f"{name}_std": std}
        table.writerow(row)
    return text.getvalue()
