"""Checks of a finished run that need no net: whether its files agree with each other."""

import csv
import functools
import json
import math
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise.config import InputError, counted
from jaxnoise.labels import noise, noisy_dataset
from jaxnoise.labels.noisy_dataset import NoisyDataset, SplitDataset
from jaxnoise.runs import documents, files
from jaxnoise.runs.record import Record
from jaxnoise.runs.samples import write_suspects
from jaxnoise.scores import divergence
from jaxnoise.scores.scoring import number
from jaxnoise.scores.selection import select
from jaxnoise.training import measurement
from jaxnoise.verify.check import DIFFERENT, EQUAL, REFUSED, UNCHECKED, Check, compare, same, worst

# The first word of each row of the tables in scores.txt.
_ROW = re.compile(r"\d+|mean|std|n")


def settings(run: Record) -> Check:
    """Whether the settings in config.json have the fingerprint in the folder's name."""
    dataset, named = "config.json", re.search(r"-([0-9a-f]{8})$", run.folder.absolute().name)
    if not named:
        return Check(dataset, UNCHECKED, note="the folder's name does not end in a fingerprint")
    earlier = run.config.result_settings.keys() - run.flags.keys()
    if earlier:
        return Check(dataset, UNCHECKED, note=f"the run is older than the flag --{min(earlier)}")
    try:
        fingerprint = run.config.fingerprint
    except InputError as error:
        return Check(dataset, UNCHECKED, note=str(error))
    images = " and images" * run.config.dataset.startswith("folder:")
    note = f"its settings{images} have the fingerprint {fingerprint}, the folder's name {named[1]}"
    return same(dataset, fingerprint == named[1], note)


def data_set(run: Record, dataset: SplitDataset) -> Check:
    """Whether the pictures and true labels are those of the run."""
    recorded = run.facts.get("data_sha256")
    if recorded is None:
        return Check("data set", UNCHECKED, note="the run recorded no SHA-256 of it")
    note = f"its SHA-256 is {dataset.data_sha256[:16]}…, config.json says {recorded}"
    return same("data set", recorded == dataset.data_sha256, note)


def noise_files(
    run: Record, arrays: dict[str, np.ndarray], dataset: NoisyDataset
) -> Iterator[Check]:
    """Whether the labels in noise.npz agree with the other files and with the settings."""
    changed = all(
        np.array_equal(arrays[f"{part}changed"], arrays[f"{part}noisy"] != arrays[f"{part}clean"])
        and (arrays[f"{part}changed"] <= arrays[f"{part}picked"]).all()
        for part in ("", "valid_")
    )
    yield same(
        "noise.npz, changed",
        changed,
        "changed is not noisy != clean, or includes labels that were not picked",
    )

    train, valid = (
        of[: run.config.draws] for of in (dataset.noisy_labels, dataset.noisy_valid_labels)
    )
    summary = noise.summary(run.config, train)
    note = f"the labels in noise.npz have the SHA-256 {', '.join(x.sha256[:16] for x in train)}"
    yield same("noise in scores.json", agrees(run.document["noise"], summary), note)
    draws = [
        draw | {"valid": part.summary() if len(part.noisy) else None}
        for draw, part in zip(summary["draws"], valid, strict=True)
    ]
    try:
        document = files.read_json(run.folder / "noise.json")
    except (OSError, ValueError) as error:
        yield _refused("noise.json", error)
    else:
        yield same("noise.json", agrees(document, summary | {"draws": draws}), note)

    try:
        again = noisy_dataset.load(run.config)
    except InputError as error:
        yield Check("noise regenerated", UNCHECKED, note=str(error))
        return
    others = (*again.noisy_labels[: len(train)], *again.noisy_valid_labels[: len(train)])
    pairs = zip((*train, *valid), others, strict=True)
    differing = sum((labels.noisy != other.noisy).sum() for labels, other in pairs)
    note = f"{counted(differing, 'label')} other than those that the run's settings give here"
    yield same("noise regenerated", differing == 0, note)


def score_files(run: Record) -> Iterator[Check]:
    """Whether scores.json follows from its repeats, and scores.csv and scores.txt agree with it."""
    document = run.report.document()
    del document["about"]
    parts = [name for name in document if not agrees(run.document.get(name), document[name])]
    yield same("scores.json", not parts, f"not what its repeats give: {', '.join(parts)}")
    with tempfile.TemporaryDirectory() as made:
        documents.write_scores(Path(made), run.report)
        for name, cells in (("scores.csv", _csv_cells), ("scores.txt", _table_cells)):
            try:
                recorded, expected = (cells(of / name) for of in (run.folder, Path(made)))
            except (OSError, ValueError) as error:
                yield _refused(name, error)
            else:
                yield same(name, recorded == expected, "its numbers are not those in scores.json")


def history(run: Record, history: dict[str, np.ndarray]) -> Iterator[Check]:
    """Whether scores.json, the selections and metrics.jsonl agree with history.npz."""
    selected, survivors = select(history), functools.partial(divergence.of_survivors, history)
    best = selected[run.report.headline].epoch - 1
    yield worst(
        "scores.json, history.npz",
        (
            compare(name, run.report.scores[name], survivors(values))
            for name, values in measurement.of_history(history, best).items()
        ),
    )._replace(recorded="", recomputed="")
    diverged = run.report.diverged, divergence.epochs(history)
    # A repeat that did not diverge has no such epoch: NaN instead of 0.
    yield compare("diverged_at_epoch", *(np.where(x > 0, x, np.nan) for x in diverged))
    for name, recorded in run.report.selected.items():
        if recorded is None:  # by the run's settings; `score_files` finds it if scores.json has it
            continue
        both = (
            compare("its accuracy", recorded.accuracy, selected[name].accuracy),
            compare("its epoch", recorded.epoch, selected[name].epoch),
        )
        yield worst(f"{name}, history.npz", both)
    yield _metrics_lines(run, history)


def _metrics_lines(run: Record, history: dict[str, np.ndarray]) -> Check:
    """Whether metrics.jsonl has a line for each epoch, with its numbers."""
    name = "metrics.jsonl"
    try:
        lines = (run.folder / name).read_text(encoding="utf-8").splitlines()
        documents = [json.loads(line) for line in lines]
        epochs = [document["epoch"] for document in documents]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        return _refused(name, error)
    if epochs != list(range(1, run.config.epochs_num + 1)):
        return Check(name, DIFFERENT, note=_what_is_wrong(epochs, run.config.epochs_num))
    for epoch, document in enumerate(documents, start=1):
        expected = {metric: [number(x) for x in of[epoch - 1]] for metric, of in history.items()}
        if document != {"epoch": epoch, **expected}:
            note = f"the line of epoch {epoch} differs from history.npz"
            return Check(name, DIFFERENT, note=note)
    return Check(name, EQUAL)


def _what_is_wrong(epochs: list[Any], count: int) -> str:
    wanted = range(1, count + 1)
    for epoch in wanted:
        if (lines := epochs.count(epoch)) != 1:
            return f"it has {counted(lines, 'line') if lines else 'no line'} for epoch {epoch}"
    if len(epochs) > count:
        return f"it has {counted(len(epochs), 'line')} for {counted(count, 'epoch')}"
    return "its epochs are not in order"


def suspects(run: Record, dataset: NoisyDataset, samples: dict[str, np.ndarray]) -> Check:
    """Whether the lists of suspicious labels agree with samples.npz."""
    with tempfile.TemporaryDirectory() as made:
        write_suspects(Path(made), dataset, samples, votes=run.report.diverged == 0)
        recorded, expected = (
            {path.name: path.read_bytes() for path in of.glob("suspects*.csv")}
            for of in (run.folder, Path(made))
        )
    differing = sorted(
        name for name in recorded | expected if recorded.get(name) != expected.get(name)
    )
    note = f"not what samples.npz gives: {', '.join(differing)}"
    return same("suspects.csv", not differing, note)


def _refused(name: str, error: Exception) -> Check:
    reason = getattr(error, "strerror", None) or f"{error!r}"
    return Check(name, REFUSED, note=f"cannot be read: {reason}")


def agrees(recorded: Any, expected: Any) -> bool:
    """Whether a JSON document holds everything expected, numbers up to rounding."""
    if isinstance(expected, dict):
        return isinstance(recorded, dict) and all(
            name in recorded and agrees(recorded[name], value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(recorded, list)
            and len(recorded) == len(expected)
            and all(map(agrees, recorded, expected))
        )
    if isinstance(expected, float) and isinstance(recorded, int | float):
        return math.isclose(recorded, expected, rel_tol=1e-9, abs_tol=1e-12)
    return recorded == expected


def _csv_cells(path: Path) -> list[list[Any]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [[_cell(text) for text in row] for row in csv.reader(file)]


def _table_cells(path: Path) -> list[list[Any]]:
    """The rows of the tables, each named by a repeat's number, or mean or std."""
    lines = path.read_text(encoding="utf-8").splitlines()
    # They are indented; the text between them is not, and may begin a line with "mean".
    rows = [line.split() for line in lines if line.startswith(" ")]
    return [[_cell(text) for text in row] for row in rows if row and _ROW.fullmatch(row[0])]


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
