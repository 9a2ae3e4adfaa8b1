"""The command: what it plans, runs, prints, and leaves."""

import json
import logging
import types
from pathlib import Path

import pytest

from jaxnoise.config import Config
from jaxnoise.experiments import batch, known_programs
from jaxnoise.experiments.batch import Outcome
from jaxnoise.labels.noisy_dataset import load_splits
from jaxnoise.runs import documents
from jaxnoise.sweep import __main__ as sweep
from jaxnoise.sweep import estimate, progress
from jaxnoise.sweep.grid import planned_runs
from jaxnoise.terminal import console
from jaxnoise.terminal.time_left import EpochSeconds

FLAGS = ["--dataset=digits", "--noise_rate=0,0.4", "--wd_coef=0,1e-4", "--total_repeats=2"]
ESTIMATE = known_programs.Estimate(2, 5.0, EpochSeconds(1.0, 3.0), 2**20, "2026-11-26")


@pytest.fixture
def ran(monkeypatch):
    """Runs are taken down instead of made; one with weight decay and noise fails."""
    taken = []

    class BatchRunner:
        def __init__(self, watch):
            pass

        def run(self, configs):
            for config in configs:
                taken.append(config)
                bad = config.wd_coef and config.noise_rate
                yield Outcome(config, "no luck" if bad else None)

    monkeypatch.setattr(batch, "BatchRunner", BatchRunner)
    monkeypatch.setattr(progress, "_accuracy", lambda _: "98.76 ± 0.54")
    monkeypatch.setattr(console.log, "handlers", [])
    monkeypatch.setattr(console.log, "level", logging.INFO)
    return taken


def test_all_runs_are_made_and_reported(ran, tmp_path, capsys):
    assert sweep.main([*FLAGS, f"--results_dir={tmp_path}"]) == 1
    told = capsys.readouterr().out
    assert len(ran) == 4
    assert told.startswith("4 runs, 0 already finished; 1 program\n")
    assert "[1/4] digits · lenet · uniform_noise 0 · no_reg: 98.76 ± 0.54  [" in told
    assert "[4/4] digits · lenet · uniform_noise 0.4 · wd_0.0001: FAILED: no luck" in told
    (plan,) = (tmp_path / "sweeps").glob("*.json")
    assert f"\nPlan, with the errors of failed runs: {plan}\n" in told
    errors = [run["error"] for run in json.loads(plan.read_text())["cells"]]
    assert errors == [None, None, None, "no luck"]
    failed = told.split("Failed: ")[1]
    assert failed.startswith("python main.py --dataset=digits --noise_rate=0.4 --wd_coef=0.0001")


def test_finished_runs_are_not_made_again(ran, tmp_path, capsys):
    planned = planned_runs({None: {}}, {"dataset": ["digits"], "results_dir": [str(tmp_path)]})
    folder = planned[0].folder
    folder.mkdir(parents=True)
    for name in ("config.json", "scores.json"):
        (folder / name).write_text("{}")
    arguments = ["--dataset=digits", f"--results_dir={tmp_path}"]
    assert sweep.main(arguments) == 0
    assert ran == [] and "1 run, 1 already finished; 0 programs" in capsys.readouterr().out
    assert sweep.main([*arguments, "--overwrite"]) == 0
    assert len(ran) == 1
    (plan,) = (tmp_path / "sweeps").glob("*.json")
    assert f"\nPlan: {plan}\n" in capsys.readouterr().out  # nothing failed


def test_a_run_with_two_names_is_refused_before_any_work(ran, tmp_path, capsys):
    """It would be one run, which a report shows under the last of them."""
    (tmp_path / "grid.yaml").write_text("dataset: digits\nrows: {a: {}, b: {noise_rate: 0}}")
    assert sweep.main([f"--grid={tmp_path / 'grid.yaml'}", f"--results_dir={tmp_path}"]) == 2
    assert "the rows a and b are one run, python main.py" in capsys.readouterr().err
    assert ran == [] and {path.name for path in tmp_path.iterdir()} == {"grid.yaml"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ["--noise_rate=0,2"],
            "--noise_rate=2.0: allowed is [0, 1]",
        ),
        (["--noise_rate=0,x"], "--noise_rate=x"),
        (["--grid=none.yaml"], "--grid=none.yaml: cannot be read"),
        (["--results_dir=a,b"], "--results_dir=a,b"),
    ],
)
def test_bad_input_is_one_line_before_any_work(flags, told, ran, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sweep.main(["--dataset=digits", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and told in error
    assert ran == [] and not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--noise_rate", "0.2", "0.4"], "unknown: 0.4; separate values by commas"),
        (["--noise_rat=0.2"], "unknown: --noise_rat=0.2 (did you mean --noise_rate?)"),
        (["--do_sn", "--nodo_sn"], "unknown: --nodo_sn"),
        (["--noise_rate=0,0.2", "--noise_rate=0.4"], "--noise_rate is given twice; allowed is"),
        (["--do_sn", "--do_sn=false"], "--do_sn is given twice; allowed is once, with comma-"),
        (["--executor=cloud"], "argument --executor: invalid choice: 'cloud'"),
    ],
)
def test_bad_words_are_told_in_one_line(words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        sweep.main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(f"error: {told}") and error.count("\n") == 1
    assert error.endswith("(python -m jaxnoise.sweep --help lists all arguments)\n")


def test_dry_run_tells_and_leaves_nothing(ran, tmp_path, capsys):
    small = ["--train_size=300", "--test_size=60", "--epochs_num=7"]
    places = [f"--results_dir={tmp_path / 'results'}", f"--cache_dir={tmp_path / 'cache'}"]
    assert sweep.main([*FLAGS, *small, *places, "--dry_run"]) == 0
    told = capsys.readouterr().out
    assert told.count(str(tmp_path)) == 4
    assert "4 runs, 0 already finished; the rest takes about " in told
    (row,) = (line.split() for line in told.splitlines() if line.startswith("1  "))
    assert row[:4] == ["1", "lenet", "4", "8"] and row[-2] == "MiB" and int(row[-3]) > 1
    assert ran == [] and not (tmp_path / "results").exists()


def test_a_dry_run_measures_a_program_once(tmp_path, capsys, monkeypatch):
    measured = []

    def measure(configs, splits):
        measured.append(configs)
        return ESTIMATE

    def dry_run(*words):
        argv = [*FLAGS[:-1], *words, f"--cache_dir={tmp_path / 'cache'}", "--dry_run"]
        assert sweep.main([*argv, f"--results_dir={tmp_path / 'results'}"]) == 0
        return capsys.readouterr().out, len(measured)

    monkeypatch.setattr(estimate, "measure", measure)
    first, again = dry_run(), dry_run()
    assert first[1] == again[1] == 1
    assert "Compiling and measuring program 1 of 1" in first[0]
    assert first[0].replace("Compiling and measuring program 1 of 1 …\n", "") == again[0]
    assert "2026-11-26" in again[0]
    # Whatever the time depends on; labels and coefficients are no part of that.
    assert dry_run("--train_size=300")[1] == 2
    assert dry_run("--total_repeats=3")[1] == 3
    assert dry_run("--members_at_once=1")[1] == 4
    assert dry_run("--do_sn")[1] == 5
    assert dry_run("--seed=5")[1] == 5
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert dry_run()[1] == 6
    monkeypatch.delenv("XLA_FLAGS")
    damages = ("", "{}", "{", "[1]", '{"at_once": 0}', "\x00")
    for number, content in enumerate(damages, start=7):
        for file in (tmp_path / "cache/estimates").iterdir():
            file.write_text(content)
        assert dry_run()[1] == number
    assert dry_run()[1] == number


def test_an_estimate_with_nonsense_is_measured_again(tmp_path):
    config = Config(dataset="digits", cache_dir=str(tmp_path))
    splits = load_splits(config)
    known_programs.write(ESTIMATE, [config], splits)
    assert known_programs.read([config], splits) == ESTIMATE
    nonsense = ({"at_once": 0}, {"compile_seconds": -1.0}, {"epoch_seconds": (None, 3.0)})
    for change in nonsense:
        known_programs.write(ESTIMATE._replace(**change), [config], splits)
        assert known_programs.read([config], splits) is None


def test_where_estimates_cannot_be_kept_nothing_happens(tmp_path):
    (tmp_path / "file").touch()
    config = Config(dataset="digits", cache_dir=str(tmp_path / "file"))
    splits = load_splits(Config(dataset="digits"))
    known_programs.write(ESTIMATE, [config], splits)
    assert known_programs.read([config], splits) is None


def test_estimate_counts_members_and_epochs_with_the_jacobian_term():
    planned = planned_runs(
        {None: {}},
        {"dataset": ["digits"], "jacob_coef": [1e-3], "noise_rate": [0, 0.1, 0.2],
         "total_repeats": [4], "epochs_num": [30], "jacob_start_epoch": [10]},
    )  # fmt: skip
    assert ESTIMATE.seconds([x.config for x in planned]) == 5 + 12 / 2 * (10 * 1 + 20 * 3)


def test_time_left_of_a_sweep_counts_epochs_and_the_compilations_so_far(ran, monkeypatch, caplog):
    clock = iter([0.0, 60.0, 70.0, 100.0])
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(time=lambda: next(clock)))
    caplog.set_level("INFO", "jaxnoise")
    left = [Config(dataset="digits", epochs_num=epochs, seed=seed)
            for seed, epochs in enumerate((10, 10, 20))]  # fmt: skip
    elsewhere = Config(dataset="digits", seed=9)  # such as a first stage: not waited for
    outcomes = [Outcome(config) for config in (left[0], elsewhere, *left[1:])]
    progress.tell(outcomes[:3], left, Path("results/sweeps/plan.json"))
    told = [record.message.split("  ")[-1] for record in caplog.records if "]" in record.message]
    assert told == ["[60 s, about 3 min left]", "[70 s]", "[2 min, about 2 min left]"]


@pytest.mark.parametrize(
    ("n", "repeats", "told"),
    [(3, 3, "last epoch 0.00 ± 0.00, best noisy validation 90.00 ± 1.00"),
     (2, 3, "last epoch 0.00 ± 0.00, best noisy validation 90.00 ± 1.00 (2 of 3 repeats; the "
            "others diverged)"),
     (0, 3, "all repeats diverged"), (0, 1, "diverged")],
)  # fmt: skip
def test_accuracies_of_a_run_are_those_of_its_scores(n, repeats, told, monkeypatch):
    selection = {
        "last": {"mean": 0.0, "std": 0.0},
        "best_clean_valid": {"mean": 91.0, "std": 1.0},
        "best_noisy_valid": {"mean": 90.0, "std": 1.0},
    }
    document = {"n": n, "repeats": [{}] * repeats, "headline": "best_noisy_valid"}
    monkeypatch.setattr(documents, "read_scores", lambda _: document | {"selection": selection})
    assert progress._accuracy(None) == told


def test_scores_of_the_last_epoch_are_told_once(monkeypatch):
    selection = {"last": {"mean": 80.0, "std": 2.0}, "best_clean_valid": None}
    document = {"n": 2, "repeats": [{}] * 2, "headline": "last", "selection": selection}
    monkeypatch.setattr(documents, "read_scores", lambda _: document)
    assert progress._accuracy(None) == "last epoch 80.00 ± 2.00"
