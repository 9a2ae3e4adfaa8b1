"""What the script of a page reads: details of each run, curves, and repeats to compare, as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise.report import curves, plots
from jaxnoise.report.collection import Entry, one_of_each
from jaxnoise.runs import documents, files
from jaxnoise.runs.pairs import Run, unpaired_because
from jaxnoise.scores import divergence
from jaxnoise.scores.intervals import t_quantile

History = dict[str, np.ndarray]  # of history.npz, float (epochs, repeats) each


def text(entries: Sequence[Entry], histories: Sequence[History | None]) -> str:
    """A JSON document that can stand in HTML.

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
            "scores": _scores(entry),
            "curves": (drawn := curves.of_run(history, entry.folder) if history else {}),
            "over": divergence.averaged_in_words(divergence.epochs(history)) if drawn else "",
        }
        for entry, history in zip(entries, histories, strict=True)
    ]
    document = {
        "plots": plots.plots(),
        "lines": list(lines),
        "runs": runs,
        "compared": _compared(entries),
    }
    found = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return found.replace("<", "\\u003c")  # no </script> ends it


def _config(folder: Path) -> list[str]:
    """The lines of config.json; none if it is missing or damaged."""
    path = folder / "config.json"
    try:
        files.read_json(path)
        return path.read_text(encoding="utf-8").rstrip().split("\n")
    except (OSError, ValueError):
        return []


def _scores(entry: Entry) -> list[list[str]]:
    """Name, mean and std of each score of a finished run."""
    if not entry.run:
        return []
    try:
        document = documents.read_scores(entry.folder)
        both = zip(document["mean"].items(), document["std"].values(), strict=True)
        return [[name, f"{x:.4g}", f"{std:#.2g}"] for (name, x), std in both if x is not None]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _compared(entries: Sequence[Entry]) -> dict[str, Any]:
    """What differences from any method need: the repeats' accuracies of all runs that can be pairs.

    Runs whose repeats of equal number are pairs have one `kind`. `t` has the quantiles of the
    t distribution for intervals of 95 %, for 1, 2, … degrees of freedom.
    """
    runs, firsts = [], []
    for entry in one_of_each(entries):
        if not entry.run:
            continue
        accuracy = {
            name: [round(float(x), 4) if np.isfinite(x) else None for x in values]
            for name, values in entry.run.accuracy.items()
        }
        runs.append(
            {
                "method": entry.method,
                "dataset": entry.dataset,
                "noise": entry.noise,
                "kind": _kind(entry.run, firsts),
                "accuracy": accuracy,
            }
        )
    longest = max((len(run["accuracy"]["last"]) for run in runs), default=0)
    return {"runs": runs, "t": [round(t_quantile(n), 6) for n in range(1, max(longest, 2))]}


def _kind(run: Run, firsts: list[Run]) -> int:
    """The place of the first run that this one can be paired with; itself, if there is none."""
    for place, first in enumerate(firsts):
        if unpaired_because(run, first) is None:
            return place
    firsts.append(run)
    return len(firsts) - 1
