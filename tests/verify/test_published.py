"""Published rows: which runs answer to them, and when one agrees."""

import json

import numpy as np
import pytest

from jaxnoise import reproduce
from jaxnoise.config import Config
from jaxnoise.config.recipes import Row
from jaxnoise.experiments import experiment
from jaxnoise.runs import folders
from jaxnoise.verify import published


def row(**accuracy):
    return Row("elr", "elr_20", {"noise_rate": 0.2}, accuracy, "A paper", 1.5, "our choice")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = Config(
        dataset="digits", train_size=100, test_size=60, total_repeats=2, epochs_num=2,
        jacob_samples=1, results_dir=str(tmp_path_factory.mktemp("run")),
    )  # fmt: skip
    experiment.run(config)
    return folders.run_folder(config)


def test_every_row_is_a_run_of_its_recipe():
    rows = published.rows()
    assert {"cifar_n_worse", "badlabels_40", "elr_80", "sce_ce_40"} <= rows.keys()
    for name, each in rows.items():
        config = published.config(each)
        assert config.recipe == name[: len(config.recipe)]
        assert {flag: getattr(config, flag) for flag in each.flags} == each.flags


def test_means_within_the_tolerance_agree(folder):
    accuracy = json.loads((folder / "scores.json").read_text())["selection"]["last"]["accuracy"]
    mean = float(np.mean(accuracy))
    for off, agrees in ((1.4, True), (-1.4, True), (1.6, False), (-1.6, False)):
        (comparison,) = published.compare(row(last=mean + off), folder)
        assert comparison.agrees == agrees
        assert comparison.std == pytest.approx(np.std(accuracy))
        assert ("pass" if agrees else "FAIL") in published.table([comparison])


def test_a_selection_that_a_run_lacks_does_not_agree(folder):
    (comparison,) = published.compare(row(last_ten=50.0), folder)
    assert not comparison.agrees
    assert "–" in published.table([comparison])


def test_a_row_is_refused_on_a_cpu_with_what_it_takes(capsys):
    assert reproduce.main(["badlabels_40"]) == 2
    told = capsys.readouterr().err
    assert "NAME=badlabels_40: 5 trainings of preact_resnet18 for 300 epochs" in told
    assert "python -m jaxnoise.sweep --noise_rate=0.4 --recipe=badlabels --dry_run" in told


def test_a_misspelled_row_is_suggested(capsys):
    assert reproduce.main(["elr_30"]) == 2
    assert "--list gives (did you mean elr_" in capsys.readouterr().err


def test_a_row_is_reproduced_by_its_run(folder, monkeypatch, capsys):
    config = json.loads((folder / "config.json").read_text())
    flags = Config(**config["flags"]).given
    monkeypatch.setattr(published, "rows", lambda: {"elr_20": row(last=0.5)})
    monkeypatch.setattr(published, "config", lambda row, **where: Config(**flags))
    assert reproduce.main(["elr_20"]) == 1
    assert "elr_20 is NOT reproduced" in capsys.readouterr().out


def test_all_names_are_listed(capsys):
    assert reproduce.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert "digits_uniform_0.4_wd_sn" in listed and "--noise_rate=0.4 --recipe=elr" in listed
