"""A run that keeps a moving average of its weights: its files, verified, resumed and loaded."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import run_folders

import jaxnoise
from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import checkpoint, folders
from jaxnoise.runs.record import read_record
from jaxnoise.scores.selection import SELECTIONS
from jaxnoise.terminal import interruption
from jaxnoise.training import assembly
from jaxnoise.verify import checks as verification
from jaxnoise.verify.check import DIFFERENT, EQUAL, REFUSED

SETTINGS = dict(
    dataset="digits", train_size=200, test_size=60, noise_rate=0.4, do_sn=True, total_repeats=2,
    epochs_num=2, jacob_samples=20, ema_decay=0.9,
)  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return Config(**SETTINGS, results_dir=str(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module", autouse=True)
def _one_trainer(config):
    """All runs here have the same program: it is compiled once."""
    trainer = assembly.engine(config, noisy_dataset.load(config)).trainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "Trainer", lambda *_, **__: trainer)
        yield


@pytest.fixture(scope="module")
def folder(config, _one_trainer):
    """Of the finished run, not to be touched."""
    experiment.run(config)
    return folders.run_folder(config)


def verified(folder):
    return {check.what: check.verdict for check in verification.all_checks(read_record(folder))}


def test_interrupted_run_ends_as_if_it_had_not_been(folder, tmp_path):
    parts = Config(**SETTINGS, results_dir=str(tmp_path))
    with pytest.raises(interruption.Interrupted):
        experiment.run(parts, run_folders.StopAfter(1))
    experiment.run(parts)
    found, expected = (run_folders.content(x) for x in (folders.run_folder(parts), folder))
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert any(name.startswith("ema['params']") for name in found)


def test_its_accuracy_is_a_selection(folder):
    document = json.loads((folder / "scores.json").read_text())
    with np.load(folder / "history.npz") as history:
        last = history["ema_test_accuracy"][-1].tolist()
    assert list(document["selection"]) == list(SELECTIONS)
    assert document["selection"]["ema_last"]["accuracy"] == last
    assert document["selection"]["ema_last"]["epoch"] == [2, 2]
    assert document["headline"] == "best_clean_valid"
    told = " ".join((folder / "scores.txt").read_text().split())
    assert f"{document['selection']['ema_last']['mean']:.2f}" in told


def test_its_nets_give_its_accuracies_to_the_last_digit(folder):
    run = jaxnoise.load_run(folder)
    test = run.dataset.split == 2
    predicted = run.ema.logits(run.dataset.images[test]).argmax(axis=2)
    right = (predicted == run.dataset.labels[test]).sum(axis=1).astype(np.float32)
    # As the device computes it.
    np.testing.assert_allclose(
        100 * right / test.sum(), run.history["ema_test_accuracy"][-1], rtol=1e-6
    )
    saved = checkpoint.load(folder / "checkpoints" / "ema")
    np.testing.assert_equal(saved.pop("params"), run.ema.params)
    np.testing.assert_equal(saved, run.ema.variables)
    np.testing.assert_equal(saved["spectral"], run.last.variables["spectral"])


def test_it_is_verified(folder):
    checks = verified(folder)
    assert {"history.npz, checkpoints/ema", "ema_last, history.npz"} <= checks.keys()
    assert set(checks.values()) == {EQUAL}


@pytest.mark.parametrize("harm", ["history", "nets", "no nets"])
def test_harm_to_it_is_found(harm, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    if harm == "history":
        with np.load(copy / "history.npz") as archive:
            history = dict(archive)
        history["ema_test_accuracy"] = history["ema_test_accuracy"] + np.float32(5)
        np.savez_compressed(copy / "history.npz", **history)
    else:
        checkpoint.remove(copy / "checkpoints" / "ema")
    if harm == "nets":
        for path in (folder / "checkpoints").glob("best*"):
            name = path.name.replace("best", "ema")
            if path.is_dir():
                shutil.copytree(path, copy / "checkpoints" / name)
            else:
                text = path.read_text().replace("best/", "ema/")
                (copy / "checkpoints" / name).write_text(text)
    failed = {name: x for name, x in verified(copy).items() if x in (DIFFERENT, REFUSED)}
    assert (
        failed
        == {
            "history": {
                "history.npz, checkpoints/ema": DIFFERENT,
                "ema_last, history.npz": DIFFERENT,
                "metrics.jsonl": DIFFERENT,
            },
            "nets": {"history.npz, checkpoints/ema": DIFFERENT},
            "no nets": {"checkpoints/ema": REFUSED},
        }[harm]
    )


def test_run_without_one_has_no_such_nets(folder):
    run = jaxnoise.load_run(folder)
    plain = dataclasses.replace(run, config=dataclasses.replace(run.config, ema_decay=None))
    with pytest.raises(jaxnoise.InputError, match="no moving average of the weights; allowed is"):
        _ = plain.ema
