"""A report: report.html with all runs of a results folder, tables and figures beside it."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from jaxnoise.config import InputError
from jaxnoise.figures.drawing import own_style, save, svg
from jaxnoise.report.collection import DAMAGED, FINISHED, Entry, collect
from jaxnoise.report.figures import by_rate, curves
from jaxnoise.report.tables import Table, in_words, latex, markdown, notes, table_csv, tables
from jaxnoise.runs import files
from jaxnoise.scores.selection import SELECTIONS

log = logging.getLogger("jaxnoise")

# The selection behind the scores that main.py reports by default.
HEADLINE = "best_clean_valid"
# The oracle's accuracies are not results.
_DRAWN = [name for name in SELECTIONS if name != "oracle_test"]


@own_style()
def write(results_dir: Path, out: Path) -> Path:
    """Writes all files of a report, replacing those of an earlier one; returns the page.

    Damaged runs are marked in it, and logged as warnings.

    Raises:
      InputError: there is no run in `results_dir`, or `out` cannot be written or holds another
        program's files of these names.
    """
    page = out / "report.html"
    if page.exists() and _MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"--out={out}: {page} is not a report; allowed is a folder without it")
    entries = collect(results_dir)
    for entry in entries:
        if entry.state == DAMAGED:
            log.warning("Warning: %s", entry.error)
    found, told = tables(entries), notes(entries)
    drawn = {name: by_rate(entries, name) for name in _DRAWN}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("report.md", markdown(found, told)),
            ("report.tex", latex(found)),
            ("report.csv", table_csv(entries)),
            ("report.html", _page(results_dir, entries, found, told, drawn)),
        ):
            (out / name).write_text(text, encoding="utf-8")
        for name, figure in drawn.items():
            if figure:
                save(figure, out / f"accuracy_by_rate_{name}")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    return page


_MARK = '<meta name="generator" content="jaxnoise.report">'


def _page(
    results_dir: Path,
    entries: Sequence[Entry],
    found: Sequence[Table],
    told: Sequence[str],
    drawn: dict[str, Any],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxnoise.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        mark=_MARK,
        title=results_dir.resolve().name,
        states=Counter(entry.state for entry in entries),
        selections={name: selection.words for name, selection in SELECTIONS.items()},
        headline=HEADLINE,
        tables=found,
        notes=told,
        figures={name: svg(figure) for name, figure in drawn.items() if figure},
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
    figure = curves(history, entry.folder) if history else None
    try:
        config = json.dumps(files.read_json(entry.folder / "config.json"), indent=2)
    except (OSError, ValueError):
        config = ""
    return {
        "entry": entry,
        "words": {name: in_words(entry, name) for name in SELECTIONS},
        "numbers": accuracies,
        "n": f"{entry.run.n} of {len(entry.run.survived)}"
        if entry.run and not entry.run.survived.all()
        else str(entry.run.n if entry.run else ""),
        "true_rate": f"{100 * entry.run.true_rate:.2f}" if entry.run else "",
        "memorized": _memorized(history) if history else None,
        "figure": svg(figure) if figure else "",
        "config": config,
    }


def _history(folder: Path) -> dict[str, np.ndarray] | None:
    """history.npz; None if it is missing or damaged."""
    try:
        return files.read_arrays(folder / "history.npz")
    except InputError:
        return None


def _memorized(history: dict[str, np.ndarray]) -> float | None:
    """Percent of changed samples predicted as their label after the last epoch, mean of repeats."""
    values = np.float64(history["changed_as_noisy"][-1]) if "changed_as_noisy" in history else []
    return float(np.nanmean(values)) if np.isfinite(values).any() else None
