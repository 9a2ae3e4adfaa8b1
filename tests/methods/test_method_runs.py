"""Whole runs with losses and methods: with everything else, interrupted, and with an estimate."""

import json

import numpy as np
import pytest
import run_folders
from run_folders import StopAfter

from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.runs import folders
from jaxnoise.terminal import interruption
from jaxnoise.training import assembly
from jaxnoise.training.trainer import Trainer

SETTINGS = dict(
    dataset="digits", train_size=300, test_size=60, noise_rate=0.4, total_repeats=2, epochs_num=3,
    jacob_samples=20,
)  # fmt: skip


@pytest.fixture
def one_trainer(monkeypatch):
    """For all runs of a test, which have the same program: it is compiled once."""
    made = []

    def trainer(*arguments, **how):
        if not made:
            made.append(Trainer(*arguments, **how))
        return made[0]

    monkeypatch.setattr(assembly, "Trainer", trainer)


@pytest.mark.parametrize(
    "settings",
    [
        dict(method="elr", loss="gce", do_sn=True, wd_coef=1e-4, entropy_coef=0.1,
             jacob_coef=1e-3, jacob_start_epoch=0),
        dict(method="truncation", loss="gce", truncation_start_epoch=1, truncation_every=1),
        dict(method="mixup", loss="forward", noise_type="flip_noise", noise_draws=2),
    ],
    ids=lambda settings: settings["method"],
)  # fmt: skip
def test_interrupted_run_ends_as_if_it_had_not_been(settings, one_trainer, tmp_path):
    whole, parts = (
        Config(**SETTINGS | settings, results_dir=str(tmp_path / name))
        for name in ("whole", "parts")
    )
    experiment.run(whole)
    for epoch in (1, 2):
        with pytest.raises(interruption.Interrupted):
            experiment.run(parts, StopAfter(epoch))
    scores = experiment.run(parts)
    assert scores["n"] == 2 and np.isfinite(scores["mean"]["test_accuracy"])
    found, expected = (run_folders.content(folders.run_folder(x)) for x in (parts, whole))
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_matrix_is_estimated_from_a_first_run(tmp_path):
    config = Config(
        **SETTINGS | dict(noise_type="flip_noise", train_size=0),
        loss="forward", forward_matrix="estimated", results_dir=str(tmp_path),
    )  # fmt: skip
    experiment.run(config)
    first = folders.run_folder(
        Config(**SETTINGS | dict(noise_type="flip_noise", train_size=0), results_dir=str(tmp_path))
    )
    assert folders.finished(first)
    matrices = np.load(folders.run_folder(config) / "forward_matrix.npy")
    assert matrices.shape == (2, 10, 10) and matrices.dtype == np.float32
    np.testing.assert_allclose(matrices.sum(axis=2), 1, rtol=1e-5)
    noise = json.loads((folders.run_folder(config) / "noise.json").read_text())
    true = np.array(noise["draws"][0]["transition_matrix"]["asked"])
    for matrix in matrices:  # nearer to the truth than having none
        assert np.abs(matrix - true).sum() < np.abs(np.eye(10) - true).sum()
