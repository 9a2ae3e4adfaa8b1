"""Wrong labels found and noise estimated, a row for each run, as tables for papers."""

from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from jaxnoise.report.collection import Entry, one_of_each
from jaxnoise.report.tables import github
from jaxnoise.scores.findings import WAYS, mean_and_std

NOTE = (
    "Mean ± std (the population's) over n repeats. Wrong labels are found by their loss: AUROC and "
    "AUPR are the areas under the ROC curve and the precision-recall curve. At the true rate, as "
    "many labels are called wrong as are, those of highest loss, so that precision, recall and F1 "
    "are equal; a mixture of two Gaussians needs no rate. The noise is estimated by this mixture, "
    "and from predictions for the validation part by confident learning and by anchor points. The "
    "distance of a transition matrix is Σ_j |estimated − realized| as a mean over its rows, in "
    "[0, 2]. – marks what a run does not have: what needs labels known to be wrong or a validation "
    "part, and, of an older run, all but the areas."
)
_FOUND = {
    "AUROC": "noise_auroc", "AUPR": "noise_aupr",
    "precision = recall = F1 at the true rate": "f1_at_true_rate",
    "precision, mixture": "mixture_precision", "recall, mixture": "mixture_recall",
    "F1, mixture": "mixture_f1",
}  # fmt: skip
_RATES = {f"rate by {words} (%)": f"{way}_rate" for way, words in WAYS.items()}
_MATRICES = {
    f"matrix by {words}, distance": f"{way}_matrix_error"
    for way, words in WAYS.items()
    if way != "mixture"
}


class Found(NamedTuple):
    """A table; every cell is text."""

    title: str
    header: list[str]
    rows: list[list[str]]


def found(entries: Sequence[Entry]) -> list[Found]:
    """What thresholds find, and what is estimated; without the runs that have nothing of it."""
    runs = [entry for entry in one_of_each(entries) if entry.run]
    both = (("Wrong labels found", _FOUND), ("Noise estimated", _RATES | _MATRICES))
    tables = []
    for title, columns in both:
        there = [x for x in runs if x.run.detection.keys() & set(columns.values())]
        if there:
            header = ["method", "data set", "noise", "n", "true rate (%)", *columns]
            tables.append(Found(title, header, [_row(entry, columns) for entry in there]))
    return tables


def _row(entry: Entry, columns: dict[str, str]) -> list[str]:
    run = entry.run
    cells = [
        mean_and_std(*run.detection[name], 100 if heading.endswith("(%)") else 1)
        if name in run.detection
        else "–"
        for heading, name in columns.items()
    ]
    rate = f"{100 * run.true_rate:.2f}"
    return [entry.method, entry.dataset, entry.noise, str(run.n), rate, *cells]


def markdown(tables: Sequence[Found]) -> str:
    """The tables, one below the other, and the note on them; empty without tables."""
    parts = [f"## {table.title}\n\n{github(table.header, table.rows)}" for table in tables]
    return "".join(f"\n{part}\n" for part in [*parts, NOTE]) if tables else ""


def latex(tables: Sequence[Found]) -> str:
    """The same for \\input, in characters that old LaTeX has; empty without tables."""
    parts = []
    for table in tables:
        body = tabulate(table.rows, table.header, tablefmt="latex_booktabs", disable_numparse=True)
        parts.append(f"% {table.title}\n{body}\n")
    return "".join(parts).replace("±", r"$\pm$").replace("–", "--")
