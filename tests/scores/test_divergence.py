"""A repeat that diverges is frozen and marked, and the others do not notice."""

import csv
import functools
import json
import logging

import jax
import numpy as np
import pytest
import run_folders

from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.report import comparison
from jaxnoise.runs import checkpoint, folders
from jaxnoise.scores import divergence
from jaxnoise.terminal import console, interruption
from jaxnoise.training import assembly
from jaxnoise.verify import __main__ as verify

SETTINGS = {
    "dataset": "digits",
    "train_size": 200,
    "test_size": 60,
    "noise_rate": 0.4,
    "total_repeats": 3,
    "epochs_num": 3,
    "jacob_samples": 20,
}
# A step multiplies weights by about -9, so six in an epoch by 5e5, and batch norm's factors too:
# the variance of what they make together overflows in the second epoch.
HUGE = np.float32(1e3)


def test_epochs_are_the_first_without_numbers():
    history = {"test_accuracy": np.float32([[1, 1, np.nan], [1, np.nan, np.nan]])}
    assert divergence.epochs(history).tolist() == [0, 2, 1]


def test_words():
    diverged = np.array([0, 4, 2, 0, 4])
    assert divergence.in_words(diverged) == (
        "repeat 3 diverged at epoch 2; repeats 2, 5 diverged at epoch 4"
    )
    assert divergence.in_words(np.zeros(3, int)) == ""
    assert divergence.covered(diverged) == "2 of 5 repeats"


@pytest.mark.parametrize(
    "diverged, words",
    [
        ([0], "one repeat"),
        ([4], "repeat 1 diverged at epoch 4"),
        ([0, 0], "mean ± std over 2 repeats"),
        ([0, 4, 0], "mean ± std over 2 of 3 repeats; the others diverged"),
        (
            [2, 4],
            "mean ± std over 2 repeats until the first diverged; all of them did in the end",
        ),
    ],
)
def test_words_about_means(diverged, words):
    assert divergence.averaged_in_words(np.array(diverged)) == words


# Whole runs


@pytest.fixture(scope="module")
def shared():
    """What all runs here have in common: the data, and a trainer, so that it compiles once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", functools.cache(data.load))
        config = Config(**SETTINGS)
        trainer = assembly.engine(config, noisy_dataset.load(config)).trainer
        patch.setattr(assembly, "Trainer", lambda *_, **__: trainer)
        yield


def run(where, *, diverging=None, watch=None, **settings):
    """A run in which the weight decay of one repeat can be huge; returns its folder."""
    config = Config(**SETTINGS | settings, results_dir=str(where))
    make = assembly.members

    def with_one(*settings):
        members = make(*settings)
        if diverging is not None:
            coefficients = members[diverging].coefficients._replace(wd=HUGE)
            members[diverging] = members[diverging]._replace(coefficients=coefficients)
        return members

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "members", with_one)
        experiment.run(config, watch)
    return folders.run_folder(config)


@pytest.fixture(scope="module")
def none(shared, tmp_path_factory):
    """The folder of a run in which none diverges."""
    return run(tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def second(shared, tmp_path_factory):
    """The same, but that the second repeat diverges."""
    return run(tmp_path_factory.mktemp("second"), diverging=1)


@pytest.fixture(scope="module")
def every(shared, drawing, tmp_path_factory):
    """A run in which all diverge."""
    with drawing():
        return run(tmp_path_factory.mktemp("every"), wd_coef=float(HUGE))


def arrays(folder, name):
    with np.load(folder / f"{name}.npz") as archive:
        return dict(archive)


def document(folder):
    return json.loads((folder / "scores.json").read_text())


def test_the_others_are_bit_for_bit_what_they_are_without_it(none, second):
    for name, axis in (("history", 1), ("samples", 0)):
        expected, found = arrays(none, name), arrays(second, name)
        assert expected.keys() == found.keys()
        for metric, values in expected.items():
            for repeat in (0, 2):
                np.testing.assert_array_equal(
                    found[metric].take(repeat, axis), values.take(repeat, axis)
                )
    for which in ("best", "last"):
        jax.tree.map(
            lambda a, b: np.testing.assert_array_equal(a[[0, 2]], b[[0, 2]]),
            *(checkpoint.load(folder / "checkpoints" / which) for folder in (none, second)),
        )
    expected, found = document(none), document(second)
    assert [found["repeats"][i] for i in (0, 2)] == [expected["repeats"][i] for i in (0, 2)]


def test_it_is_marked_everywhere_and_in_no_mean(second):
    told, history = document(second), arrays(second, "history")
    assert told["diverged_at_epoch"] == [None, 2, None] and told["n"] == 2
    assert divergence.epochs(history).tolist() == [0, 2, 0]
    for values in history.values():
        assert np.isfinite(values[:1]).all() and np.isnan(values[1:, 1]).all()
    for entry, name in ((told, "test_accuracy"), (told["detection"], "mixture_rate")):
        of_others = [entry["repeats"][i][name] for i in (0, 2)]
        assert entry["mean"][name] == np.mean(of_others)
        assert entry["repeats"][1][name] is None
    lines = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    assert [line["step_loss"][1] is None for line in lines] == [False, True, True]
    assert [line["step_loss"].count(None) for line in lines] == [0, 1, 1]
    board = next((second / "logs" / "repeat_2").iterdir())
    assert {step for _, step, _ in run_folders.scalars(board)} == {1}
    log = (second / "log.txt").read_text()
    assert (
        log.count("Warning: repeat 2 diverged at epoch 2: loss or state is no longer finite") == 1
    )
    assert log.count("Warning: repeat 2 diverged at epoch 2; mean and std are over 2 of 3") == 1


def test_its_checkpoints_and_samples_are_those_before(none, second):
    samples = arrays(second, "samples")
    assert np.isfinite(samples["loss"]).all() and (samples["predicted"] >= 0).all()
    best, last = (checkpoint.load(second / "checkpoints" / which) for which in ("best", "last"))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((best, last)))
    # Its only whole epoch was the best too.
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], b[1]), best, last)


def test_it_has_no_say_in_what_is_suspicious(second):
    samples = arrays(second, "samples")
    with open(second / "suspects.csv", newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    mean = samples["score"][[0, 2]].mean(axis=0)
    np.testing.assert_allclose(scores, np.sort(mean)[::-1], rtol=1e-5)  # six digits


def test_all_can_diverge(every):
    told = document(every)
    assert told["diverged_at_epoch"] == [2, 2, 2] and told["n"] == 0
    assert {value for row in told["repeats"] for value in row.values()} == {None}
    assert set(told["mean"].values()) == {None} == set(told["detection"]["mean"].values())
    assert len(list((every / "figures").iterdir())) == 14


@pytest.mark.parametrize("folder", ["second", "every"])
def test_it_is_verified(folder, request, capsys):
    assert verify.main([str(request.getfixturevalue(folder))]) == 0
    assert "All 14 scores of 3 repeats match, bit for bit" in capsys.readouterr().out


def test_it_is_compared(none, second, every, tmp_path):
    told = comparison.compare([none, second, every], tmp_path)
    rows = {line.split("  ")[0].strip(): line for line in told.splitlines()}
    assert rows["2"].endswith("2 of 3") and rows["3"].endswith("0 of 3")
    # The other repeats are the same in both runs.
    assert rows["2 − 1"].count("+0.00 [+0.00, +0.00]") == 4 and rows["2 − 1"].endswith("2")
    assert "Run 3 cannot be paired with run 1: a repeat diverged in every pair." in told


class Stop(interruption.Watch):
    """Asks to stop after the second epoch."""

    def check(self, epoch, save):
        if epoch == 2:
            save()
            raise interruption.Interrupted(2)


def test_it_stays_frozen_when_a_run_goes_on(second, tmp_path, caplog):
    with pytest.raises(interruption.Interrupted):
        run(tmp_path, diverging=1, watch=Stop())
    with caplog.at_level(logging.INFO, console.log.name):
        folder = run(tmp_path, diverging=1)
    assert "Resuming after epoch 2" in caplog.text
    assert run_folders.content(folder) == run_folders.content(second)
