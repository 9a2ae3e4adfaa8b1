"""What is read back of a run: settings with which its labels can be made again, and its data."""

import json
import shutil

import numpy as np
import pytest
import synthetic
from own_pictures import write_folder

import jaxnoise
from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import folders
from jaxnoise.runs.record import read_record
from jaxnoise.verify import __main__ as verify


@pytest.mark.usefixtures("standard_dtype_promotion")
def test_labels_that_were_trusted_are_trusted_again(tmp_path):
    labels = np.random.default_rng(0).permutation(data.load("digits").train_labels)
    np.save(tmp_path / "labels.npy", labels)
    config = Config(
        dataset="digits", train_size=200, test_size=40, epochs_num=1, total_repeats=1,
        jacob_samples=1, noise_file=str(tmp_path / "labels.npy"), trust_noise_file=True,
        results_dir=str(tmp_path / "results"), resume=False,
    )  # fmt: skip
    experiment.run(config)
    recorded = read_record(folders.run_folder(config)).config
    assert recorded.trust_noise_file and recorded.resume  # which changes nothing, and is not kept
    again = noisy_dataset.load(recorded)
    np.testing.assert_array_equal(again.noisy_labels[0].noisy, labels[again.train_index])


# Where the data are


SETTINGS = dict(
    epochs_num=1, total_repeats=1, batch_size=8, jacob_samples=1, noise_rate=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with runs on a TFDS copy and on own pictures, made with relative paths there."""
    base = tmp_path_factory.mktemp("base")
    images, labels = synthetic.pictures(60, (28, 28, 1)), np.arange(60) % 5
    synthetic.write_copy(base / "copies" / "tfds", images, labels, num_classes=5)
    write_folder(base / "own", (20, 20, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))
        patch.setenv("TFDS_DATA_DIR", "copies/tfds")
        for name, settings in (
            ("environment", {"dataset": "toy"}),
            ("relative", {"dataset": "toy", "data_dir": "copies/tfds"}),
            ("own", {"dataset": "folder:own"}),
        ):
            assert experiment.run(Config(**SETTINGS, **settings, results_dir=f"results_{name}"))
    return base


def run_in(base, name):
    (folder,) = base.glob(f"results_{name}/*/*/*")
    return folder


@pytest.fixture
def elsewhere(made, tmp_path, monkeypatch):
    """Another working folder, without the variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(made / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", ["environment", "relative", "own"])
def test_data_are_found_again_from_elsewhere(name, made, elsewhere, capsys):
    folder = run_in(made, name)
    found = jaxnoise.load_run(folder)
    assert len(found.dataset.labels) == (60 if name == "own" else 120)
    if name != "relative":
        assert verify.main([str(folder)]) == 0
        assert "bit for bit" in capsys.readouterr().out
    # What names the run, and the command that makes it, are as before.
    flags = json.loads((folder / "config.json").read_text())["flags"]
    assert flags["data_dir"] == (None if name != "relative" else "copies/tfds")
    assert "--data_dir" not in Config(**flags).command or name == "relative"
    assert run_in(made, "environment").name == run_in(made, "relative").name


def test_where_the_flag_points_counts_more(made, elsewhere):
    folder = run_in(made, "environment")
    shutil.copytree(made / "copies", elsewhere / "others")
    config = read_record(folder, data_dir="others/tfds").config
    assert config.data_dir == "others/tfds"


def test_data_that_have_gone_are_looked_for_as_before(made, elsewhere, monkeypatch, capsys):
    there = made / "copies" / "tfds"
    gone = there.rename(made / "gone")
    try:
        for name in ("environment", "relative"):
            folder = run_in(made, name)
            assert jaxnoise.load_run(folder).scores
            assert verify.main([str(folder)]) == 2
            told = capsys.readouterr().err
            looked = "copies/tfds" if name == "relative" else "tensorflow_datasets"
            assert f"--data_dir={elsewhere / looked}" in told
            assert f"; the run read its data in {there}, where they no longer are\n" in told
        monkeypatch.setenv("TFDS_DATA_DIR", str(gone))
        assert len(jaxnoise.load_run(run_in(made, "environment")).dataset.labels) == 120
    finally:
        gone.rename(there)


def test_a_run_from_before_the_folder_was_recorded_is_read_as_before(made, elsewhere, tmp_path):
    folder = shutil.copytree(run_in(made, "environment"), tmp_path / "run")
    document = json.loads((folder / "config.json").read_text())
    assert document.pop("data_folder") == str(made / "copies" / "tfds")
    (folder / "config.json").write_text(json.dumps(document))
    assert read_record(folder).config.data_dir is None


def test_a_recorded_folder_that_is_no_path_is_damage(made, elsewhere, tmp_path):
    folder = shutil.copytree(run_in(made, "environment"), tmp_path / "run")
    document = json.loads((folder / "config.json").read_text()) | {"data_folder": 3}
    (folder / "config.json").write_text(json.dumps(document))
    with pytest.raises(jaxnoise.InputError, match="damaged or from another version"):
        read_record(folder)
