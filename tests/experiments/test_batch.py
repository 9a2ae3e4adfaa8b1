"""Runs of one program as one batch: the same results as alone, whatever happens to some of them."""

import dataclasses
import json
import logging

import jax
import numpy as np
import pytest
import run_folders
from run_folders import StopAfter

from jaxnoise.config import Config, InputError
from jaxnoise.experiments import active_run, batch, experiment
from jaxnoise.experiments.batch import BatchRunner, Outcome
from jaxnoise.runs import checkpoint, folders
from jaxnoise.sweep import plans
from jaxnoise.sweep.grid import PlannedRun
from jaxnoise.terminal import interruption
from jaxnoise.training import assembly
from jaxnoise.training.trainer import Trainer

SETTINGS = dict(
    dataset="digits", train_size=300, test_size=60, total_repeats=1, epochs_num=2, jacob_samples=20
)  # fmt: skip
RUNS = (
    dict(noise_rate=0.4), dict(noise_type="flip_noise", noise_rate=0.2, wd_coef=1e-3),
    dict(entropy_coef=0.1, seed=3),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_trainer():
    """For all runs here, which have the same program: it is compiled once."""
    made = []

    def trainer(*arguments, **how):
        if not made:
            made.append(Trainer(*arguments, **how))
        return made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "Trainer", trainer)
        yield


def configs_in(folder):
    return [Config(**SETTINGS | one, results_dir=str(folder)) for one in RUNS]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folders of the runs, made one by one."""
    configs = configs_in(tmp_path_factory.mktemp("alone"))
    for config in configs:
        experiment.run(config)
    return [folders.run_folder(config) for config in configs]


@pytest.fixture
def configs(tmp_path):
    return configs_in(tmp_path)


@pytest.fixture
def batch_of_all(monkeypatch):
    monkeypatch.setattr(Trainer, "at_once", lambda *_: 3)


def assert_as_alone(configs, alone, names=run_folders.content):
    for config, folder in zip(configs, alone, strict=True):
        found, expected = names(folders.run_folder(config)), names(folder)
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []


@pytest.mark.usefixtures("batch_of_all")
def test_runs_leave_what_they_leave_alone(configs, alone, caplog):
    with caplog.at_level(logging.INFO, "jaxnoise"):
        outcomes = list(BatchRunner(interruption.Watch()).run(configs))
    assert outcomes == [Outcome(config) for config in configs]
    assert_as_alone(configs, alone)
    for config in configs:  # nor does a log tell of the others
        log = (folders.run_folder(config) / "log.txt").read_text()
        assert log.count("Run      ") == log.count("epoch 2/2") == log.count("Took ") == 1


def test_as_many_as_fit_run_at_once(configs, monkeypatch):
    batches = []
    monkeypatch.setattr(Trainer, "at_once", lambda *_: 2)
    monkeypatch.setattr(batch, "train", lambda runs, *_: batches.append(len(runs)))
    monkeypatch.setattr(active_run.ActiveRun, "finish", lambda *_: None)
    assert len(list(BatchRunner(interruption.Watch()).run(configs))) == 3
    assert batches == [2, 1]


@pytest.mark.usefixtures("batch_of_all")
def test_one_vmapped_group_agrees_within_rounding(alone, tmp_path):
    configs = [dataclasses.replace(x, members_at_once=3) for x in configs_in(tmp_path)]
    trainer = assembly.Trainer(None, 32)  # the shared one
    before, trainer._members_at_once = trainer._members_at_once, 3
    try:
        assert not any(x.error for x in BatchRunner(interruption.Watch()).run(configs))
    finally:
        trainer._members_at_once = before
    for config, folder in zip(configs, alone, strict=True):
        for which in ("best", "last"):
            found, expected = (
                checkpoint.load(path / "checkpoints" / which)["params"]
                for path in (folders.run_folder(config), folder)
            )
            for values, others in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
                np.testing.assert_allclose(values, others, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("batch_of_all")
def test_finished_runs_are_left_alone(configs, alone):
    list(BatchRunner(interruption.Watch()).run(configs[1:2]))
    (folder,) = [folders.run_folder(config) for config in configs[1:2]]
    before = run_folders.everything(folder)
    assert not any(x.error for x in BatchRunner(interruption.Watch()).run(configs))
    log = before.pop("log.txt")
    assert {**run_folders.everything(folder), "log.txt": log} == {**before, "log.txt": log}
    assert_as_alone(configs, alone)


@pytest.mark.usefixtures("batch_of_all")
def test_interrupted_runs_go_on_though_they_are_not_equally_far(configs, alone):
    with pytest.raises(interruption.Interrupted):
        list(BatchRunner(StopAfter(1)).run(configs[:2]))
    assert not folders.finished(folders.run_folder(configs[0]))
    assert not any(x.error for x in BatchRunner(interruption.Watch()).run(configs))
    assert_as_alone(configs, alone)


@pytest.mark.usefixtures("batch_of_all")
@pytest.mark.parametrize("method", ["begin", "record", "save", "finish"])
def test_run_that_fails_does_not_end_the_others(method, configs, alone, monkeypatch):
    whole = getattr(active_run.ActiveRun, method)

    def failing(self, *arguments):
        if self.config == configs[1]:
            raise InputError("the disk is\nfull")
        return whole(self, *arguments)

    monkeypatch.setattr(active_run.ActiveRun, method, failing)
    outcomes = {x.config: x.error for x in BatchRunner(interruption.Watch()).run(configs)}
    error = outcomes.pop(configs[1])
    assert error.split() == ["the", "disk", "is", "full"]
    assert set(outcomes.values()) == {None}
    assert not folders.finished(folders.run_folder(configs[1]))
    assert_as_alone(configs[::2], alone[::2])
    monkeypatch.setattr(active_run.ActiveRun, method, whole)
    assert not any(x.error for x in BatchRunner(interruption.Watch()).run(configs))
    assert_as_alone(configs, alone)


def test_pictures_that_cannot_be_had_fail_all(tmp_path):
    configs = [Config(**SETTINGS | dict(train_size=99_999), seed=i, results_dir=str(tmp_path))
               for i in (0, 1)]  # fmt: skip
    outcomes = list(BatchRunner(interruption.Watch()).run(configs))
    assert [x.config for x in outcomes] == configs
    assert all(x.error.startswith("--train_size=99999") for x in outcomes)


# The plan


def test_plan_says_what_became_of_each_run(configs):
    planned = [PlannedRun(name, config) for name, config in zip("abc", configs, strict=True)]
    path = plans.write(planned)
    plans.note(path, planned[1].folder, "no disk")
    document = json.loads(path.read_text())
    assert [x["error"] for x in document["cells"]] == [None, "no disk", None]
    assert [x["name"] for x in document["cells"]] == ["a", "b", "c"]
    for run, written in zip(planned, document["cells"], strict=True):
        assert path.parents[1] / written["folder"] == run.folder
        assert written["command"] == run.config.command
    assert plans.write(planned) == path  # begun anew
    assert json.loads(path.read_text())["cells"][1]["error"] is None
    assert plans.write(planned[:2]) != path


def test_plan_that_cannot_be_written(configs, tmp_path):
    (tmp_path / "sweeps").touch()
    with pytest.raises(InputError, match="^--results_dir: .*cannot be written"):
        plans.write([PlannedRun(None, configs[0])])
