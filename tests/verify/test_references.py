"""References: what is kept, what agrees with it, and that those in reference/ can be made again."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import run_folders
from places import ROOT

from jaxnoise import reproduce
from jaxnoise.config import Config, InputError
from jaxnoise.experiments import experiment
from jaxnoise.runs import folders
from jaxnoise.training import surroundings
from jaxnoise.verify import references

SETTINGS = dict(
    dataset="digits", noise_rate=0.4, train_size=300, test_size=60, total_repeats=3, epochs_num=1,
    jacob_samples=20,
)  # fmt: skip
REAL = ROOT.parent / "shared" / "tfds"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = Config(**SETTINGS, results_dir=str(tmp_path_factory.mktemp("run")))
    experiment.run(config)
    return folders.run_folder(config)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, request):
    if "kept" not in request.fixturenames:
        monkeypatch.setattr(references, "REFERENCE", tmp_path / "reference")


def changed(folder, tmp_path, change):
    """A copy of the run with other test accuracies."""
    document = json.loads((folder / "scores.json").read_text())
    for selected in filter(None, document["selection"].values()):
        selected["accuracy"] = [float(x) for x in change(np.array(selected["accuracy"]))]
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "config.json").write_bytes((folder / "config.json").read_bytes())
    (copy / "scores.json").write_text(json.dumps(document))
    return copy


def test_run_reproduces_itself_to_the_last_digit(folder):
    references.keep("small", folder)
    comparisons = references.compare(references.read("small"), folder)
    assert len(comparisons) == 4 and all(x.equal and x.agrees for x in comparisons)


def test_reference_holds_the_settings_that_are_no_defaults(folder):
    path = references.keep("small", folder)
    reference = references.read("small")
    assert reference["flags"] == SETTINGS | {"net": "lenet"}
    assert Config(**reference["flags"]).fingerprint == Config(**SETTINGS).fingerprint
    assert reference["command"] == Config(**reference["flags"]).command
    assert path.stat().st_size < 4096
    assert str(folder.parents[2]) not in path.read_text()  # no place of this machine
    assert references.names() == ["small"]


def test_reference_holds_the_defaults_of_its_method(tmp_path):
    config = Config(**SETTINGS, method="elr", results_dir=str(tmp_path))
    experiment.run(config)
    references.keep("elr", folders.run_folder(config))
    flags = references.read("elr")["flags"]
    assert flags == SETTINGS | {
        "net": "lenet", "method": "elr", "elr_beta": 0.7, "elr_weight": 3.0,
    }  # fmt: skip
    assert Config(**flags).hyperparameters == config.hyperparameters


def test_interval_is_where_another_mean_is_expected(folder, tmp_path):
    references.keep("small", folder)
    reference = references.read("small")
    reference["accuracy"]["last"] = [80.0, 82.0, 84.0]  # s = 2
    there = changed(folder, tmp_path, lambda _: np.array([70.0, 74.0]))
    last = next(x for x in references.compare(reference, there) if x.name == "last")
    half = 8.860 * 2 * np.sqrt(1 / 3 + 1 / 2)  # t(1 − 0.05/8, 2) from a table
    assert (last.low, last.high) == pytest.approx((82 - half, 82 + half), rel=1e-3)
    assert last.agrees and not last.equal


def test_only_what_both_have_is_compared_and_counted(folder, tmp_path):
    references.keep("small", folder)
    reference, there = references.read("small"), tmp_path / "there"
    assert set(reference["accuracy"]) == {  # of one epoch there is no mean of ten
        "last", "best_noisy_valid", "best_clean_valid", "oracle_test",
    }  # fmt: skip
    shutil.copytree(folder, there)
    (before,) = (x for x in references.compare(reference, folder) if x.name == "last")
    # The same run, as if it had ten epochs, in which the reference has none.
    for name, edit in (
        ("config.json", lambda x: x["flags"].update(epochs_num=10)),
        ("scores.json", lambda x: x["selection"].update(last_ten=x["selection"]["last"])),
    ):
        document = json.loads((there / name).read_text())
        edit(document)
        (there / name).write_text(json.dumps(document))
    comparisons = references.compare(reference, there)
    assert [x.name for x in comparisons] == [
        "last", "best_noisy_valid", "best_clean_valid", "oracle_test",
    ]  # fmt: skip
    last = comparisons[0]
    assert (last.low, last.high) == (before.low, before.high)
    words = "mean of the last ten epochs"
    assert re.search(rf"^{words} +– +– +– +not compared$", references.table(comparisons), re.M)
    # And where both have it, five hold together.
    reference["accuracy"] |= {"last_ten": [80.0, 82.0, 84.0], "last": [80.0, 82.0, 84.0]}
    comparisons = references.compare(reference, there)
    assert len(comparisons) == 5
    half = 9.925 * 2 * np.sqrt(1 / 3 + 1 / 3)  # t(1 − 0.05/10, 2) from a table
    assert comparisons[1].high == pytest.approx(82 + half, rel=1e-3)


def test_runs_made_elsewhere_widen_and_centre_the_interval(folder, tmp_path, capsys):
    there = changed(folder, tmp_path, lambda _: np.array([70.0, 74.0, 78.0]))
    assert reproduce.main(["small", "--record", str(folder), str(there)]) == 0
    reference = references.read("small")
    assert [len(each["accuracy"]["last"]) for each in reference["elsewhere"]] == [3]
    assert reference["elsewhere"][0]["versions"] == reference["versions"]
    reference["accuracy"]["last"] = [80.0, 82.0, 84.0]
    last = next(x for x in references.compare(reference, there) if x.name == "last")
    mean, std = 78, np.std([70, 74, 78, 80, 82, 84], ddof=1)
    half = 3.8100 * std * np.sqrt(1 / 6 + 1 / 3)  # t(1 − 0.05/8, 5) from a table
    assert (last.low, last.high) == pytest.approx((mean - half, mean + half), rel=1e-3)
    assert last.agrees and last.reference.tolist() == [80, 82, 84]


def test_another_run_is_not_the_same_made_elsewhere(folder, tmp_path):
    there = changed(folder, tmp_path, lambda x: x)
    document = json.loads((there / "config.json").read_text())
    document["flags"]["seed"] = 7
    (there / "config.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="allowed are runs with the flags, images and labels of"):
        references.keep("small", folder, [there])
    assert references.names() == []


@pytest.mark.parametrize(("off", "passes"), [(0.05, True), (-30, False), (30, False)])
def test_other_accuracies_fail_where_they_are_too_far_off(off, passes, folder, tmp_path):
    references.keep("small", folder)
    reference = references.read("small")
    reference["accuracy"] = dict.fromkeys(reference["accuracy"], [60.0, 60.1, 60.2])
    there = changed(folder, tmp_path, lambda _: off + np.array([60.2, 60.1, 60.0]))
    assert all(x.agrees is passes for x in references.compare(reference, there))


def test_run_of_too_few_repeats_is_no_reference(folder, tmp_path):
    there = changed(folder, tmp_path, lambda x: x[:2])
    with pytest.raises(InputError, match="3 repeats or more"):
        references.keep("small", there)
    assert references.names() == []


@pytest.mark.parametrize("what", ["data_sha256", "noise"])
def test_other_pictures_or_labels_are_told(what, folder):
    references.keep("small", folder)
    reference = references.read("small")
    reference[what] = "another"
    with pytest.raises(InputError, match="differ from the reference's"):
        references.compare(reference, folder)


def test_name_that_is_taken_or_missing(folder):
    references.keep("small", folder)
    before = run_folders.everything(references.REFERENCE)
    with pytest.raises(InputError, match="^NAME=small: .* exists;"):
        references.keep("small", folder)
    with pytest.raises(InputError, match=r"^NAME=smal: allowed are .*\(did you mean small\?\)$"):
        references.read("smal")
    assert run_folders.everything(references.REFERENCE) == before


def test_a_finished_run_of_other_code_reproduces_nothing(folder, monkeypatch, capsys):
    where = f"--results_dir={folder.parents[2]}"
    assert reproduce.main(["small", f"--record={folder}"]) == 0
    assert reproduce.main(["small", where]) == 0
    assert "was finished before, and is not repeated" in capsys.readouterr().out
    monkeypatch.setattr(surroundings, "changes", lambda *_: ["by other code in jaxnoise.nets"])
    assert reproduce.main(["small", where]) == 2
    told = capsys.readouterr()
    assert "is reproduced" not in told.out
    assert "made by other code in jaxnoise.nets; allowed is another --results_dir" in told.err


def test_command_says_pass_or_fail(folder, capsys):
    where = f"--results_dir={folder.parents[2]}"
    assert reproduce.main(["small", f"--record={folder}"]) == 0
    assert reproduce.main(["small", where]) == 0
    assert "small is reproduced" in capsys.readouterr().out
    path = references.REFERENCE / "small.json"
    document = json.loads(path.read_text())
    document["accuracy"] = dict.fromkeys(document["accuracy"], [99.0, 99.1, 99.2])
    path.write_text(json.dumps(document))
    assert reproduce.main(["small", where]) == 1
    out = capsys.readouterr().out
    assert "small is NOT reproduced" in out and out.count("FAIL") == 4
    assert reproduce.main([]) == 0
    assert "small" in capsys.readouterr().out


@pytest.fixture
def kept():
    """The references of the repository."""
    return {name: references.read(name) for name in references.names()}


def test_kept_references_are_of_settings_that_there_are(kept):
    assert kept
    for reference in kept.values():
        assert Config(**reference["flags"]).command == reference["command"]
        best = f"best_{reference['flags'].get('validation_labels', 'clean')}_valid"
        for name, mean in (("last", "last_test_accuracy"), (best, "test_accuracy")):
            accuracy = reference["accuracy"][name]
            assert len(accuracy) == reference["n"] >= 3
            assert np.mean(accuracy) == pytest.approx(reference["mean"][mean], abs=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("standard_compilation")
@pytest.mark.parametrize("name", ["digits_uniform_0.4_wd_sn", "fashion_mnist_flip_0.4"])
def test_reference_is_reproduced(name, tmp_path):
    if "mnist" in name and not REAL.is_dir():
        pytest.skip("no real pictures here")
    subprocess.run(
        [sys.executable, "-m", "jaxnoise.reproduce", name, f"--results_dir={tmp_path}",
         f"--data_dir={REAL}"],
        cwd=ROOT,
        check=True,
    )  # fmt: skip
