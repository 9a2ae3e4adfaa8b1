"""The documents of a run: config.json, scores.json, scores.csv and scores.txt.

config.json says what the run is and how it was made; scores.json, written last, marks it as
finished.
"""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

from jaxnoise.config import Config, InputError
from jaxnoise.runs import files
from jaxnoise.scores import scoring

OF_A_RUN = ("config.json", "scores.json")
# The copy of the file of --user_code, from which a finished run is measured.
USER_CODE = "user_code.py"
# The facts of provenance that are objects with names.
_FACTS = ("versions", "device", "machine", "code", "environment")


def check_finished(folder: Path) -> None:
    """Raises InputError if a folder does not hold the documents of a finished run."""
    if not folder.is_dir():
        raise InputError(f"RUN_DIR={folder}: there is no such folder")
    missing = [name for name in OF_A_RUN if not (folder / name).is_file()]
    if missing:
        advice = "; the command that started it resumes it"
        if "config.json" in missing:
            depths = ("*", "*/*", "*/*/*")
            below = (path for depth in depths for path in folder.glob(f"{depth}/{OF_A_RUN[1]}"))
            run = next((path.parent for path in below), None)
            advice = f"; one of a finished run is {run}" if run else ""
        raise InputError(
            f"RUN_DIR={folder}: not the folder of a finished run: it has no {missing[0]}{advice}"
        )


def check_facts(facts: Any) -> None:
    """Raises ValueError if these are not facts of a session as `provenance.facts` returns them."""
    if not isinstance(facts, dict):
        raise ValueError("the facts of a session are not an object with names")
    for name in _FACTS:
        if not isinstance(facts.get(name, {}), dict):
            raise ValueError(f"its {name} is not an object with names")
    if not isinstance(facts.get("resumed_anyway", []), list):
        raise ValueError("its resumed_anyway is not a list")


def write_config(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """config.json: every flag as it was used, `resolved` defaults, facts of the run.

    Beside it goes the file of --user_code, as it is run.
    """
    flags = dataclasses.asdict(config) | {"net": config.network}
    own = {"user_code_sha256": config.user.sha256} if config.user_code else {}
    document = {"flags": flags, **resolved(config), **own, **facts}
    if own:
        files.write_text(folder / USER_CODE, config.user.source)
    files.write_text(folder / "config.json", json.dumps(document, indent=2) + "\n")


def resolved(config: Config) -> dict[str, dict[str, Any]]:
    """Settings with defaults that depend on others, and which a later version may change."""
    return {"hyperparameters": config.hyperparameters, "training": config.training_settings}


def sessions(folder: Path) -> list[dict[str, Any]]:
    """The facts of the sessions so far, from an interrupted run's config.json, the oldest first."""
    try:
        facts = files.read_json(folder / "config.json")
        found = [*facts.pop("earlier_sessions"), facts]
        del facts["flags"]
        for name in ("hyperparameters", "training", "user_code_sha256"):
            facts.pop(name, None)
        for session in found:
            check_facts(session)
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or damaged
        return []
    return found


def write_scores(folder: Path, report: scoring.Report) -> None:
    """scores.csv, scores.txt and, last because it marks the run as finished, scores.json."""
    text = io.StringIO()
    columns = ["repeat", *scoring.SCORES, "diverged_at_epoch"]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(report.rows())
    files.write_text(folder / "scores.csv", text.getvalue())
    files.write_text(folder / "scores.txt", report.text() + "\n")
    files.write_text(folder / "scores.json", json.dumps(report.document(), indent=2) + "\n")


def read_scores(folder: Path) -> dict[str, Any]:
    """The content of scores.json; raises InputError if it is damaged."""
    path = folder / "scores.json"
    try:
        return files.read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); --overwrite trains the run again") from error
