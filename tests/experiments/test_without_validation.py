"""Runs with --validation_ratio=0: what they leave, that they resume, and runs of both kinds."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import run_folders

from jaxnoise.config import Config, InputError
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.report import comparison
from jaxnoise.report import page as report
from jaxnoise.runs import checkpoint, folders, resume
from jaxnoise.runs.finished import load_run
from jaxnoise.scores.estimates import ESTIMATED
from jaxnoise.scores.scoring import OF_VALIDATION
from jaxnoise.spectrum import __main__ as spectrum
from jaxnoise.sweep import __main__ as sweep
from jaxnoise.terminal import announcements, interruption
from jaxnoise.verify.__main__ import verify

SETTINGS = {
    "dataset": "digits", "train_size": 150, "test_size": 60, "noise_rate": 0.4, "do_sn": True,
    "total_repeats": 2, "epochs_num": 11, "jacob_samples": 20, "validation_ratio": 0.0,
}  # fmt: skip
ABSENT = ["best_noisy_valid", "best_clean_valid"]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = Config(**SETTINGS, results_dir=str(tmp_path_factory.mktemp("results")))
    experiment.run(config)
    return config


@pytest.fixture(scope="module")
def folder(config):
    return folders.run_folder(config)


@pytest.fixture(scope="module")
def document(folder):
    return json.loads((folder / "scores.json").read_text())


def test_all_samples_are_trained_on_and_none_is_for_validation(folder):
    with np.load(folder / "noise.npz") as noise:
        assert len(noise["train_index"]) == 150 and len(noise["valid_index"]) == 0
        assert noise["valid_noisy"].shape == (1, 0)
    (draw,) = json.loads((folder / "noise.json").read_text())["draws"]
    assert draw["valid"] is None and draw["picked"] == 60


def test_no_metric_is_of_an_empty_split_and_none_is_not_a_number(folder, config):
    history = load_run(folder).history
    assert not [name for name in history if name.startswith("valid")]
    assert all(np.isfinite(values).all() for values in history.values())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 11 and json.loads(lines[0]).keys() == history.keys() | {"epoch"}


def test_scores_are_those_of_the_last_epoch(document, folder):
    history = load_run(folder).history
    assert document["headline"] == "last"
    for i, row in enumerate(document["repeats"]):
        for name in ("train_accuracy", "test_accuracy", "entropy"):
            assert row[name] == history[name][-1, i]
        assert row["last_test_accuracy"] == row["test_accuracy"]
        assert [name for name, x in row.items() if x is None] == list(OF_VALIDATION)
    selection = document["selection"]
    assert [name for name, entry in selection.items() if entry is None] == ABSENT
    assert selection["last"]["epoch"] == [11, 11] and selection["last_ten"]["epoch"] == [None] * 2
    np.testing.assert_allclose(
        selection["last_ten"]["accuracy"], history["test_accuracy"][-10:].mean(axis=0), rtol=1e-6
    )


def test_the_noise_is_estimated_by_the_losses_alone(document, folder):
    """No sample is held out, and the nets were trained on the labels of all others."""
    for row in document["detection"]["repeats"]:
        assert {name for name, x in row.items() if x is None} == set(ESTIMATED)
    assert not (folder / "noise_estimates.npz").exists()
    assert "% by the mixture.\n" in (folder / "scores.txt").read_text()


def test_texts_say_that_there_is_no_best_epoch(folder, config, caplog):
    caplog.set_level("INFO", "jaxnoise")
    words = " ".join((folder / "scores.txt").read_text().split())
    assert "Scores at the last epoch: the run has no validation part" in words
    dataset = noisy_dataset.load(config)
    announcements.announce(config, folder, dataset, device="cpu", lags=False, variables={})
    assert "150 train, 0 valid, 60 test images" in caplog.text
    assert "nothing is set aside for validation: the scores, and the nets in" in caplog.text
    assert "the best epoch is chosen" not in caplog.text


def test_nets_called_best_are_the_last(folder):
    best, last = (checkpoint.load(folder / checkpoint.FOLDER / name) for name in checkpoint.NETS)
    jax.tree.map(np.testing.assert_array_equal, best, last)
    samples = load_run(folder).samples
    np.testing.assert_array_equal(samples["best_predicted"], samples["predicted"])


def test_best_nets_are_not_measured_in_their_place(folder, capsys):
    assert spectrum.main([str(folder), "--checkpoint=best"]) == 2
    assert "was made with --validation_ratio=0" in capsys.readouterr().err


def test_run_is_verified(folder):
    matches, told = verify(folder)
    assert matches and "last_ten, history.npz" in told and "best_clean_valid," not in told


@pytest.mark.parametrize("name", ["best_clean_valid", "best_epoch"])
def test_what_the_run_cannot_have_is_found(name, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    edited = json.loads((copy / "scores.json").read_text())
    if name == "best_epoch":
        edited["repeats"][0][name] = 11
    else:
        edited["selection"][name] = edited["selection"]["last"]
    (copy / "scores.json").write_text(json.dumps(edited))
    assert not verify(copy)[0]


@pytest.mark.usefixtures("standard_dtype_promotion")
def test_run_resumes_to_the_same_end(folder, config, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "SHARE", 0)
    again = dataclasses.replace(config, results_dir=str(tmp_path))
    with pytest.raises(interruption.Interrupted):
        experiment.run(again, run_folders.StopAfter(4))
    experiment.run(again)
    for name in ("scores.json", "scores.txt", "metrics.jsonl"):
        assert (folders.run_folder(again) / name).read_bytes() == (folder / name).read_bytes()


def test_a_sweep_makes_runs_of_both_kinds_and_they_are_shown_side_by_side(tmp_path, capsys):
    flags = {name: x for name, x in SETTINGS.items() if name != "validation_ratio"}
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    assert sweep.main([*arguments, "--validation_ratio=0,0.2", f"--results_dir={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "best clean validation" in told and told.count("last epoch") >= 2
    runs = [
        folders.run_folder(Config(**flags, validation_ratio=ratio, results_dir=str(tmp_path)))
        for ratio in (0.0, 0.2)
    ]
    told = comparison.compare(runs)
    assert (
        "Run 2 cannot be paired with run 1: --validation_ratio is 0.2, in run 1 it is 0.0" in told
    )
    page = report.write(tmp_path, tmp_path / "report").read_text()
    assert '<option value="best_clean_valid" selected>' in page
    assert all(verify(run)[0] for run in runs)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"method": "early_stopping"}, "--method=early_stopping"),
        ({"method": "truncation", "truncation_start_epoch": 2}, "--method=truncation"),
        ({"validation_labels": "noisy"}, "--validation_labels=noisy"),
    ],
)
def test_what_uses_validation_labels_is_refused(settings, flag):
    with pytest.raises(InputError, match=rf"^--validation_ratio=0 with {flag}, .*\(0, 1\)$"):
        Config(**SETTINGS | settings)
