"""All runs of a results folder on one page, and as tables for papers: a command of its own.

python -m jaxnoise.report RESULTS_DIR writes report.html, which needs nothing beside it, report.md,
.csv and .tex, and accuracy_by_rate_*.png and .pdf into RESULTS_DIR/report, or into --out.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from jaxnoise import documents, figures, report_figures, report_tables, run_collection
from jaxnoise.config import InputError
from jaxnoise.exits import CommandParser, complain
from jaxnoise.run_collection import FINISHED, Entry
from jaxnoise.selection import SELECTIONS

# What main.py makes the scores of, unless told otherwise.
HEADLINE = "best_clean_valid"
# The oracle's accuracies are no results.
_DRAWN = [name for name in SELECTIONS if name != "oracle_test"]


def write(results_dir: Path, out: Path) -> Path:
    """Writes all files of a report, replacing those of an earlier one; returns the page.

    Raises:
      InputError: there is no run in `results_dir`, or `out` cannot be written or holds another
        program's files of these names.
    """
    page = out / "report.html"
    if page.exists() and _MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"--out={out}: {page} is no report; allowed is a folder without it")
    entries = run_collection.collect(results_dir)
    tables = report_tables.tables(entries)
    by_rate = {name: report_figures.by_rate(entries, name) for name in _DRAWN}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("report.md", report_tables.markdown(tables)),
            ("report.tex", report_tables.latex(tables)),
            ("report.csv", report_tables.table_csv(entries)),
            ("report.html", _page(results_dir, entries, tables, by_rate)),
        ):
            (out / name).write_text(text, encoding="utf-8")
        for name, figure in by_rate.items():
            if figure:
                figures.save(figure, out / f"accuracy_by_rate_{name}")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    return page


_MARK = '<meta name="generator" content="jaxnoise.report">'


def _page(
    results_dir: Path,
    entries: Sequence[Entry],
    tables: Sequence[report_tables.Table],
    by_rate: dict[str, Any],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxnoise"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html.jinja").render(
        mark=_MARK,
        title=results_dir.resolve().name,
        states=Counter(entry.state for entry in entries),
        selections={name: selection.words for name, selection in SELECTIONS.items()},
        headline=HEADLINE,
        tables=tables,
        note=report_tables.NOTE,
        figures={name: report_figures.svg(figure) for name, figure in by_rate.items() if figure},
        datasets=sorted({entry.dataset for entry in entries}),
        noises=sorted({entry.noise for entry in entries}),
        all_states=sorted({entry.state for entry in entries}),
        cells=[_cell(entry) for entry in entries],
    )


def _cell(entry: Entry) -> dict[str, Any]:
    """What the page shows of a run; numbers to sort by beside the words."""
    accuracies = {}
    if entry.state == FINISHED and entry.run.n:
        accuracies = {name: mean for name, (mean, _) in entry.run.mean_and_std().items()}
    history = _history(entry.folder) if entry.state == FINISHED else None
    figure = report_figures.curves(history, entry.folder) if history else None
    try:
        config = json.dumps(documents.read(entry.folder / "config.json"), indent=2)
    except (OSError, ValueError):
        config = ""
    return {
        "entry": entry,
        "words": {name: report_tables.in_words(entry, name) for name in SELECTIONS},
        "numbers": accuracies,
        "n": f"{entry.run.n} of {len(entry.run.survived)}"
        if entry.run and not entry.run.survived.all()
        else str(entry.run.n if entry.run else ""),
        "true_rate": f"{100 * entry.run.true_rate:.2f}" if entry.run else "",
        "memorized": _memorized(history) if history else None,
        "figure": report_figures.svg(figure) if figure else "",
        "config": config,
    }


def _history(folder: Path) -> dict[str, np.ndarray] | None:
    """history.npz; None if it is missing or damaged."""
    try:
        # Opened here, since NumPy leaves a damaged archive open.
        with open(folder / "history.npz", "rb") as file, np.load(file) as archive:
            return dict(archive)
    except Exception:  # each kind of damage raises another type
        return None


def _memorized(history: dict[str, np.ndarray]) -> float | None:
    """Percent of changed samples predicted as labelled after the last epoch, mean of repeats."""
    values = np.float64(history["changed_as_noisy"][-1]) if "changed_as_noisy" in history else []
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("report", __doc__)
    parser.add_argument("results_dir", metavar="RESULTS_DIR", type=Path, help="of main.py or sweep")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: RESULTS_DIR/report)"
    )
    arguments = parser.parse_args(argv)
    try:
        page = write(arguments.results_dir, arguments.out or arguments.results_dir / "report")
    except InputError as error:
        return complain(error)
    print(f"Written: {page}, and tables and figures beside it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
