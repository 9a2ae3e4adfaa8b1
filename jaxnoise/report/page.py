"""A report: report.html with all runs of a results folder, tables and figures beside it."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from jaxnoise.config import InputError
from jaxnoise.figures.colours import Look
from jaxnoise.figures.drawing import own_style, save, svg
from jaxnoise.report import curves, detection, figures, made_by, plots, script_data
from jaxnoise.report.collection import DAMAGED, FINISHED, Entry, collect
from jaxnoise.report.script_data import History
from jaxnoise.report.tables import (
    Table,
    in_words,
    latex,
    markdown,
    named,
    notes,
    table_csv,
    tables,
)
from jaxnoise.runs import files
from jaxnoise.scores.selection import SELECTIONS, headline_name
from jaxnoise.terminal.progress import progress_bar

log = logging.getLogger("jaxnoise")

# What the page shows first: the selection behind the scores that main.py reports by default, or,
# if no run has it, the one behind the scores of runs without a validation part.
HEADLINE, WITHOUT_VALIDATION = headline_name("clean"), headline_name(None)


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
    found, told, wrong = tables(entries), notes(entries), detection.found(entries)
    try:
        out.mkdir(parents=True, exist_ok=True)
        shown = figures.looks(figures.able(entries))
        pictures = _figures(entries, shown, out)
        for name, text in (
            ("report.md", markdown(found, told) + detection.markdown(wrong)),
            ("report.tex", latex(found) + detection.latex(wrong)),
            ("report.csv", table_csv(entries)),
            ("report.html", _page(results_dir, entries, found, told, wrong, pictures, shown)),
        ):
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    return page


# Of the legend, as SVG: dashes of line styles, and outlines of marks around (0, 0).
_DASHES = {"-": "", "--": "6 3", "-.": "7 3 2 3", ":": "2 2.5"}
_MARKS = {
    "o": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "s": "M-3-3H3V3H-3Z",
    "^": "M0-4L3.5 3H-3.5Z",
    "v": "M0 4L3.5-3H-3.5Z",
    "D": "M0-4L4 0L0 4L-4 0Z",
    "P": "M-1.3-4H1.3V-1.3H4V1.3H1.3V4H-1.3V1.3H-4V-1.3H-1.3Z",
    "X": "M-4-2L-2-4L0-2L2-4L4-2L2 0L4 2L2 4L0 2L-2 4L-4 2L-2 0Z",
}

_MARK = '<meta name="generator" content="jaxnoise.report">'


def _figures(
    entries: Sequence[Entry], shown: Mapping[str, Look], out: Path
) -> dict[str, dict[str, str]]:
    """Saves the figures of each selection; returns them as SVG, by what they are against.

    In the page a legend beside the figures serves all of them; each file has one of its own.
    """
    pictures: dict[str, dict[str, str]] = {"rate": {}, "cost": {}}
    # The oracle's accuracies are not results.
    drawn = [name for name in named(entries) if name != "oracle_test"]
    for name in progress_bar(drawn, "drawing figures"):
        for kind, draw in (("rate", figures.by_rate), ("cost", figures.by_cost)):
            if figure := draw(entries, name, shown):
                pictures[kind][name] = svg(figure)
                figures.add_legend(figure)
                save(figure, out / f"accuracy_by_{kind}_{name}")
    return pictures


def _page(
    results_dir: Path,
    entries: Sequence[Entry],
    found: Sequence[Table],
    told: Sequence[str],
    wrong: Sequence[detection.Found],
    pictures: dict[str, dict[str, str]],
    shown: Mapping[str, Look],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxnoise.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The kinds of figures that have several panels.
    wide = {kind for kind, drawn in pictures.items() if 'id="axes_2"' in "".join(drawn.values())}
    reading = progress_bar(entries, "reading curves")
    histories = [_history(entry.folder) if entry.state == FINISHED else None for entry in reading]
    finished = [entry.run for entry in entries if entry.run]
    headline, names = HEADLINE, named(entries)
    if finished and not any(HEADLINE in run.accuracy for run in finished):
        headline = WITHOUT_VALIDATION
    return environment.get_template("report.html.jinja").render(
        mark=_MARK,
        title=results_dir.resolve().name,
        states=Counter(entry.state for entry in entries),
        selections={name: SELECTIONS[name].words for name in names},
        headline=headline,
        tables=found,
        notes=told,
        wrong=wrong,
        wrong_note=detection.NOTE,
        made=made_by.lines(entries),
        commands=made_by.commands(entries),
        figures=pictures,
        looks=shown,
        wide=wide,
        alone=wide | {"cost"},  # shown for the chosen selection alone, to save room
        dashes=_DASHES,
        marks=_MARKS,
        methods=list(dict.fromkeys(entry.method for entry in entries)),
        plain=next((table.less for table in found if table.less), None),
        datasets=sorted({entry.dataset for entry in entries}),
        noises=sorted({entry.noise for entry in entries}),
        all_states=sorted({entry.state for entry in entries}),
        cells=[_cell(*each, names) for each in zip(entries, histories, strict=True)],
        data=script_data.text(entries, histories),
        bokeh=plots.script(),
    )


def _cell(entry: Entry, history: History | None, names: Sequence[str]) -> dict[str, Any]:
    """A row of the table of all runs; numbers to sort by beside the words."""
    accuracies = {}
    if entry.state == FINISHED and entry.run.n:
        accuracies = {name: mean for name, (mean, _) in entry.run.mean_and_std().items()}
    return {
        "entry": entry,
        "words": {name: in_words(entry, name) for name in names},
        "numbers": accuracies,
        "n": f"{entry.run.n} of {len(entry.run.survived)}"
        if entry.run and not entry.run.survived.all()
        else str(entry.run.n if entry.run else ""),
        "true_rate": f"{100 * entry.run.true_rate:.2f}" if entry.run else "",
        "memorized": _memorized(history) if history else None,
    }


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
