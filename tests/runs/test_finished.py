"""A run on a user's own pictures by the command line, and jaxnoise as a library that reads it."""

import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from absl import flags
from main_program import call
from own_pictures import CLASSES, write_folder, write_labels
from places import ROOT

import jaxnoise
import main
from jaxnoise import data
from jaxnoise.runs import checkpoint

SETTINGS = dict(
    dataset="folder:own", total_repeats=2, epochs_num=2, batch_size=8, jacob_samples=2,
    preprocess_mode="mean_substract",
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Where pictures and their noisy labels are; the train set has 50, the test set 10."""
    base = tmp_path_factory.mktemp("base")
    write_folder(base / "own", (20, 20, 20))
    files = data.load("folder:own", data_dir=base, cache_dir=base / "cache").train_files
    write_labels(base / "noisy.csv", {file: CLASSES[i % 3] for i, file in enumerate(files)})
    return base


@pytest.fixture(scope="module")
def ran(base):
    """The settings of a run that is finished."""
    if "noise_rate" not in flags.FLAGS:
        main.define_flags()
    settings = SETTINGS | {
        "noise_file": f"{base}/noisy.csv",
        "trust_noise_file": True,  # whose labels are the classes in turn
        "results_dir": f"{base}/results",
        "data_dir": f"{base}",
        "cache_dir": f"{base}/cache",
    }
    assert call(*(f"--{name}={value}" for name, value in settings.items())) == 0
    return jaxnoise.Config(**settings)


@pytest.fixture(scope="module")
def finished(ran):
    return jaxnoise.load_run(jaxnoise.run_folder(ran))


# Own pictures


def test_suspects_name_the_files_and_the_labels_that_they_were_given(base, finished):
    with open(base / "noisy.csv", newline="") as file:
        given = {row["file"]: row["label"] for row in csv.DictReader(file)}
    files = data.load("folder:own", data_dir=base, cache_dir=base / "cache").train_files
    with open(finished.folder / "suspects.csv", newline="") as file:
        suspects = list(csv.DictReader(file))
    assert {row["file"] for row in suspects} == {files[i] for i in finished.noise["train_index"]}
    for row in suspects:
        assert files[int(row["index"])] == row["file"]
        assert row["given_label"] == given[row["file"]]
        assert row["true_label"] == row["file"].split("/")[0]
        assert row["predicted_label"] in CLASSES


def test_run_goes_with_its_pictures_when_they_are_moved(base, ran, finished, tmp_path):
    assert finished.folder.parts[-3:-1] == ("folder_own", "noise_file")
    shutil.copytree(base / "own", tmp_path / "own")
    where = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    moved = jaxnoise.load_run(finished.folder, **where)
    assert moved.config.fingerprint == ran.fingerprint
    assert moved.task.data_sha256 == finished.task.data_sha256
    (tmp_path / "own" / "cat" / "00.png").unlink()
    with pytest.raises(jaxnoise.InputError, match="not the one that the run used"):
        _ = jaxnoise.load_run(finished.folder, **where).task


# Library


@pytest.mark.parametrize("use", ["", "jaxnoise.Config(noise_rate=0.4); jaxnoise.InputError"])
def test_import_and_settings_load_no_jax(use):
    heavy = {"jax", "flax", "numpy", "tensorflow_datasets", "matplotlib", "absl"}
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, jaxnoise; {use}\nprint(*sys.modules)"],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert "jaxnoise" in told.stdout.split() and not heavy & set(told.stdout.split())


def test_the_version_stands_in_one_place_and_in_what_is_cited(finished):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "jaxnoise.__version__"}
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.M) == [jaxnoise.__version__]
    facts = json.loads((finished.folder / "config.json").read_text())
    assert facts["jaxnoise"] == jaxnoise.__version__


def test_a_run_is_shown_in_a_few_lines(finished):
    shown = repr(finished)
    assert str(finished.folder) in shown and "array" not in shown and len(shown) < 5000


def test_every_name_is_there_and_no_other():
    assert set(jaxnoise.__all__) <= set(dir(jaxnoise))
    for name in jaxnoise.__all__:
        assert getattr(jaxnoise, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        jaxnoise.runn  # noqa: B018


def test_numbers_are_those_of_the_run(ran, finished):
    scores = jaxnoise.run(ran)  # which is finished
    assert finished.config.result_settings == ran.result_settings
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
        assert logits.shape == (2, 10, 3) and logits.dtype == np.float32
        right = logits.argmax(axis=2) == finished.task.labels[test]
        np.testing.assert_allclose(100 * right.mean(axis=1), finished.scores[name], atol=1e-3)
    saved = checkpoint.load(finished.folder / "checkpoints" / "best")
    np.testing.assert_equal(saved.pop("params"), finished.best.params)
    np.testing.assert_equal(saved, finished.best.variables)


def test_readme_snippet_prints_the_scores(ran, finished, monkeypatch, capsys):
    readme = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(import jaxnoise\n.*?)```$", readme, re.M | re.S)
    monkeypatch.setattr(jaxnoise, "Config", lambda **_: ran)
    exec(snippet, {})
    (told,) = re.findall(r"^\[(.*)\]$", capsys.readouterr().out, re.M)
    accuracies = [float(x) for x in told.split()]
    np.testing.assert_allclose(accuracies, finished.scores["test_accuracy"], atol=1e-3)


def test_logits_of_a_picture_do_not_depend_on_the_others(finished):
    images = finished.task.images[finished.task.split == 2]
    np.testing.assert_allclose(
        finished.best.logits(images[3:4])[:, 0],
        finished.best.logits(images)[:, 3],
        rtol=1e-4,
        atol=1e-4,
    )


def test_predictions_follow_from_the_logits(finished):
    images = finished.dataset.images[finished.dataset.split == 2]
    logits = finished.best.logits(images)
    shares, classes = finished.best.predict_proba(images), finished.best.predict(images)
    assert shares.dtype == np.float32 and classes.dtype == np.int32
    assert shares.shape == (2, 10, 3) and classes.shape == (2, 10)
    np.testing.assert_allclose(shares, scipy.special.softmax(np.float64(logits), -1), atol=1e-6)
    np.testing.assert_array_equal(classes, logits.argmax(axis=2))
    named = [finished.class_names[i] for i in classes[0]]
    assert finished.class_names == CLASSES and set(named) <= set(CLASSES)


def test_one_picture_has_no_axis_of_pictures(finished):
    image = finished.dataset.images[-1]
    for measure in (finished.last.logits, finished.last.predict_proba, finished.last.predict):
        np.testing.assert_array_equal(measure(image), measure(image[None])[:, 0])
        np.testing.assert_array_equal(measure(image[..., 0]), measure(image))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shares_of_255_are_the_same_pictures(finished, dtype):
    images = finished.dataset.images[:5]
    expected = finished.best.logits(images)
    found = finished.best.logits(images / np.asarray(255, dtype))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(finished.best.logits(images), expected)


@pytest.mark.parametrize("images", [np.full((1, 28, 28, 1), 7.0), np.zeros((0, 28, 28), "uint8")])
@pytest.mark.parametrize("name", ["logits", "predict_proba", "predict"])
def test_images_that_do_not_fit_are_told(finished, images, name):
    with pytest.raises(jaxnoise.InputError, match=r"^images are .*allowed are "):
        getattr(finished.best, name)(images)


def test_suspects_are_the_columns_of_the_list(finished):
    with open(finished.folder / "suspects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(finished.suspects) == list(rows[0])
    assert finished.suspects["index"].dtype.kind == "i"
    for name, column in finished.suspects.items():
        written = [f"{x:.6g}" if name == "score" else str(x) for x in column]
        assert written == [row[name] for row in rows]


def test_suspects_of_damaged_samples_are_told(finished, tmp_path, caplog):
    folder = shutil.copytree(finished.folder, tmp_path / "a" / "b" / "c" / "copy")
    (folder / "samples.npz").unlink()
    with pytest.raises(jaxnoise.InputError, match=r"samples\.npz: cannot be read"):
        _ = jaxnoise.load_run(folder).suspects


def test_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(jaxnoise.InputError, match="not the folder of a finished run"):
        jaxnoise.load_run(tmp_path)


def test_folder_above_a_run_names_the_run(finished):
    for above in list(finished.folder.parents)[:3]:
        with pytest.raises(jaxnoise.InputError) as caught:
            jaxnoise.load_run(above)
        assert str(caught.value).endswith(f"; one of a finished run is {finished.folder}")


# Where the run is


def link(to, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(to)
    return place


def test_settings_that_were_loaded_name_the_run_again(ran, finished, tmp_path, monkeypatch):
    folder = finished.folder
    assert jaxnoise.run_folder(finished.config) == folder
    assert jaxnoise.run_folder(finished.config) == jaxnoise.run_folder(ran)
    moved = shutil.copytree(Path(ran.results_dir), tmp_path / "moved # 100 % ü")
    moved = moved / folder.relative_to(ran.results_dir)
    monkeypatch.chdir(moved.parents[1])
    monkeypatch.setenv("HOME", str(moved.parents[3]))
    own_name = Path(*moved.parts[-3:])
    for given in (
        moved,
        f"{moved}/",
        moved / "checkpoints" / "..",
        Path(*moved.parts[-2:]),
        f"./{moved.parts[-2]}/../{moved.parts[-2]}/{moved.name}",
        f"~/{moved.relative_to(moved.parents[3])}",
        link(moved, tmp_path / "latest"),
        link(moved.parents[2], tmp_path / "linked") / own_name,
    ):
        config = jaxnoise.load_run(given).config
        assert jaxnoise.run_folder(config).samefile(moved), given
        assert jaxnoise.run(config) == jaxnoise.run(ran)  # which is finished


def test_a_short_relative_path_stays_relative(ran, finished, monkeypatch):
    monkeypatch.chdir(Path(ran.results_dir).parent)
    relative = finished.folder.relative_to(Path(ran.results_dir).parent)
    config = jaxnoise.load_run(relative).config
    assert config.results_dir == "results" and jaxnoise.run_folder(config) == relative
    assert "--results_dir" not in config.command


def test_a_renamed_run_warns_that_it_would_be_trained(ran, finished, tmp_path, caplog):
    renamed = shutil.copytree(finished.folder, tmp_path / "a" / "b" / "c" / "backup")
    found = jaxnoise.load_run(renamed)
    assert found.config.results_dir == ran.results_dir  # where it was made
    (said,) = caplog.messages
    assert str(renamed) in said and "would train it again" in said
    assert str(Path(*finished.folder.parts[-3:])) in said


def test_a_run_that_other_code_made_warns_that_its_nets_are_built_by_this_one(
    base, ran, finished, tmp_path, caplog
):
    folder = shutil.copytree(base / "results", tmp_path / "results") / finished.folder.relative_to(
        base / "results"
    )
    document = json.loads((folder / "config.json").read_text())
    document["code"]["jaxnoise.nets"] = "LeNet=00000000"
    (folder / "config.json").write_text(json.dumps(document))
    jaxnoise.load_run(folder)
    assert caplog.messages == [f"Warning: RUN_DIR={folder}: made by other code in jaxnoise.nets"]


def test_a_run_whose_pictures_have_gone_can_be_read(base, ran, finished, caplog):
    gone = (base / "own").rename(base / "elsewhere")
    try:
        found = jaxnoise.load_run(finished.folder)
        assert found.config.results_dir == ran.results_dir and not caplog.messages
        with pytest.raises(jaxnoise.InputError, match=f"the run read its data in {base}, where"):
            _ = found.dataset
    finally:
        gone.rename(base / "own")
