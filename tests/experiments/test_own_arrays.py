"""Runs on arrays in memory, and what later processes make of them."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from main_program import call
from places import ROOT
from run_folders import StopAfter, content

import jaxnoise
from jaxnoise import data
from jaxnoise.terminal import interruption

SMALL = dict(epochs_num=2, total_repeats=1, train_size=300, test_size=100, jacob_samples=2)


def parts():
    digits = data.load("digits")
    return [getattr(digits, f"{x}_{y}") for x in ("train", "test") for y in ("images", "labels")]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def where(base):
    return {f"{name}_dir": str(base / name) for name in ("results", "cache")}


@pytest.fixture(scope="module")
def digits():
    return jaxnoise.Arrays(*parts(), name="mydigits")


@pytest.fixture(scope="module")
def config(digits, where):
    return jaxnoise.Config(dataset=digits.dataset, noise_rate=0.4, **SMALL, **where)


@pytest.fixture(scope="module")
def folder(digits, config):
    jaxnoise.run(config, data=digits)
    return jaxnoise.run_folder(config)


@pytest.fixture(scope="module")
def bundled(where):
    """The same run by --dataset=digits."""
    config = jaxnoise.Config(dataset="digits", noise_rate=0.4, **SMALL, **where)
    jaxnoise.run(config)
    return jaxnoise.run_folder(config)


def test_the_digits_given_as_arrays_train_as_the_bundled_ones_do(folder, bundled):
    one, other = content(folder), content(bundled)
    datasets = [found["config.json"].pop("dataset") for found in (one, other)]
    assert datasets[0].startswith("arrays:mydigits@") and datasets[1] == "digits"
    facts = [json.loads((x / "config.json").read_text()) for x in (folder, bundled)]
    assert facts[0]["data_sha256"] == facts[1]["data_sha256"]
    # These name the data set, or the folder.
    naming = {name for name in one if name.startswith("figures/")} | {"noise.json", "noise.npz"}
    assert one.keys() == other.keys()
    different = [name for name in one.keys() - naming if one[name] != other[name]]
    assert different == []
    assert "scores.json" in one and "suspects.csv" in one
    with np.load(folder / "noise.npz") as mine, np.load(bundled / "noise.npz") as theirs:
        for name in ("noisy", "clean", "picked", "train_index"):
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_a_new_process_verifies_the_run(folder):
    told = subprocess.run(
        [sys.executable, "-m", "jaxnoise.verify", folder],
        cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told
    assert re.search("All 14 scores of .* match, bit for bit", told.stdout)


def test_a_finished_run_is_read_without_the_arrays(folder, config):
    finished = jaxnoise.load_run(folder)
    assert finished.config.result_settings == config.result_settings
    test = finished.dataset.split == 2
    right = (
        finished.best.logits(finished.dataset.images[test]).argmax(axis=2)
        == finished.dataset.labels[test]
    )
    accuracy = finished.scores["test_accuracy"]
    np.testing.assert_allclose(100 * right.mean(axis=1), accuracy, atol=1e-3)


def test_the_command_line_knows_the_run_by_the_name_of_its_data(folder, digits, where, monkeypatch):
    monkeypatch.setattr(
        "jaxnoise.experiments.active_run.opened", lambda *_: pytest.fail("it trains again")
    )
    settings = dict(dataset=digits.dataset, noise_rate=0.4, **SMALL, **where)
    assert call(*(f"--{name}={value}" for name, value in settings.items())) == 0


def test_an_interrupted_run_resumes_without_the_arrays(folder, config, digits, base):
    again = jaxnoise.Config(**vars(config) | {"results_dir": str(base / "resumed")})
    with pytest.raises(interruption.Interrupted):
        jaxnoise.run(again, StopAfter(1), data=digits)
    jaxnoise.run(again)
    assert content(jaxnoise.run_folder(again)) == content(folder)


def test_other_arrays_are_another_run(config, folder, digits):
    changed = parts()
    changed[0] = changed[0].copy()
    changed[0][0, 0, 0, 0] ^= 1
    other = jaxnoise.Arrays(*changed, name="mydigits")
    assert other.dataset != digits.dataset
    its = jaxnoise.Config(**vars(config) | {"dataset": other.dataset})
    assert jaxnoise.run_folder(its).parts[-3] != folder.parts[-3]
    with pytest.raises(jaxnoise.InputError) as refusal:  # not the run on other arrays
        jaxnoise.run(config, data=other)
    assert str(refusal.value) == (
        f"--dataset={digits.dataset} with data={other.dataset}: allowed are settings that name "
        "these arrays, as Config(dataset=data.dataset, ...) does"
    )


def test_settings_that_name_no_arrays_are_refused(digits, where):
    with pytest.raises(jaxnoise.InputError, match=r"^--dataset=cifar10 with data=arrays:mydigits@"):
        jaxnoise.run(jaxnoise.Config(**SMALL, **where), data=digits)


def test_bare_arrays_are_refused(config):
    with pytest.raises(jaxnoise.InputError, match=r"^data is of type list; allowed is jaxnoise.Ar"):
        jaxnoise.run(config, data=parts())


def test_arrays_that_are_gone_come_back(config, folder, digits, tmp_path):
    """Given again with a finished run, they are kept again."""
    moved = jaxnoise.Config(**vars(config) | {"cache_dir": str(tmp_path)})
    with pytest.raises(jaxnoise.InputError, match=r"there is no file .*\.keep\(cache_dir\)"):
        _ = jaxnoise.load_run(folder, cache_dir=str(tmp_path)).dataset
    jaxnoise.run(moved, data=digits)
    assert jaxnoise.load_run(folder, cache_dir=str(tmp_path)).dataset.num_classes == 10


def test_nothing_is_trained_on_arrays_that_are_not_there(config, tmp_path):
    settings = vars(config) | {f"{x}_dir": str(tmp_path / x) for x in ("results", "cache")}
    with pytest.raises(jaxnoise.InputError, match=f"^--dataset={config.dataset}: there is no file"):
        jaxnoise.run(jaxnoise.Config(**settings))
    assert not (tmp_path / "results").exists()


def test_arrays_changed_on_disk_are_not_trained_on(config, digits, tmp_path):
    settings = vars(config) | {f"{x}_dir": str(tmp_path / x) for x in ("results", "cache")}
    digits.keep(tmp_path / "cache")
    other = jaxnoise.Arrays(*parts(), class_names=list("abcdefghij"))
    other.keep(tmp_path / "cache")
    mine, its = (
        tmp_path / "cache" / "arrays" / f"{x.dataset.removeprefix('arrays:')}.npz"
        for x in (digits, other)
    )
    shutil.copy(its, mine)
    with pytest.raises(jaxnoise.InputError, match="is damaged .its SHA-256 is not the one in its"):
        jaxnoise.run(jaxnoise.Config(**settings))
    assert not (tmp_path / "results").exists()


def test_the_documented_example_runs(where, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Arrays from Python\n(.*?)^## ", page, re.M | re.S)
    first, second = re.findall(r"^```python\n(.*?)```$", section, re.M | re.S)
    small = SMALL | where | {"results_dir": str(tmp_path / "results"), "epochs_num": 1}
    made = functools.partial(lambda of, **settings: of(**settings | small), jaxnoise.Config)
    monkeypatch.setattr(jaxnoise, "Config", made)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(first, names)
    assert names["finished"].scores["test_accuracy"].shape == (1,)
    assert f"`{names['data'].dataset.partition('@')[0]}@`" in section
    exec(second, names)
    assert names["scores"]["noise"]["true_rate"] == pytest.approx(0.2, abs=0.05)
