"""jaxnoise as a library: a fast import, a run, and all that is read of it afterwards."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import jaxnoise
from jaxnoise import checkpoint

SETTINGS = dict(
    dataset="digits", train_size=200, test_size=60, noise_rate=0.4, do_sn=True, total_repeats=2,
    epochs_num=2, jacob_samples=2, preprocess_mode="mean_substract",
)  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The settings of a run that is finished, and its scores."""
    config = jaxnoise.Config(**SETTINGS, results_dir=str(tmp_path_factory.mktemp("results")))
    return config, jaxnoise.run(config)


@pytest.fixture(scope="module")
def finished(ran):
    return jaxnoise.load_run(jaxnoise.run_folder(ran[0]))


@pytest.mark.parametrize("use", ["", "jaxnoise.Config(noise_rate=0.4); jaxnoise.InputError"])
def test_import_and_settings_load_no_jax(use):
    heavy = {"jax", "flax", "numpy", "tensorflow_datasets", "matplotlib", "absl"}
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, jaxnoise; {use}\nprint(*sys.modules)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "jaxnoise" in told.stdout.split() and not heavy & set(told.stdout.split())


def test_every_name_is_there_and_no_other():
    assert set(jaxnoise.__all__) <= set(dir(jaxnoise))
    for name in jaxnoise.__all__:
        assert getattr(jaxnoise, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        jaxnoise.runn  # noqa: B018


def test_numbers_are_those_of_the_run(ran, finished):
    config, scores = ran
    assert finished.config.result_settings == config.result_settings
    assert list(finished.scores["test_accuracy"]) == [x["test_accuracy"] for x in scores["repeats"]]
    assert finished.history["test_accuracy"].shape == (2, 2)
    np.testing.assert_allclose(
        finished.history["test_accuracy"][-1], finished.scores["last_test_accuracy"], atol=1e-4
    )
    assert finished.noise["changed"].mean() == pytest.approx(scores["noise"]["true_rate"], abs=1e-6)
    assert finished.samples["loss"].shape == (2, len(finished.noise["clean"]))


def test_logits_of_the_nets_give_the_scores(finished):
    test = finished.task.split == 2
    for nets, name in ((finished.best, "test_accuracy"), (finished.last, "last_test_accuracy")):
        logits = nets.logits(finished.task.images[test])
        assert logits.shape == (2, 60, 10) and logits.dtype == np.float32
        right = logits.argmax(axis=2) == finished.task.labels[test]
        np.testing.assert_allclose(100 * right.mean(axis=1), finished.scores[name], atol=1e-3)
    saved = checkpoint.load(finished.folder / "checkpoints" / "best")
    np.testing.assert_equal(saved.pop("params"), finished.best.params)
    np.testing.assert_equal(saved, finished.best.variables)


def test_readme_snippet_prints_the_scores(ran, finished, monkeypatch, capsys):
    readme = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(import jaxnoise\n.*?)```$", readme, re.M | re.S)
    monkeypatch.setattr(jaxnoise, "Config", lambda **_: ran[0])
    exec(snippet, {})
    (told,) = re.findall(r"^\[(.*)\]$", capsys.readouterr().out, re.M)
    accuracies = [float(x) for x in told.split()]
    np.testing.assert_allclose(accuracies, finished.scores["test_accuracy"], atol=1e-3)


def test_logits_of_a_picture_do_not_depend_on_the_others(finished):
    images = finished.task.images[:5]
    np.testing.assert_allclose(
        finished.last.logits(images[3:4])[:, 0],
        finished.last.logits(images)[:, 3],
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 28, 28, 1)), np.zeros((28, 28, 1), "uint8"), np.zeros((0, 28, 28, 1), "uint8")],
)
def test_images_that_do_not_fit_are_told(finished, images):
    with pytest.raises(
        jaxnoise.InputError, match=r"allowed are uint8 of shape \(1 or more, 28, 28, 1\)"
    ):
        finished.best.logits(images)


def test_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(jaxnoise.InputError, match="not the folder of a finished run"):
        jaxnoise.load_run(tmp_path)
