"""What scores.json, scores.csv and scores.txt say of a run."""

import csv
import os
import re

import numpy as np
import pytest

from jaxnoise.runs import documents, folders
from jaxnoise.scores import scoring, selection, variance

DRAW = {"seed": 0, "picked": 73, "changed": 61, "true_rate": 0.333333, "sha256": "0123456789abcdef"}
NOISE = {
    "noise": "uniform_noise 0.4",
    "requested_rate": 0.4,
    "true_rate": 0.333333,
    "draws": [DRAW],
}


def report(repeats=3, validation_labels="clean", draws=1, diverged=None, **changed):
    """Random scores, float32 as they come from the device."""
    diverged = np.zeros(repeats, int) if diverged is None else np.array(diverged)
    rng = np.random.default_rng(0)
    scores = {name: rng.uniform(0, 100, repeats).astype(np.float32) for name in scoring.SCORES}
    scores["best_epoch"] = np.array([3, 12, 7, 5, 20, 9])[:repeats]
    selected = {
        name: selection.Selected(
            np.where(diverged, np.nan, rng.uniform(0, 100, repeats)).astype(np.float32),
            np.where(diverged, 0, rng.integers(1, 30, repeats)) * (name != "last_ten"),
        )
        for name in selection.named(ema=False)
    }
    noise = NOISE | {"draws": [DRAW] * draws}
    return scoring.Report(scores | changed, selected, diverged, noise, validation_labels)


def table_rows(text, heading):
    """Cells of the table below a heading, by the label of the row."""
    lines = text.split(heading, 1)[1].splitlines()
    rows = {}
    for line in lines:
        cells = line.replace("(", " ").replace(")", " ").split()
        if cells and cells[0] in ("1", "2", "3", "mean", "std"):
            rows[cells[0]] = [float(x) for x in cells[1:]]
        elif rows and not line:
            return rows
    return rows


def test_scores_are_the_papers_seven_and_what_stands_beside_them():
    assert scoring.SCORES == (
        "train_noisy_accuracy", "train_accuracy", "valid_accuracy", "test_accuracy",
        "train_jacob", "test_jacob", "entropy", "last_test_accuracy", "best_epoch",
        "test_ece", "test_nll", "test_brier", "noise_auroc", "noise_aupr",
    )  # fmt: skip


@pytest.mark.parametrize("repeats", [1, 3])
def test_json_csv_and_txt_agree_with_numpy(tmp_path, repeats):
    said = report(repeats)
    documents.write_scores(tmp_path, said)

    document = documents.read_scores(tmp_path)
    assert document["noise"] == NOISE
    assert len(document["repeats"]) == repeats
    for i, row in enumerate(document["repeats"]):
        assert row == {name: float(said.scores[name][i]) for name in scoring.SCORES}
    for name in scoring.SCORES:
        values = said.scores[name].astype(np.float64)
        assert document["mean"][name] == np.mean(values)
        # The population's, as the paper's: one repeat has a deviation of 0, not NaN.
        assert document["std"][name] == np.sqrt(np.mean((values - values.mean()) ** 2))

    with open(tmp_path / "scores.csv", newline="") as file:
        table = list(csv.DictReader(file))
    numbered = [str(i + 1) for i in range(repeats)]
    assert [row.pop("repeat") for row in table] == [*numbered, "mean", "std", "n"]
    assert [row.pop("diverged_at_epoch") for row in table] == [""] * (repeats + 3)
    assert document["diverged_at_epoch"] == [None] * repeats and document["n"] == repeats
    assert set(table.pop().values()) == {str(repeats)}
    rows = [*document["repeats"], document["mean"], document["std"]]
    assert [{name: float(text) for name, text in row.items()} for row in table] == rows

    text = (tmp_path / "scores.txt").read_text()
    main, beside = table_rows(text, "noisy"), table_rows(text, "ece")
    for label, row in zip([*numbered, "mean", "std"], rows, strict=True):
        # Four significant digits.
        shown = [*main[label], *beside[label]]
        np.testing.assert_allclose(shown, list(row.values()), rtol=5e-4)
    assert document["variance"] is None and "variance" not in text
    text = " ".join(text.split())
    assert (
        "Noise (uniform_noise 0.4): 73 training labels picked, 61 changed: true rate 33.33 %, "
        "SHA-256 0123456789abcdef." in text
    )
    for about in document["about"].split("\n"):
        assert about in text


@pytest.mark.parametrize("repeats", [1, 3])
def test_selection_is_told_in_json_and_txt(repeats):
    said = report(repeats)
    document, shown = said.document()["selection"], table_rows(said.text(), "ORACLE:")
    assert list(document) == [
        "last", "last_ten", "best_noisy_valid", "best_clean_valid", "oracle_test",
    ]  # fmt: skip
    place = 0  # in a row; the mean of ten epochs has no epoch there
    for column, (name, told) in enumerate(document.items()):
        accuracy, epoch = said.selected[name]
        epochs = [x or None for x in epoch.tolist()]
        assert (set(epochs) == {None}) == (name == "last_ten")
        assert told == {
            "accuracy": accuracy.tolist(),
            "epoch": epochs,
            "mean": np.float64(accuracy).mean(),
            "std": np.float64(accuracy).std(),
            "n": repeats,
        }
        width = 1 if name == "last_ten" else 2
        for i in range(repeats):
            cells = shown[str(i + 1)][place : place + width]
            assert cells == [epoch[i], round(float(accuracy[i]), 2)][-width:]
        place += width
        assert shown["mean"][column] == round(told["mean"], 2)
        assert shown["std"][column] == round(told["std"], 2)


@pytest.mark.parametrize("labels", ["clean", "noisy"])
def test_headline_and_oracle_are_said_in_words(labels):
    said = report(validation_labels=labels)
    assert said.document()["headline"] == f"best_{labels}_valid"
    words = " ".join(said.text().split())
    assert f"Scores at the epoch with the best {labels} validation accuracy" in words
    assert (
        f"The scores above are taken at the epoch of the column best {labels} validation." in words
    )
    assert "ORACLE chooses the epoch on the test set: an upper bound, not a result" in words


def test_without_validation_the_scores_are_those_of_the_last_epoch_and_say_so(tmp_path):
    said = report(
        validation_labels=None, **dict.fromkeys(scoring.OF_VALIDATION, np.full(3, np.nan))
    )
    for name in ("best_noisy_valid", "best_clean_valid"):
        said.selected[name] = None
    documents.write_scores(tmp_path, said)
    document, text = documents.read_scores(tmp_path), (tmp_path / "scores.txt").read_text()
    assert document["headline"] == "last"
    assert [name for name, x in document["selection"].items() if x is None] == [
        "best_noisy_valid", "best_clean_valid",
    ]  # fmt: skip
    for row in (*document["repeats"], document["mean"], document["std"]):
        assert [name for name, x in row.items() if x is None] == list(scoring.OF_VALIDATION)
    rows = [line.split() for line in text.split("ORACLE:")[1].splitlines()]
    (mean,) = (row for row in rows[:12] if row[:1] == ["mean"] and len(row) == 6)
    assert mean[3:5] == ["–", "–"]
    words = " ".join(text.split())
    assert (
        "Scores at the last epoch: the run has no validation part (--validation_ratio=0)" in words
    )
    assert "The scores above are taken at the epoch of the column last epoch." in words
    assert "– marks what a run does not have" in words and "counted from 1" not in words
    assert max(map(len, text.splitlines())) <= 110


def test_a_report_without_the_mean_of_ten_epochs_is_as_older_ones_were():
    said = report()
    assert "last ten" in said.text() and "– marks" not in said.text()
    del said.selected["last_ten"]  # as `record` reads a run from before there was one
    assert "last_ten" not in said.document()["selection"]
    assert "last ten" not in said.text()


def test_what_is_not_a_number_is_null_and_a_dash():
    said = report(noise_auroc=np.full(3, np.nan), test_nll=np.array([1.0, np.inf, 2.0]))
    document = said.document()
    assert [row["noise_auroc"] for row in document["repeats"]] == [None] * 3
    assert document["mean"]["noise_auroc"] is None and document["std"]["test_nll"] is None
    assert [row["test_nll"] for row in document["repeats"]] == [1, None, 2]
    last_table = said.text().split("ece")[1]
    assert last_table.count("–") == 5 + 3


def test_a_repeat_that_diverged_is_marked_and_in_no_mean(tmp_path):
    said = report(diverged=[0, 4, 0])
    documents.write_scores(tmp_path, said)
    document, text = documents.read_scores(tmp_path), (tmp_path / "scores.txt").read_text()
    assert document["diverged_at_epoch"] == [None, 4, None] and document["n"] == 2
    assert document["repeats"][1] == dict.fromkeys(scoring.SCORES)
    for name in scoring.SCORES:
        survivors = said.scores[name][[0, 2]].astype(np.float64)
        assert document["mean"][name] == survivors.mean()
        assert document["std"][name] == survivors.std()
    for name, (accuracy, epoch) in said.selected.items():
        survivors = accuracy[[0, 2]].astype(np.float64)
        assert document["selection"][name] == {
            "accuracy": [float(accuracy[0]), None, float(accuracy[2])],
            "epoch": [epoch[0] or None, None, epoch[2] or None],
            "mean": survivors.mean(), "std": survivors.std(), "n": 2,
        }  # fmt: skip
    # In each of the three tables.
    assert len(re.findall(r"^ +2 +diverged +at epoch 4( +–)+$", text, re.M)) == 3
    assert "Mean and std (the population's) are over 2 of 3 repeats." in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 110
    with open(tmp_path / "scores.csv", newline="") as file:
        table = {row["repeat"]: row for row in csv.DictReader(file)}
    assert set(table["2"].values()) == {"2", "4", ""} and set(table["n"].values()) == {"n", "2", ""}
    assert table["2"]["diverged_at_epoch"] == "4" and table["1"]["diverged_at_epoch"] == ""


@pytest.mark.parametrize("draws", [1, 3])
def test_where_all_diverged_there_are_no_numbers(draws):
    said = report(draws=draws, diverged=[1, 2, 1])
    document = said.document()
    assert document["n"] == 0 and document["diverged_at_epoch"] == [1, 2, 1]
    nothing = dict.fromkeys(scoring.SCORES)
    assert [*document["repeats"], document["mean"], document["std"]] == [nothing] * 5
    assert {told["mean"] for told in document["selection"].values()} == {None}
    assert "are over 0 of 3 repeats" in " ".join(said.text().split())


def test_variance_is_that_of_the_repeats_that_did_not_diverge():
    said = report(6, draws=3, diverged=[0, 2, 0, 0, 0, 1])
    survivors = [0, 2, 3, 4]
    components = variance.components(said.scores["entropy"][survivors], np.array([0, 2, 0, 1]))
    assert said.document()["variance"]["std"]["entropy"] == components._asdict()
    for diverged in ([1] * 6, [0, 0, 1, 1, 1, 1]):
        std = report(6, draws=3, diverged=diverged).document()["variance"]["std"]
        assert std["entropy"] == {"noise": None, "training": None}
        assert report(6, draws=3, diverged=diverged).text()


def test_variance_is_split_where_draws_have_several_runs():
    said = report(6, draws=3)
    parts = said.document()["variance"]
    assert (parts["noise_draws"], parts["runs_per_draw"]) == (3, 2)
    for name in scoring.SCORES:
        components = variance.components(said.scores[name], np.arange(6) % 3)
        assert parts["std"][name] == components._asdict()
    text, std = " ".join(said.text().split()), parts["std"]["test_accuracy"]
    assert (
        f"std {std['noise']:.4g} between 3 noise draws, {std['training']:.4g} between the 2 repeats"
        in text
    )
    assert "Noise (uniform_noise 0.4): draw 3: 73 training labels picked" in text


def test_variance_is_not_split_where_every_run_has_its_draw():
    said = report(3, draws=3)
    expected = {"noise_draws": 3, "runs_per_draw": 1, "std": None}
    assert said.document()["variance"] == expected
    assert "so std covers noise, initialization and batch order together" in " ".join(
        said.text().split()
    )


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_variance_of_a_score_that_is_no_number_is_null(value):
    jacob = np.arange(6.0)
    jacob[4] = value
    said = report(6, draws=3, test_jacob=jacob, noise_auroc=np.full(6, value))
    std = said.document()["variance"]["std"]
    for name in ("test_jacob", "noise_auroc"):
        assert std[name] == {"noise": None, "training": None}
    assert None not in std["test_accuracy"].values()
    assert said.text()


def found(repeats=3, **changed):
    """Of thresholds and estimates; 0.5 and 0.7 in the first two repeats, and 0.6 in others."""
    values = np.array([0.5, 0.7, *[0.6] * (repeats - 2)])
    return dict.fromkeys(scoring.DETECTION, values) | changed


def test_what_thresholds_find_and_estimates_say_is_an_entry_and_three_lines():
    said = report()._replace(detection=found(anchor_rate=np.array([0.2, 0.3, np.nan])))
    entry = said.document()["detection"]
    assert list(entry) == ["mean", "std", "repeats"] and len(entry["repeats"]) == 3
    assert entry["mean"]["mixture_f1"] == pytest.approx(0.6)
    assert entry["std"]["mixture_f1"] == pytest.approx(np.std([0.5, 0.6, 0.7]))
    assert [row["anchor_rate"] for row in entry["repeats"]] == [0.2, 0.3, None]
    text = " ".join(said.text().split())
    assert (
        "Wrong labels found by their loss: precision = recall = F1 = 0.600 ± 0.082 if as many are "
        "called wrong as are, by a mixture of two Gaussians precision 0.600 ± 0.082, recall "
        "0.600 ± 0.082, F1 0.600 ± 0.082. "
        "Noise rate estimated, true 33.33 %: 60.0 ± 8.2 % by the mixture, 60.0 ± 8.2 % by "
        "confident learning. "
        "Transition matrix estimated, Σ_j |estimated − realized| as a mean over its rows, in "
        "[0, 2]: 0.600 ± 0.082 by confident learning, 0.600 ± 0.082 by anchor points."
    ) in text
    assert max(map(len, said.text().splitlines())) <= 110


def test_a_report_without_them_is_as_older_ones_were():
    assert "detection" not in report().document()
    assert "estimated" not in report().text() and "found by" not in report().text()
    assert report()._replace(detection=found()).rows() == report().rows()


def test_a_repeat_that_diverged_is_in_no_mean_of_them():
    entry = report(diverged=[0, 3, 0])._replace(detection=found()).document()["detection"]
    assert entry["repeats"][1] == dict.fromkeys(scoring.DETECTION)
    assert entry["mean"]["confident_rate"] == pytest.approx(0.55)
    said = report(diverged=[1, 1, 1])._replace(detection=found())
    assert set(said.document()["detection"]["mean"].values()) == {None}
    assert "estimated" not in said.text()


def test_without_noise_the_rate_alone_is_told():
    nothing = np.full(3, np.nan)
    without = {x: nothing for x in scoring.DETECTION if not x.endswith("_rate") or "true" in x}
    clean = report()._replace(detection=found(**without), noise=NOISE | {"true_rate": 0.0})
    told = clean.text().split("0123456789abcdef.\n\n")[1]
    assert " ".join(told.split()) == (
        "Noise rate estimated: 60.0 ± 8.2 % by the mixture, 60.0 ± 8.2 % by confident learning, "
        "60.0 ± 8.2 % by anchor points."
    )


def test_table_fits_a_terminal():
    assert max(map(len, report().text().splitlines())) <= 110


def test_scores_json_is_written_last(tmp_path, monkeypatch):
    written, replace = [], os.replace
    monkeypatch.setattr(
        folders.os, "replace", lambda *paths: (written.append(paths[1].name), replace(*paths))
    )
    assert not folders.finished(tmp_path)
    documents.write_scores(tmp_path, report())
    assert written == ["scores.csv", "scores.txt", "scores.json"]
    assert {path.name for path in tmp_path.iterdir()} == set(written)  # nothing .partial
    assert folders.finished(tmp_path)


def test_run_that_dies_while_it_writes_is_not_finished(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(folders.os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        documents.write_scores(tmp_path, report())
    assert not folders.finished(tmp_path)
