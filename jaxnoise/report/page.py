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
from jaxnoise.report import curves, plots
from jaxnoise.report.collection import DAMAGED, FINISHED, Entry, collect
from jaxnoise.report.figures import by_rate
from jaxnoise.report.tables import Table, in_words, latex, markdown, notes, table_csv, tables
from jaxnoise.runs import files
from jaxnoise.scores import divergence
from jaxnoise.scores.selection import SELECTIONS
from jaxnoise.terminal.progress import progress_bar

log = logging.getLogger("jaxnoise")

History = dict[str, np.ndarray]  # of history.npz, float (epochs, repeats) each
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
    try:
        out.mkdir(parents=True, exist_ok=True)
        pictures = _figures(entries, out)
        for name, text in (
            ("report.md", markdown(found, told)),
            ("report.tex", latex(found)),
            ("report.csv", table_csv(entries)),
            ("report.html", _page(results_dir, entries, found, told, pictures)),
        ):
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    return page


_MARK = '<meta name="generator" content="jaxnoise.report">'


def _figures(entries: Sequence[Entry], out: Path) -> dict[str, str]:
    """Saves the figures of each selection; returns them as SVG."""
    pictures = {}
    for name in progress_bar(_DRAWN, "drawing figures"):
        if figure := by_rate(entries, name):
            pictures[name] = svg(figure)
            save(figure, out / f"accuracy_by_rate_{name}")
    return pictures


def _page(
    results_dir: Path,
    entries: Sequence[Entry],
    found: Sequence[Table],
    told: Sequence[str],
    pictures: dict[str, str],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxnoise.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    reading = progress_bar(entries, "reading curves")
    histories = [_history(entry.folder) if entry.state == FINISHED else None for entry in reading]
    return environment.get_template("report.html.jinja").render(
        mark=_MARK,
        title=results_dir.resolve().name,
        states=Counter(entry.state for entry in entries),
        selections={name: selection.words for name, selection in SELECTIONS.items()},
        headline=HEADLINE,
        tables=found,
        notes=told,
        figures=pictures,
        datasets=sorted({entry.dataset for entry in entries}),
        noises=sorted({entry.noise for entry in entries}),
        all_states=sorted({entry.state for entry in entries}),
        cells=[_cell(*each) for each in zip(entries, histories, strict=True)],
        data=_for_script(entries, histories),
        bokeh=plots.script(),
    )


def _cell(entry: Entry, history: History | None) -> dict[str, Any]:
    """A row of the table of all runs; numbers to sort by beside the words."""
    accuracies = {}
    if entry.state == FINISHED and entry.run.n:
        accuracies = {name: mean for name, (mean, _) in entry.run.mean_and_std().items()}
    return {
        "entry": entry,
        "words": {name: in_words(entry, name) for name in SELECTIONS},
        "numbers": accuracies,
        "n": f"{entry.run.n} of {len(entry.run.survived)}"
        if entry.run and not entry.run.survived.all()
        else str(entry.run.n if entry.run else ""),
        "true_rate": f"{100 * entry.run.true_rate:.2f}" if entry.run else "",
        "memorized": _memorized(history) if history else None,
    }


def _for_script(entries: Sequence[Entry], histories: Sequence[History | None]) -> str:
    """What page.js reads: plots, and the details of each run, as JSON that can stand in HTML.

    Most lines of config.json are the same in many runs. So each line stands in `lines` once, and a
    run has their places there.
    """
    lines: dict[str, int] = {}
    runs = [
        {
            "title": f"{entry.method} · {entry.dataset} · {entry.noise}",
            "folder": str(entry.folder),
            "error": entry.error,
            "command": entry.command,
            "config": [lines.setdefault(line, len(lines)) for line in _config(entry.folder)],
            "curves": (drawn := curves.of_run(history, entry.folder) if history else {}),
            "over": divergence.averaged_in_words(divergence.epochs(history)) if drawn else "",
        }
        for entry, history in zip(entries, histories, strict=True)
    ]
    document = {"plots": plots.plots(), "lines": list(lines), "runs": runs}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")  # no </script> ends it


def _config(folder: Path) -> list[str]:
    """The lines of config.json; none if it is missing or damaged."""
    path = folder / "config.json"
    try:
        files.read_json(path)
        return path.read_text(encoding="utf-8").rstrip().split("\n")
    except (OSError, ValueError):
        return []


def _history(folder: Path) -> History | None:
    """What of history.npz is shown; None if it is missing or damaged."""
    try:
        return files.read_arrays(folder / "history.npz", curves.BY_EPOCH)
    except InputError:
        return None


def _memorized(history: History) -> float | None:
    """Percent of changed samples predicted as their label after the last epoch, mean of repeats."""
    values = np.float64(history.get("changed_as_noisy", ())[-1:])  # older runs have none
    return float(np.nanmean(values)) if np.isfinite(values).any() else None
