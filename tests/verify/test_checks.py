"""A finished run verified: whole, and with one harm at a time."""

import functools
import json
import re
import shutil

import numpy as np
import pytest

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import documents, folders
from jaxnoise.runs.history import read_history
from jaxnoise.runs.noise_record import read_noise
from jaxnoise.runs.record import read_record
from jaxnoise.runs.samples import read_samples, write_suspects
from jaxnoise.scores.estimates import WAYS
from jaxnoise.scores.scoring import DETECTION, SCORES
from jaxnoise.training import assembly
from jaxnoise.verify import __main__ as verify
from jaxnoise.verify import checks as verification
from jaxnoise.verify import file_checks
from jaxnoise.verify.check import DIFFERENT, EQUAL, REFUSED, UNCHECKED

SETTINGS = {
    "dataset": "digits",
    "train_size": 200,
    "test_size": 60,
    "noise_rate": 0.4,
    "wd_coef": 1e-4,
    "do_sn": True,
    "total_repeats": 2,
    "epochs_num": 2,
    "jacob_samples": 20,
}
OF_BEST = SCORES[:7] + ("test_ece", "test_nll", "test_brier")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run, not to be touched."""
    config = Config(**SETTINGS, results_dir=str(tmp_path_factory.mktemp("results")))
    experiment.run(config)
    return folders.run_folder(config)


@pytest.fixture(scope="module")
def trainer(finished):
    """Of the one program that all runs here have, so that it is compiled once."""
    config = read_record(finished).config
    return assembly.engine(config, noisy_dataset.load(config)).trainer


@pytest.fixture(scope="module")
def load_once():
    return functools.cache(data.load)


@pytest.fixture(autouse=True)
def quickly(trainer, load_once, monkeypatch):
    monkeypatch.setattr(assembly, "Trainer", lambda *_, **__: trainer)
    monkeypatch.setattr(data, "load", load_once)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the run, to do harm to."""
    return shutil.copytree(finished, tmp_path / finished.name)


def verified(folder):
    """The checks by what they are of."""
    return {check.what: check for check in verification.all_checks(read_record(folder))}


def failed(folder):
    """Verdicts of the checks that failed."""
    return {name: check.verdict for name, check in verified(folder).items() if check.failed}


def edit_json(path, edit):
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def edit_arrays(path, edit):
    with np.load(path) as archive:
        arrays = dict(archive)
    edit(arrays)
    np.savez_compressed(path, **arrays)


def edit_text(path, pattern, replacement):
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)


# Whole


def test_whole_run_matches_bit_for_bit(finished, capsys):
    assert verify.main([str(finished)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    # What has to be compiled depends on the programs that are kept.
    lines = [x for x in told.out.splitlines() if not x.startswith("Compiling ")]
    assert "diverged_at_epoch – – – equal" in [" ".join(line.split()) for line in lines]
    assert lines[:3] == [
        f"Measuring the nets in {finished}/checkpoints/best …",
        f"Measuring the nets in {finished}/checkpoints/last …",
        f"Run {finished}",
    ]
    assert lines[-2:] == [
        "All 14 scores of 2 repeats match, bit for bit, and so does everything else that was "
        "checked.",
        "",
    ]
    assert {line.rsplit("  ", 1)[-1].strip() for line in lines[7:-3]} == {EQUAL}
    (row,) = [line.split() for line in lines if line.startswith("test_jacob")]
    mean = json.loads((finished / "scores.json").read_text())["mean"]["test_jacob"]
    assert row == ["test_jacob", f"{mean:.6g}", f"{mean:.6g}", "0", EQUAL]
    assert "Made with" not in told.out


def test_every_score_and_every_file_is_checked(copy):
    checks = verified(copy)
    assert set(SCORES) < set(checks)
    named = " ".join(checks)
    for path in copy.iterdir():
        if path.name not in ("log.txt", "figures", "logs", ".lock"):
            assert path.name in named


# Numbers that are not what they were


def test_changed_score_of_a_repeat_is_found_and_named(copy, capsys):
    def edit(document):
        document["repeats"][1]["test_accuracy"] += 10

    edit_json(copy / "scores.json", edit)
    assert verify.main([str(copy)]) == 1
    last = capsys.readouterr().out.splitlines()[-2]
    assert last == (
        "13 of 14 scores of 2 repeats match; failed checks: test_accuracy, "
        "scores.json, history.npz, scores.json, scores.csv, scores.txt."
    )


def test_no_changed_score_is_called_equal(copy):
    def edit(document):
        for name in SCORES:
            document["repeats"][0][name] *= 1.001

    edit_json(copy / "scores.json", edit)
    checks = verified(copy)
    assert EQUAL not in {checks[name].verdict for name in SCORES}
    # Accuracies within a picture of the net's are still not those of training.
    assert checks["scores.json, history.npz"].verdict == DIFFERENT


def test_null_is_not_a_number_but_of_a_repeat_that_diverged(copy):
    def diverge(document):
        document["repeats"][1] = dict.fromkeys(document["repeats"][1])

    edit_json(copy / "scores.json", diverge)
    assert set(SCORES) <= set(failed(copy))

    def end_in_nan(history):
        for values in history.values():
            values[-1, 1] = np.nan

    edit_arrays(copy / "history.npz", end_in_nan)
    checks = verified(copy)
    assert {checks[name].verdict for name in SCORES} == {EQUAL}


def test_nets_of_another_epoch_are_not_the_best(copy):
    for name in ("best", "best.sha256"):
        part = copy / "checkpoints" / name
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    shutil.copytree(copy / "checkpoints" / "last", copy / "checkpoints" / "best")
    digests = (copy / "checkpoints" / "last.sha256").read_text()
    (copy / "checkpoints" / "best.sha256").write_text(digests.replace("  last/", "  best/"))
    found = failed(copy)
    if verified(copy)["best_epoch"].recorded == "2":
        pytest.skip("the last epoch is the best of both repeats")
    assert {"history.npz, checkpoints/best", "test_jacob", "test_nll"} <= set(found)
    assert "last_test_accuracy" not in found


def swap_labels(arrays):
    """Two samples' noisy labels, and what follows from them."""
    noisy = arrays["noisy"][0]
    i, j = 0, np.flatnonzero(noisy != noisy[0])[0]
    noisy[[i, j]] = noisy[[j, i]]
    arrays["changed"] = arrays["noisy"] != arrays["clean"]
    arrays["picked"] |= arrays["changed"]


def test_other_noisy_labels_are_found(copy):
    edit_arrays(copy / "noise.npz", swap_labels)
    checks = verified(copy)
    found = {name for name, check in checks.items() if check.failed}
    assert {"noise in scores.json", "noise.json", "noise regenerated", "suspects.csv"} <= found
    assert "labels in noise.npz have the SHA-256" in checks["noise in scores.json"].note
    assert checks["noise regenerated"].note.startswith("2 labels other than")
    assert checks["test_accuracy"].verdict == EQUAL


def test_labels_marked_changed_that_are_not_are_found(copy):
    def edit(arrays):
        arrays["changed"][0, 0] ^= True

    edit_arrays(copy / "noise.npz", edit)
    assert failed(copy) == {"noise.npz, changed": DIFFERENT}


def other_clean_labels(arrays):
    arrays["clean"][0] = (arrays["clean"][0] + 1) % 10


def other_split(arrays):
    for name in ("train_index", "clean"):
        arrays[name] = arrays[name][::-1]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (other_clean_labels, "clean labels agree with those of digits"),
        (other_split, "train_index is not that of the data set's split"),
        (lambda arrays: arrays.pop("picked"), "has no array picked"),
        (lambda arrays: arrays.update(noisy=arrays["noisy"][:, 1:]), "noisy is int32 of shape"),
    ],
)
def test_noise_of_another_data_set_is_refused_and_what_rests_on_it_not_checked(edit, said, copy):
    edit_arrays(copy / "noise.npz", edit)
    checks = verified(copy)
    assert checks["noise.npz"].verdict == REFUSED and said in checks["noise.npz"].note
    assert {checks[name].verdict for name in SCORES if name != "best_epoch"} == {UNCHECKED}
    assert checks["best_epoch"].verdict == checks["metrics.jsonl"].verdict == EQUAL


def test_another_data_set_than_recorded_is_found(copy):
    edit_json(copy / "config.json", lambda document: document.update(data_sha256="0f"))
    assert failed(copy) == {"data set": DIFFERENT}
    edit_json(copy / "config.json", lambda document: document.pop("data_sha256"))
    assert verified(copy)["data set"].verdict == UNCHECKED


def test_noise_that_cannot_be_made_again_is_no_failure(copy, monkeypatch):
    def load(config, given=None, splits=None, *, load=noisy_dataset.load):
        if given is None:
            raise InputError("--noise_file=gone.npz: cannot be read")
        return load(config, given, splits)

    monkeypatch.setattr(noisy_dataset, "load", load)
    checks = verified(copy)
    assert checks["noise regenerated"].verdict == UNCHECKED
    assert "gone.npz" in checks["noise regenerated"].note
    assert not any(check.failed for check in checks.values())


# Files that say something else than another


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: lines + lines[-1:], "it has 2 lines for epoch 2"),
        (lambda lines: lines[1:], "it has no line for epoch 1"),
        (lambda lines: lines[::-1], "its epochs are not in order"),
        (
            lambda lines: [*lines, lines[1].replace('"epoch": 2', '"epoch": 3')],
            "it has 3 lines for 2 epochs",
        ),
        (
            lambda lines: [re.sub(r'"test_loss": \[\d', '"test_loss": [9', lines[0]), lines[1]],
            "the line of epoch 1 differs from history.npz",
        ),
        (lambda lines: [lines[0], lines[1][:50]], "cannot be read: "),
        (lambda lines: ["7", lines[1]], "cannot be read: "),
    ],
)
def test_lines_that_are_not_one_for_each_epoch_are_found(edit, said, copy):
    path = copy / "metrics.jsonl"
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")
    run = read_record(copy)
    checks = file_checks.history(run, read_history(copy, run.config))
    (check,) = (check for check in checks if check.failed)
    assert check.what == "metrics.jsonl" and check.note.startswith(said)


@pytest.mark.parametrize(
    ("file", "pattern", "replacement"),
    [
        ("scores.csv", r"mean,\d", "mean,9"),
        ("scores.txt", r"std +\d", "std  9"),
        ("scores.json", r'(?s)("mean": .*?"test_accuracy": )\d', r"\g<1>9"),
        ("suspects.csv", r"\n\d+,", "\n,"),
        ("noise.json", r'"changed": \d', '"changed": 9'),
        ("config.json", r'"wd_coef": 0.0001', '"wd_coef": 0.001'),
    ],
)
def test_edited_file_is_found(file, pattern, replacement, copy):
    edit_text(copy / file, pattern, replacement)
    assert file in failed(copy)


def test_other_words_between_the_tables_are_no_other_numbers(copy):
    """An earlier version broke its lines elsewhere, one of them before "mean squared"."""
    edit_text(copy / "scores.txt", r"(?m)^Scores at.*$", "Scores:\nmean squared norm, std of 5")
    assert "scores.txt" not in failed(copy)


def test_edited_history_is_found(copy):
    def edit(history):
        history["valid_accuracy"][0] = 100 - history["valid_accuracy"][0]

    edit_arrays(copy / "history.npz", edit)
    found = failed(copy)
    assert "metrics.jsonl" in found and "scores.json, history.npz" in found


@pytest.mark.parametrize(
    ("array", "found"),
    [
        ("predicted", {"samples.npz, checkpoints/last"}),
        ("best_predicted", {"samples.npz, checkpoints/best", "suspects.csv"}),
    ],
)
def test_edited_predictions_are_found(array, found, copy):
    def edit(samples):
        samples[array] = (samples[array] + 1) % 10

    edit_arrays(copy / "samples.npz", edit)
    assert failed(copy) == dict.fromkeys(found, DIFFERENT)


@pytest.mark.parametrize("way", WAYS)
def test_edited_estimates_are_found(way, copy):
    def edit(matrices):
        matrices[way][0] = matrices[way][0, ::-1]

    edit_arrays(copy / "noise_estimates.npz", edit)
    assert failed(copy) == {"noise_estimates.npz": DIFFERENT}


@pytest.mark.parametrize("name", DETECTION)
def test_edited_detection_is_found(name, copy):
    def edit(document):
        document["detection"]["repeats"][0][name] += 1.5

    edit_json(copy / "scores.json", edit)
    assert failed(copy) == dict.fromkeys((name, "scores.json"), DIFFERENT)


def test_run_without_noise_has_estimates_without_errors_and_is_verified(tmp_path):
    config = Config(**SETTINGS | {"noise_rate": 0.0}, results_dir=str(tmp_path))
    for row in experiment.run(config)["detection"]["repeats"]:
        known = {name for name, x in row.items() if x is not None}
        assert known == {"mixture_rate", "confident_rate", "anchor_rate"}
    assert {check.verdict for check in verified(folders.run_folder(config)).values()} == {EQUAL}


def test_older_run_without_detection_is_verified(copy):
    edit_json(copy / "scores.json", lambda document: document.pop("detection"))
    (copy / "noise_estimates.npz").unlink()
    checks = verified(copy)
    assert {check.verdict for check in checks.values()} == {EQUAL}
    assert not {"noise_estimates.npz", *DETECTION} & checks.keys()


def test_older_run_without_predictions_at_the_best_epoch_is_verified(copy):
    edit_arrays(copy / "samples.npz", lambda samples: samples.pop("best_predicted"))
    assert failed(copy) == {"suspects.csv": DIFFERENT}  # this one is not as it was then
    run = read_record(copy)
    _, dataset = read_noise(copy, run.config)
    samples = read_samples(copy, run.config, dataset)
    write_suspects(copy, dataset, samples, votes=run.report.diverged == 0)
    checks = verified(copy)
    assert {check.verdict for check in checks.values()} == {EQUAL}
    assert "samples.npz, checkpoints/best" not in checks
    assert "samples.npz, checkpoints/last" in checks


def test_older_run_without_the_mean_of_ten_epochs_is_verified(tmp_path):
    """Whose history would give one."""
    config = Config(**SETTINGS | {"epochs_num": 10}, results_dir=str(tmp_path))
    experiment.run(config)
    folder = folders.run_folder(config)
    checks = verified(folder)
    assert checks["last_ten, history.npz"].verdict == EQUAL
    recorded = read_record(folder).report.selected["last_ten"]
    test = read_history(folder, config)["test_accuracy"]
    np.testing.assert_allclose(recorded.accuracy, np.float64(test).mean(axis=0), rtol=1e-6)
    assert recorded.epoch.tolist() == [0, 0]
    run = read_record(folder)
    del run.report.selected["last_ten"]
    documents.write_scores(folder, run.report)
    assert "last_ten" not in (folder / "scores.json").read_text()
    checks = verified(folder)
    assert {check.verdict for check in checks.values()} == {EQUAL}
    assert "last, history.npz" in checks and "last_ten, history.npz" not in checks


@pytest.mark.parametrize("name", ["last_ten", "best_clean_valid"])
def test_selections_that_a_run_can_or_cannot_have_are_checked(name, copy):
    """Of two epochs there is no mean of ten; and with validation there is a best epoch of it."""

    def edit(document):
        selected = document["selection"]
        selected[name] = selected["last"] if selected[name] is None else None

    edit_json(copy / "scores.json", edit)
    if name == "last_ten":
        assert failed(copy) == {"scores.json": DIFFERENT}
    else:
        with pytest.raises(InputError, match="scores.json is damaged"):
            read_record(copy)


def test_renamed_folder_is_verified_but_for_its_name(copy):
    renamed = copy.rename(copy.with_name("renamed"))
    checks = verified(renamed)
    assert checks.pop("config.json").verdict == UNCHECKED
    assert {check.verdict for check in checks.values()} == {EQUAL}


# Damage


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("noise.npz", "missing"), ("noise.npz", "truncated"), ("history.npz", "missing"),
        ("history.npz", "truncated"), ("samples.npz", "empty"), ("samples.npz", "text"),
        ("noise_estimates.npz", "missing"), ("noise_estimates.npz", "truncated"),
    ],
)  # fmt: skip
def test_damaged_arrays_are_named(name, harm, copy, capsys):
    path = copy / name
    content = path.read_bytes()
    path.unlink()
    if harm != "missing":
        cut = {"truncated": content[: len(content) // 2], "text": b"not an archive", "empty": b""}
        path.write_bytes(cut[harm])
    assert verify.main([str(copy)]) == 1
    told = capsys.readouterr()
    assert told.err == "" and f"{name}: {path}: cannot be read: " in told.out
    assert f"failed checks: {name}" in told.out.splitlines()[-2]


@pytest.mark.parametrize("which", ["best", "last"])
def test_flipped_bit_in_a_checkpoint_is_found(which, copy):
    folder = copy / "checkpoints" / which
    largest = max(folder.rglob("d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    checks = verified(copy)
    assert checks[f"checkpoints/{which}"].verdict == REFUSED
    assert str(folder) in checks[f"checkpoints/{which}"].note
    rests = OF_BEST if which == "best" else ("last_test_accuracy",)
    for name in SCORES:
        assert checks[name].verdict == (UNCHECKED if name in rests else EQUAL)


def test_nets_of_another_kind_are_refused(copy):
    edit_json(copy / "config.json", lambda document: document["flags"].update(do_sn=False))
    found = verified(copy)["checkpoints/best"]
    assert found.verdict == REFUSED and "not hold the nets" in found.note


@pytest.mark.parametrize("name", ["metrics.jsonl", "scores.csv", "scores.txt", "noise.json"])
def test_missing_file_is_named(name, copy):
    (copy / name).unlink()
    assert failed(copy) == {name: REFUSED}


# What cannot be verified


def without_scores(folder):
    (folder / "scores.json").unlink()


def without_config(folder):
    (folder / "config.json").unlink()


def truncated_scores(folder):
    (folder / "scores.json").write_text((folder / "scores.json").read_text()[:500])


def scores_of_fewer_repeats(folder):
    edit_json(folder / "scores.json", lambda document: document["repeats"].pop())


def scores_of_an_earlier_version(folder):
    edit_json(folder / "scores.json", lambda document: document["repeats"][0].pop("test_ece"))


def flag_of_another_version(folder):
    edit_json(folder / "config.json", lambda document: document["flags"].update(new_flag=1))


def impossible_flag(folder):
    edit_json(folder / "config.json", lambda document: document["flags"].update(noise_rate=2.0))


def unknown_data(folder):
    edit_json(folder / "config.json", lambda document: document["flags"].update(dataset="nothing"))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (shutil.rmtree, "there is no such folder"),
        (without_scores, "not the folder of a finished run: it has no scores.json"),
        (without_config, "not the folder of a finished run: it has no config.json"),
        (truncated_scores, "scores.json cannot be read: "),
        (
            scores_of_fewer_repeats,
            "its config.json or scores.json is damaged or from another version",
        ),
        (scores_of_an_earlier_version, "is damaged or from another version (KeyError('test_ece'))"),
        (flag_of_another_version, "config.json: --new_flag is not a flag of this version"),
        (impossible_flag, "config.json: --noise_rate=2.0: allowed is [0, 1]"),
        (unknown_data, "nothing"),
    ],
)
def test_what_cannot_be_verified_ends_with_2_and_one_line(harm, said, copy, tmp_path, capsys):
    harm(copy)
    where = [f"--{name}={tmp_path / 'data'}" for name in ("data_dir", "cache_dir")]
    assert verify.main([str(copy), *where]) == 2
    told = capsys.readouterr()
    assert told.out == "" and re.fullmatch(r"error: .*\n", told.err)
    assert said in told.err


def test_several_runs_are_all_told_of(finished, copy, tmp_path, capsys):
    edit_text(copy / "scores.csv", r"mean,\d", "mean,9")
    assert verify.main([str(finished), str(copy)]) == 1
    told = capsys.readouterr()
    assert [line for line in told.out.splitlines() if line.startswith("Run ")] == [
        f"Run {finished}", f"Run {copy}",
    ]  # fmt: skip
    assert "and so does everything else" in told.out and "failed checks: scores.csv." in told.out
    assert verify.main([str(tmp_path), str(copy)]) == 2
    told = capsys.readouterr()
    assert "failed checks: scores.csv." in told.out and told.err.startswith("error: RUN_DIR=")


def test_another_version_and_device_are_told(copy, capsys):
    def edit(document):
        document["versions"]["jax"] = "0.1"
        document["device"]["kind"] = "abacus"

    edit_json(copy / "config.json", edit)
    assert verify.main([str(copy)]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("Made with ")]
    assert re.fullmatch(r"Made with jax 0\.1 \(here \S+\); device abacus \(here .+\)", line)


def test_other_code_and_environment_are_told(copy, capsys):
    def edit(document):
        document["code"]["jaxnoise.nets"] = "LeNet=00000000"
        document["environment"]["XLA_FLAGS"] = "--xla_made_up=1"

    edit_json(copy / "config.json", edit)
    assert verify.main([str(copy)]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("Made by ")]
    assert line.startswith(
        "Made by other code in jaxnoise.nets; with XLA_FLAGS=--xla_made_up=1, which is "
    )
