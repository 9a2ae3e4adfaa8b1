"""Runs side by side: the numbers, what cannot be paired, and the files."""

import csv
import json
import re

import numpy as np
import pytest
import scipy.stats

from jaxnoise import compare as compare_command
from jaxnoise.config import Config, InputError
from jaxnoise.report import collection, comparison
from jaxnoise.runs import documents
from jaxnoise.runs.history import write_history
from jaxnoise.scores import scoring, selection
from jaxnoise.scores.intervals import paired_difference
from jaxnoise.sweep import plans
from jaxnoise.sweep.grid import PlannedRun

DRAW = {"seed": 0, "picked": 40, "changed": 36, "true_rate": 0.36, "sha256": "0123456789abcdef"}
NOISE = {"noise": "uniform_noise 0.4", "true_rate": 0.36, "draws": [DRAW]}
ACCURACIES = {"first": [80.0, 82.0, 84.0], "second": [85.0, 86.0, 90.0]}


@pytest.fixture
def make_run(tmp_path):
    """Writes a finished run as an experiment does and returns its folder."""

    def make(name, accuracy, data_sha256=None, **settings):
        folder = tmp_path / name
        folder.mkdir()
        config = Config(**{"dataset": "digits", "total_repeats": len(accuracy)} | settings)
        documents.write_config(folder, config, {"data_sha256": data_sha256})
        accuracy = np.float32(accuracy)
        ema = config.ema_decay is not None
        there = selection.existing(
            validated=config.best_by is not None, epochs=config.epochs_num, ema=ema
        )
        selected = {  # each selection's accuracies differ from the others'
            name: selection.Selected(accuracy - i, np.ones(len(accuracy), int))
            if name in there
            else None
            for i, name in enumerate(selection.named(ema=ema))
        }
        scores = {name: np.zeros(len(accuracy)) for name in scoring.SCORES}
        diverged = np.isnan(accuracy).astype(int)
        report = scoring.Report(scores, selected, diverged, NOISE, config.best_by)
        documents.write_scores(folder, report)
        return folder

    return make


@pytest.fixture
def two(make_run):
    return [
        make_run("first", ACCURACIES["first"]),
        make_run("second", ACCURACIES["second"], wd_coef=1e-4, do_sn=True),
    ]


def csv_rows(folder):
    with open(folder / "comparison.csv", newline="") as file:
        return list(csv.DictReader(file))


# The interval


def test_interval_is_the_paired_t_tests():
    a, b = np.random.default_rng(0).normal(size=(2, 7))
    expected = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    found = paired_difference(a - b)
    assert found == pytest.approx(((a - b).mean(), expected.low, expected.high), rel=1e-12)


def test_interval_by_hand():
    # Differences 1 and 3: mean 2, s = √2, s/√2 = 1, t(0.975, 1) = 12.706.
    assert paired_difference(np.array([1.0, 3.0])) == pytest.approx(
        (2, 2 - 12.7062, 2 + 12.7062), abs=1e-4
    )


def test_interval_of_equal_differences_is_a_point():
    assert paired_difference(np.full(3, 1.5)) == (1.5, 1.5, 1.5)


def test_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [
        low <= 1 <= high for _, low, high in map(paired_difference, rng.normal(1, 2, (2000, 5)))
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 2000))


# The table


def test_table_tells_runs_and_differences(two):
    told = comparison.compare(two)
    lines = [re.split(r"\s{2,}", line.strip()) for line in told.splitlines()]
    assert lines[0] == [
        "run", "do_sn", "wd_coef", "true rate (%)", "last epoch",
        "mean of the last ten epochs", "best noisy validation", "best clean validation",
        "ORACLE: best test", "n",
    ]  # fmt: skip
    first, second, difference = lines[2:5]
    assert first[:5] == ["1", "False", "0.0", "36.00", "82.00 ± 1.63"] and first[-1] == "3"
    assert second[:5] == ["2", "True", "0.0001", "36.00", "87.00 ± 2.16"]
    # Differences 5, 4, 6: mean 5, s = 1, t(0.975, 2)/√3 = 2.484; the same for all five here.
    assert difference == ["2 − 1", *["+5.00 [+2.52, +7.48]"] * 5, "3"]
    assert "All runs: --dataset=digits --net=lenet" in told
    assert f"Run 1: {two[0]}" in told and f"Run 2: {two[1]}" in told
    assert "ORACLE chooses the epoch on the test set: an upper bound, not a result" in told
    assert "paired t" in told


def test_csv_has_the_unrounded_numbers(two):
    comparison.compare(two)
    first, second = csv_rows(two[0].parent)
    for row, name in ((first, "first"), (second, "second")):
        assert float(row["last_mean"]) == np.mean(ACCURACIES[name])
        assert float(row["last_std"]) == np.std(ACCURACIES[name])
        assert float(row["oracle_test_mean"]) == np.mean(ACCURACIES[name]) - 4
        assert row["n"] == "3" and float(row["true_rate"]) == 0.36
    assert second["do_sn"] == "True" and second["noise_type"] == "uniform_noise"
    difference = paired_difference(np.array([5.0, 4.0, 6.0]))
    for name in selection.named(ema=False):
        for key, value in difference._asdict().items():
            assert float(second[f"{name}_less_run_1_{key}"]) == value
            assert first[f"{name}_less_run_1_{key}"] == ""


def older(folder, epochs=None):
    """The run from before `last_ten` was recorded; with so many epochs, all like the last one."""
    document = json.loads((folder / "scores.json").read_text())
    del document["selection"]["last_ten"]
    (folder / "scores.json").write_text(json.dumps(document))
    if epochs:
        last = np.float32(document["selection"]["last"]["accuracy"])
        write_history(folder, {"test_accuracy": np.tile(last, (epochs, 1))})
    return folder


def test_an_older_run_has_the_mean_of_ten_epochs_that_its_history_gives(two):
    older(two[0], epochs=30)
    told = comparison.compare(two)
    first, second, difference = (
        re.split(r"\s{2,}", line.strip()) for line in told.splitlines()[2:5]
    )
    assert first[4:6] == ["82.00 ± 1.63"] * 2 and "– marks" not in told
    # The other run's is 1 lower than its last epoch's.
    assert difference[1:3] == ["+5.00 [+2.52, +7.48]", "+4.00 [+1.52, +6.48]"]


@pytest.mark.parametrize("epochs", [None, 29])
def test_an_older_run_without_its_history_has_no_mean_of_ten_epochs(epochs, two):
    older(two[0], epochs)
    told = comparison.compare(two)
    first, second, difference = (
        re.split(r"\s{2,}", line.strip()) for line in told.splitlines()[2:5]
    )
    assert first[4:7] == ["82.00 ± 1.63", "–", "80.00 ± 1.63"]
    assert second[5] == "86.00 ± 2.16"
    assert difference == ["2 − 1", "+5.00 [+2.52, +7.48]", "–", *["+5.00 [+2.52, +7.48]"] * 3, "3"]
    assert "– marks what a run does not have" in told
    rows = csv_rows(two[0].parent)
    assert rows[0]["last_ten_mean"] == rows[1]["last_ten_less_run_1_mean"] == ""
    assert float(rows[1]["last_ten_mean"]) == 86


def test_an_average_of_weights_has_a_column_where_a_run_has_one(make_run, two):
    words = selection.SELECTIONS["ema_last"].words
    assert words not in comparison.compare(two)
    assert not [name for name in csv_rows(two[0].parent)[0] if name.startswith("ema_last")]
    third = make_run("third", ACCURACIES["second"], ema_decay=0.9)
    told = comparison.compare([*two, third], out=two[0].parent / "more")
    header, *rows = (
        re.split(r"\s{2,}", line.strip()) for line in told.splitlines() if line[:2] != "--"
    )
    place = header.index(words)
    assert [row[place] for row in rows if row[0] in ("1", "2", "3")] == ["–", "–", "85.00 ± 2.16"]
    assert "the EMA of the weights requires --ema_decay." in told
    assert "Run 3: EMA of the weights minus last epoch, of the same repeats: −2.00 [" in told
    assert told.count("minus last epoch") == 1
    rows = csv_rows(two[0].parent / "more")
    assert [row["ema_last_mean"] for row in rows] == ["", "", "85.0"]


def test_runs_with_and_without_validation_side_by_side_are_no_pairs(make_run):
    folders = [
        make_run("with", ACCURACIES["first"]),
        make_run("without", ACCURACIES["second"], validation_ratio=0.0),
        make_run("as well", ACCURACIES["second"], validation_ratio=0.0, wd_coef=1e-4),
    ]
    told = comparison.compare(folders[:2])
    second = re.split(r"\s{2,}", told.splitlines()[3].strip())
    assert second[-6:] == ["87.00 ± 2.16", "86.00 ± 2.16", "–", "–", "83.00 ± 2.16", "3"]
    assert "Run 2 cannot be paired with run 1: --validation_ratio is 0.0, in run 1" in told
    assert "– marks what a run does not have" in told
    told = comparison.compare(folders[1:], folders[0].parent / "out")
    difference = re.split(r"\s{2,}", told.splitlines()[4].strip())
    zero = "+0.00 [+0.00, +0.00]"
    assert difference == ["2 − 1", zero, zero, "–", "–", zero, "3"]


def test_markdown_and_latex_are_tables(two, tmp_path):
    comparison.compare(two, tmp_path / "out")
    markdown = (tmp_path / "out" / "comparison.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 5 and len({row.count("|") for row in rows}) == 1
    latex = (tmp_path / "out" / "comparison.tex").read_text()
    assert r"87.00 $\pm$ 2.16" in latex and r"do\_sn" in latex and r"\toprule" in latex
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert "\n".join(body).isascii() and "\n 2 $-$ 1 " in latex
    assert len({line.count("&") for line in body if line.endswith(r"\\")}) == 1
    comparison.compare(two, tmp_path / "back", two[1])
    latex = (tmp_path / "back" / "comparison.tex").read_text()
    assert re.search(r" \$-\$\d.* \[\$-\$\d", latex) and not re.search(r"& -\d", latex)


def test_repeats_that_one_run_has_more_of_have_no_pair(make_run):
    folders = [make_run("two", [80, 82]), make_run("three", [85, 86, 99])]
    comparison.compare(folders)
    _, second = csv_rows(folders[0].parent)
    assert (second["n"], second["pairs"]) == ("3", "2")
    assert float(second["last_less_run_1_mean"]) == 4.5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seed": 1}, "--seed is 1, in run 1 it is 0"),
        ({"noise_seed": 7}, "--noise_seed is 7, in run 1 it is 0"),
        ({"dataset": "mnist"}, "--dataset is mnist, in run 1 it is digits"),
        ({"train_size": 100}, "--train_size is 100, in run 1 it is 0"),
        ({"split_seed": 5}, "--split_seed is 5, in run 1 it is 0"),
        ({"noise_file": "labels.npy"}, "--noise_file is labels.npy, in run 1 it is None"),
        ({"noise_draws": 2}, "--noise_draws is 2, in run 1 it is 1"),
        ({"noise_per_repeat": True}, "--noise_per_repeat is True, in run 1 it is False"),
    ],
)
def test_runs_that_cannot_be_paired_are_told_why(settings, said, make_run):
    folders = [make_run("first", [80, 82]), make_run("other", [85, 86], **settings)]
    told = comparison.compare(folders)
    assert f"Run 2 cannot be paired with run 1: {said}." in told
    assert "−" not in told and "paired t" not in told
    assert "pairs" not in csv_rows(folders[0].parent)[1]


def test_a_single_pair_has_no_interval(make_run):
    told = comparison.compare([make_run("first", [80]), make_run("second", [85, 86])])
    assert "Run 2 cannot be paired with run 1: a single pair has no spread." in told


# The baseline


def baseline_of(told):
    """Folder of run 1, and why it is the baseline."""
    ((folder, because),) = re.findall(
        r"^Run 1: (.*)\n(?:Run \d+: .*\n)*Run 1 is the baseline: (.*)\.$", told, re.M
    )
    return folder, because


def test_the_only_run_without_a_regularizer_is_the_baseline_wherever_it_stands(two, make_run):
    third = make_run("third", [70.0, 71.0, 72.0], loss="mae", epochs_num=7)
    plain, smooth = two
    for folders in ([plain, smooth, third], [third, plain, smooth], [smooth, third, plain]):
        told = comparison.compare(folders, plain.parent / folders[0].name / "out")
        assert baseline_of(told) == (str(plain), "it alone has no regularizer, loss or method")
        others = [folder for folder in folders if folder != plain]
        assert [f"Run {i}: {x}" in told for i, x in enumerate(others, start=2)] == [True, True]
        (row,) = (
            row for row in csv_rows(plain.parent / folders[0].name / "out")
            if row["folder"] == str(smooth)
        )  # fmt: skip
        assert float(row["last_less_run_1_mean"]) == 5


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        ([{}, {"epochs_num": 7}], "several"),
        ([{"wd_coef": 1e-4}, {"method": "mixup"}], "none"),
        ([{"loss": "gce"}, {"preset": "paper"}], "none"),
        ([{"jacob_mode": "exact"}, {"jacob_start_epoch": 3}], "several"),
    ],
)
def test_else_the_first_is_the_baseline(settings, number, make_run):
    folders = [make_run(f"{i}", [80.0, 81], **some) for i, some in enumerate(settings)]
    for given in (folders, folders[::-1]):
        told = comparison.compare(given, given[0] / "out")
        reason = f"it was given first, and {number} of the runs are without regularizer"
        assert baseline_of(told) == (str(given[0]), reason)


def test_a_baseline_may_be_named_among_the_runs_or_beside_them(two, make_run, capsys, tmp_path):
    third = make_run("third", [70.0, 71.0, 72.0], seed=4, do_sn=True)
    same = two[1] / ".." / "second"
    for named, runs in ((same, 2), (third, 3)):
        out = tmp_path / named.name / "out"
        arguments = [*map(str, two), f"--baseline={named}", f"--out={out}"]
        assert compare_command.main(arguments) == 0
        told = capsys.readouterr().out
        assert baseline_of(told) == (str(named), "--baseline names it")
        assert len(csv_rows(out)) == runs
    assert told.count("cannot be paired with run 1: --seed is 0, in run 1 it is 4") == 2
    assert compare_command.main([*map(str, two), "--baseline=none"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: --baseline=none: allowed are {two[0]}, {two[1]}, or the folder")


def test_rows_have_the_names_of_the_sweep_that_planned_them(make_run, tmp_path):
    settings = dict(dataset="digits", total_repeats=3, results_dir=str(tmp_path))
    planned = [
        PlannedRun("cross-entropy", Config(**settings)),
        PlannedRun("SN & more", Config(**settings, do_sn=True)),
    ]
    plans.write(planned)
    entries = {}
    for run in planned:
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        made = make_run("made", ACCURACIES["first"], do_sn=run.config.do_sn)
        entries[run.name] = made.rename(run.folder)
    unplanned = make_run("unplanned", ACCURACIES["second"], wd_coef=1e-4)
    folders = [*entries.values(), unplanned]
    told = comparison.compare(folders, tmp_path / "out")
    lines = [re.split(r"\s{2,}", line.strip()) for line in told.splitlines()]
    assert lines[0][:2] == ["run", "name"]
    assert [row[1] for row in lines if row[0] in ("1", "2", "3")] == [*entries, "–"]
    assert [row["name"] for row in csv_rows(tmp_path / "out")] == [*entries, ""]
    assert r"SN \& more" in (tmp_path / "out" / "comparison.tex").read_text()
    shown = {entry.folder: entry.method for entry in collection.collect(tmp_path)}
    assert shown == {folder: name for name, folder in entries.items()}
    assert "name" not in comparison.compare([unplanned]).splitlines()[0]


NAN = float("nan")


def test_repeats_that_diverged_are_left_out_with_their_pairs(make_run):
    folders = [make_run("first", [80, NAN, 84, 90]), make_run("second", [85, 86, 91, NAN])]
    told = comparison.compare(folders)
    lines = [re.split(r"\s{2,}", line.strip()) for line in told.splitlines()]
    assert lines[2][2:4] == ["84.67 ± 4.11", "83.67 ± 4.11"] and lines[2][-1] == "3 of 4"
    assert lines[3][2] == "87.33 ± 2.62" and lines[3][-1] == "3 of 4"
    # Left are 85 - 80 and 91 - 84.
    assert paired_difference(np.array([5.0, 7.0])).low == pytest.approx(-6.71, abs=0.005)
    assert lines[4] == [
        "2 − 1",
        *["+6.00 [−6.71, +18.71]"] * 5,
        "2",
    ]
    assert "Repeats that diverged are left out" in told
    first, second = csv_rows(folders[0].parent)
    assert (first["n"], second["n"], second["pairs"]) == ("3", "3", "2")
    assert float(first["last_mean"]) == pytest.approx(np.mean([80, 84, 90]))
    assert float(second["last_less_run_1_mean"]) == 6


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ([85, NAN, 90], "a single pair has no spread"),
        ([NAN, 86, NAN], "a repeat diverged in every pair"),
        ([NAN, NAN, NAN], "a repeat diverged in every pair"),
    ],
)
def test_too_few_pairs_that_did_not_diverge_are_told(second, said, make_run):
    told = comparison.compare([make_run("first", [80, NAN, NAN]), make_run("second", second)])
    assert f"Run 2 cannot be paired with run 1: {said}." in told
    dashes = [line for line in told.splitlines() if line.count("–") == 5]
    assert len(dashes) == all(map(np.isnan, second))


def test_one_run_is_a_table_too(make_run):
    told = comparison.compare([make_run("only", [80, 82])])
    assert "81.00 ± 1.00" in told and "−" not in told


# Files and refusals


def test_files_go_beside_the_first_run_or_where_they_are_asked_to(two, tmp_path):
    names = {"comparison.md", "comparison.csv", "comparison.tex"}
    comparison.compare(two)
    assert {path.name for path in tmp_path.iterdir()} == names | {"first", "second"}
    comparison.compare(two, tmp_path / "new" / "folder")
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == names


def test_another_comparison_is_not_overwritten_the_same_may_be_made_again(two, tmp_path):
    told = comparison.compare(two)
    before = {path: path.read_bytes() for path in tmp_path.glob("comparison.*")}
    assert comparison.compare(two) == told
    other = comparison.compare(two, baseline=two[1])
    assert other.splitlines()[0] == told.splitlines()[0]
    assert other.splitlines()[-1] == (
        f"Not written: {tmp_path.resolve()}/comparison.md exists with other content; "
        "--out=FOLDER writes the comparison elsewhere"
    )
    with pytest.raises(InputError, match=r"^--out=.*comparison.md exists with other content;"):
        comparison.compare(two, tmp_path, two[1])
    assert {path: path.read_bytes() for path in tmp_path.glob("comparison.*")} == before


def test_unfinished_and_missing_runs_are_named(two, tmp_path):
    unfinished = tmp_path / "first"
    (unfinished / "scores.json").unlink()
    for folder, said in (
        (
            unfinished,
            "not the folder of a finished run: it has no scores.json; the command that started "
            "it resumes it",
        ),
        (tmp_path / "nowhere", "there is no such folder"),
    ):
        with pytest.raises(InputError) as refusal:
            comparison.compare([two[1], folder])
        assert str(refusal.value) == f"RUN_DIR={folder}: {said}"
    assert not list(tmp_path.glob("comparison.*"))


@pytest.mark.parametrize("content", ["{", "{}", '{"selection": "best", "noise": {}}'])
def test_scores_of_another_form_are_refused(content, two):
    (two[1] / "scores.json").write_text(content)
    with pytest.raises(InputError, match=f"^RUN_DIR={two[1]}: .*from an earlier version;"):
        comparison.compare(two)


def test_a_run_from_before_a_flag_had_its_default(two):
    document = json.loads((two[1] / "config.json").read_text())
    del document["flags"]["jacob_mode"]
    (two[1] / "config.json").write_text(json.dumps(document))
    assert "jacob_mode" not in comparison.compare(two)


def test_runs_on_other_pictures_are_no_pairs(make_run):
    first, same, unknown, other = (
        make_run(name, ACCURACIES["first"], sha256)
        for name, sha256 in (("a", "0f"), ("b", "0f"), ("c", None), ("d", "1f"))
    )
    reasons = [
        comparison.unpaired_because(comparison.read(folder), comparison.read(first))
        for folder in (same, unknown, other)
    ]
    assert reasons[:2] == [None, None] and "pictures or labels" in reasons[2]


def test_one_folder_of_pictures_spelled_in_two_ways_is_one(make_run):
    first, same, other, unknown = (
        comparison.read(make_run(name, ACCURACIES["first"], sha256, dataset=f"folder:{name}"))
        for name, sha256 in (("a", "0f"), ("b", "0f"), ("c", "1f"), ("d", None))
    )
    assert comparison.unpaired_because(same, first) is None
    for run in other, unknown:
        assert comparison.unpaired_because(run, first).startswith("--dataset is folder:")


def test_images_of_another_size_are_no_pairs_unless_they_have_it_as_stored(make_run):
    first, same, other = (
        comparison.read(make_run(name, ACCURACIES["first"], sha256, image_size=size))
        for name, sha256, size in (("a", "0f", None), ("b", "0f", 28), ("c", "1f", 64))
    )
    assert comparison.unpaired_because(same, first) is None
    assert comparison.unpaired_because(other, first) == "--image_size is 64, in run 1 it is None"


def test_runs_of_other_code_or_environment_are_no_pairs(make_run):
    first, second = (make_run(name, ACCURACIES["first"]) for name in ("a", "b"))

    def reason(**facts):
        document = json.loads((second / "config.json").read_text())
        (second / "config.json").write_text(json.dumps(document | facts))
        return comparison.unpaired_because(comparison.read(second), comparison.read(first))

    document = json.loads((first / "config.json").read_text())
    made = {"code": {"jaxnoise.losses": "mae=1"}, "environment": {}}
    assert reason(**made) is None  # the first is older: it has no record
    (first / "config.json").write_text(json.dumps(document | made))
    assert reason() is None
    assert reason(environment={"XLA_FLAGS": "--x"}) == ("run 1 was made without XLA_FLAGS=--x")
    changed = {"code": {"jaxnoise.losses": "mae=2"}, "environment": {}}
    assert reason(**changed) == "run 1 was made by other code in jaxnoise.losses"


def test_runs_of_equal_settings_are_told(two, make_run):
    assert "same settings" not in comparison.compare(two)
    copy = make_run("copy", ACCURACIES["second"], wd_coef=1e-4, do_sn=True)
    assert "\nRun 3 has the same settings as run 2.\n" in comparison.compare([*two, copy])


def test_what_an_earlier_comparison_wrote_is_no_run(two, tmp_path, capsys):
    """As a pattern NOISE/* names it."""
    assert compare_command.main([str(folder) for folder in two]) == 0
    found = sorted(str(path) for path in tmp_path.iterdir())
    assert any(path.endswith("comparison.csv") for path in found)
    assert compare_command.main(found) == 0
    capsys.readouterr()
    assert compare_command.main([path for path in found if "comparison" in path]) == 2
    assert capsys.readouterr().err.endswith("comparison.csv: there is no such folder\n")


def test_a_run_given_twice_is_refused(two):
    with pytest.raises(InputError, match="^RUN_DIR=.* one of them is given twice$"):
        comparison.compare([two[0], two[1], two[0] / ".." / "first"])


def test_command_prints_or_exits_with_2_and_one_line(two, tmp_path, capsys):
    arguments = [*map(str, two), f"--out={tmp_path / 'out'}"]
    assert compare_command.main(arguments) == 0
    told = capsys.readouterr()
    assert told.out.startswith("run ") and told.err == ""
    assert compare_command.main([str(tmp_path / "nowhere")]) == 2
    told = capsys.readouterr()
    assert told.out == "" and re.fullmatch(r"error: RUN_DIR=\S.*\n", told.err)
    (tmp_path / "file").touch()
    assert compare_command.main([str(two[0]), f"--out={tmp_path / 'file'}"]) == 2
    assert re.fullmatch(r"error: --out=\S*file: cannot be written.*\n", capsys.readouterr().err)


def test_runs_of_two_versions_of_a_file_are_not_said_to_be_equal(make_run, tmp_path):
    path, folders = tmp_path / "mine.py", []
    for i, scale in enumerate((1, 2)):
        path.write_text(
            "import jaxnoise\n@jaxnoise.loss\ndef mine(*, logits, labels):\n"
            f"  return {scale} * logits[:, 0]\n"
        )
        folders.append(make_run(f"run{i}", [80.0, 81.0], user_code=str(path), loss="mine"))
    told = comparison.compare(folders)
    assert "same settings" not in told
    digests = [json.loads((x / "config.json").read_text())["user_code_sha256"] for x in folders]
    assert digests[0] != digests[1]
    assert all(f"mine.py@{digest[:8]}" in told for digest in digests)
