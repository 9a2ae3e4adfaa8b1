"""Runs on waves of noise: what is read of them, how they are put together, and what is refused."""

import json
import re

import numpy as np
import pytest

from jaxnoise import wave_response as command
from jaxnoise.config import Config, InputError
from jaxnoise.runs import documents
from jaxnoise.runs import folders as results
from jaxnoise.runs.history import write_history
from jaxnoise.scores import scoring, selection
from jaxnoise.spectrum import wave_figure, wave_runs

EPOCHS = 4
NEVER = [10.0, 20.0, 30.0, 49.9]
NAN = float("nan")


@pytest.fixture
def make_run(tmp_path):
    """Writes a finished run as an experiment does, of a curve for each repeat."""

    def make(*curves, **settings):
        wave = {"noise_type": "wave_noise", "noise_rate": 0.3, "wave_frequency": 1.0}
        config = Config(
            **{"dataset": "digits", "epochs_num": EPOCHS, "total_repeats": len(curves),
               "results_dir": str(tmp_path / "results")} | wave | settings
        )  # fmt: skip
        folder = results.run_folder(config)
        results.claim(folder, config, {})
        changed = np.float32(curves).T
        history = {name: changed + 1 for name in ("valid_accuracy", "train_loss")}
        history |= {"changed_as_noisy": changed, "valid_noisy_accuracy": changed / 2,
                    "test_accuracy": changed / 4}  # fmt: skip
        gone = np.isnan(changed).any(axis=0)
        if config.best_by is None:
            history = {name: x for name, x in history.items() if not name.startswith("valid")}
        write_history(folder, history)
        last = np.where(gone, np.nan, history["test_accuracy"][-1])
        selected = {name: selection.Selected(last, 1 - gone) for name in selection.named(ema=False)}
        zeros = {name: np.zeros(len(curves)) for name in scoring.SCORES}
        draw = {"seed": 0, "picked": 3, "changed": 3, "true_rate": 0.3, "sha256": "0" * 64}
        noise = {"noise": config.noise, "true_rate": 0.3, "draws": [draw]}
        there = selection.existing(validated=config.best_by is not None, epochs=EPOCHS, ema=False)
        selected |= dict.fromkeys(selected.keys() - set(there))
        report = scoring.Report(zeros, selected, gone.astype(int), noise, config.best_by)
        documents.write_scores(folder, report)
        return folder

    return make


def test_half_is_reached_in_the_first_epoch_with_half():
    curves = np.transpose([[50, 60, 70], [0, 50, 40], [0, 49, 49.9], [0, 0, 100]])
    assert wave_runs.epochs_to_half(curves).tolist() == [1, 2, np.inf, 3]


def test_runs_are_rows_by_regularization_and_frequency(make_run, tmp_path):
    folders = [
        make_run([0, 60, 70, 80], [60, 70, 80, 90], wave_frequency=16.0),
        make_run([60, 60, 60, 60], NEVER),
        make_run([0, 0, 0, 60], [NAN] * EPOCHS, do_sn=True),
    ]
    told = wave_figure.write(folders, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "wave_response.json").read_text())
    assert (document["noise_rate"], document["epochs"]) == (0.3, EPOCHS)
    low, high, normalized = document["runs"]
    assert [x["wave_frequency"] for x in (low, high, normalized)] == [1, 16, 1]
    assert [x["regularization"] for x in (low, high, normalized)] == ["no_reg", "no_reg", "sn"]
    assert high["epochs_to_half"] == [2, 1] and high["changed_as_noisy"] == [80, 90]
    assert high["valid_noisy_accuracy"] == [40, 45] and high["test_accuracy"] == [20, 22.5]
    assert low["epochs_to_half"] == [1, None] and low["diverged"] == [False, False]
    assert normalized["epochs_to_half"] == [4, None] and normalized["diverged"] == [False, True]
    assert normalized["changed_as_noisy"] == [60, None]
    assert (
        "sn, frequency 1: half of the changed labels fitted at epoch 4, diverged; "
        "after the last epoch 60.0 % fitted"
    ) in told
    assert (tmp_path / "out" / "wave_response.pdf").stat().st_size
    # The same may be made again, another is not written over it.
    wave_figure.write(folders, tmp_path / "out")
    with pytest.raises(InputError, match="^--out=.*exists with other content"):
        wave_figure.write(folders[:1], tmp_path / "out")


def test_without_validation_there_is_no_accuracy_on_it(make_run, tmp_path):
    told = wave_figure.write([make_run([0, 60, 70, 80], validation_ratio=0.0)], tmp_path / "out")
    (run,) = json.loads((tmp_path / "out" / "wave_response.json").read_text())["runs"]
    assert run["valid_noisy_accuracy"] == [None] and run["changed_as_noisy"] == [80]
    assert "80.0 % fitted, accuracy – on noisy validation labels, 20.0 % on the test set" in told


def test_runs_that_never_fitted_half_stand_open_above_the_last_epoch(make_run):
    rows = wave_runs.collect([make_run(NEVER, NEVER), make_run([60] * 4, NEVER, do_sn=True)])
    half = wave_figure.draw(rows).axes[0]
    above = [line for line in half.lines if line.get_markerfacecolor() == "white"]
    assert len(above) == 2
    assert all((line.get_ydata() > EPOCHS).all() for line in above)
    assert f"> {EPOCHS}" in [half.yaxis.get_major_formatter()(y) for y in half.get_yticks()]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"noise_type": "uniform_noise", "wave_frequency": None},
            "its noise is uniform_noise 0.3; allowed is wave_noise with a rate above 0",
        ),
        ({"noise_rate": 0.0}, "its noise is wave_noise_1 0; allowed is wave_noise"),
        ({"seed": 3}, "--seed is 3, that of .* is 0; allowed are runs that differ only in"),
        (
            {"sn_iterations": 1, "jacob_start_epoch": 2},
            "has the same regularization and frequency; allowed is one run of each",
        ),
    ],
)
def test_other_runs_are_refused_in_one_line(settings, said, make_run, tmp_path, capsys):
    folders = [make_run(NEVER), make_run(NEVER, **settings)]
    assert command.main([*map(str, folders), f"--out={tmp_path / 'out'}"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and re.fullmatch(f"error: RUN_DIR=\\S+: .*{said}.*\n", told.err)
    assert not (tmp_path / "out").exists()
