"""Search: what is asked for, what is maximized, and that the same search goes on."""

import csv
import dataclasses

import numpy as np
import pytest

from jaxnoise import tune as tune_command
from jaxnoise.config import Config, InputError
from jaxnoise.experiments.batch import Outcome
from jaxnoise.runs import folders
from jaxnoise.sweep import search as tune
from jaxnoise.sweep.search import Range
from jaxnoise.terminal import interruption


@pytest.fixture
def base(tmp_path):
    return Config(dataset="digits", results_dir=str(tmp_path))


@pytest.fixture
def ran(monkeypatch):
    """Runs whose validation accuracy falls with the distance of log₁₀ wd from −4."""
    taken = []

    class BatchRunner:
        def __init__(self, watch):
            pass

        def run(self, configs):
            for config in configs:
                taken.append(config)
                if config.wd_coef > 5e-3:
                    yield Outcome(config, "no luck")
                    continue
                folder = folders.run_folder(config)
                folder.mkdir(parents=True)
                accuracy = 90 - 10 * abs(np.log10(config.wd_coef) + 4)
                # Best on noisy labels in the first epoch, in the test set in the second.
                np.savez(
                    folder / "history.npz",
                    valid_noisy_accuracy=np.array([[accuracy, accuracy], [0, 0]]),
                    valid_accuracy=np.array([[0, 0], [50, 60]]),
                    test_accuracy=np.array([[0, 0], [99, 99]]),
                )
                (folder / "scores.json").touch()
                yield Outcome(config)

    monkeypatch.setattr(tune, "BatchRunner", BatchRunner)
    return taken


def search(base, trials, batch=4):
    ranges = {"wd_coef": Range(1e-6, 1e-2)}
    return tune.search(base, ranges, trials=trials, batch=batch, metric="valid_noisy_accuracy",
                       watch=interruption.Watch())  # fmt: skip


def test_search_finds_the_maximum(base, ran):
    found = search(base, 40)
    assert len(ran) == 40 and 30 < len(found) <= 40
    best = max(found, key=lambda trial: trial.objective)
    assert 3e-5 < best.config.wd_coef < 3e-4
    values = np.log10([config.wd_coef for config in ran])
    assert (values >= -6).all() and (values <= -2).all()
    # What it has learned: at random, a quarter would be within half a decade of the maximum.
    assert (np.abs(values[20:] + 4) < 0.5).mean() > 0.4
    assert all(value == float(f"{value:.3g}") for value in (config.wd_coef for config in ran))


def test_same_search_asks_for_the_same_and_goes_on(base, ran):
    search(base, 8)
    first = list(ran)
    ran.clear()
    found = search(base, 12)
    failed = [config for config in first if config.wd_coef > 5e-3]
    assert ran[: len(failed)] == failed and len(ran) == len(failed) + 4
    assert [x.config for x in found[: 8 - len(failed)]] == [x for x in first if x not in failed]
    ran.clear()
    search(dataclasses.replace(base, seed=1), 8)
    assert not {config.wd_coef for config in ran} & {config.wd_coef for config in first}


def test_objective_is_of_the_best_validation_epoch_and_counts_divergence_as_nothing(tmp_path):
    nan = np.nan
    np.savez(
        tmp_path / "history.npz",
        valid_noisy_accuracy=np.array([[50.0, 70], [60, nan], [40, nan]]),
        valid_accuracy=np.array([[1.0, 2], [3, nan], [4, nan]]),
        test_accuracy=np.array([[9.0, 9], [9, nan], [9, nan]]),
    )
    assert tune.objective(tmp_path, "valid_noisy_accuracy") == (60 + 0) / 2
    assert tune.objective(tmp_path, "valid_accuracy") == (4 + 0) / 2
    assert tune._divergence(tmp_path) == " (1 of 2 repeats diverged, counted as 0 %)"


def test_ranges():
    assert tune.parse_ranges("wd_coef, sn_cap=0.5:4,epochs_num=1:9") == {
        "wd_coef": tune.RANGES["wd_coef"], "sn_cap": (0.5, 4), "epochs_num": (1, 9),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("weight", "'weight': allowed are flags that take a number"),
        ("do_sn", "'do_sn': allowed are flags that take a number"),
        ("sn_cap", "sn_cap: requires a range"),
        ("wd_coef=3:2", "wd_coef: requires a range"),
        ("wd_coef=a:b", "wd_coef: requires a range"),
        ("wd_coef=1", "wd_coef: requires a range"),
    ],
)
def test_ranges_that_there_are_not(text, told):
    with pytest.raises(InputError, match=f"^--tune={text}: {told}"):
        tune.parse_ranges(text)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--tune=wd_coef", "--trials=0"], "--trials=0"),
        (["--tune=wd_coef", "--wd_coef=1"], "--wd_coef: allowed is a value or a search by --tune"),
        (["--tune=wd_coef", "--noise_rate=0,0.2"], "allowed is one value"),
        (["--tune=noise_rate=0:2"], "--noise_rate=2.0"),
        (["--tune=epochs_num=0:9"], "--epochs_num=0"),
        (["--tune=sn_cap=1:2"], "--do_sn"),
        (["--tune=wd_coef", "--validation_ratio=0"], "--validation_ratio=0 with --tune=wd_coef"),
        (["--tune=validation_ratio=0:0.5"], "--validation_ratio=0 with --tune=validation_ratio"),
    ],
)
def test_bad_input_is_one_line_before_any_work(flags, told, ran, tmp_path, capsys):
    assert tune_command.main(["--dataset=digits", f"--results_dir={tmp_path}", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and told in error
    assert ran == [] and list(tmp_path.iterdir()) == []


def test_command_leaves_all_trials_the_best_first(ran, tmp_path, capsys):
    flags = ["--dataset=digits", f"--results_dir={tmp_path}", "--trials=6", "--batch=3"]
    assert tune_command.main(["--tune=wd_coef", *flags]) == 0
    (path,) = (tmp_path / "sweeps").glob("tune_*.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    values = [float(row["best_valid_noisy_accuracy"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert f"--wd_coef={rows[0]['wd_coef']}" in rows[0]["command"]
    assert capsys.readouterr().out.endswith(f"The best trial: {rows[0]['command']}\n")
