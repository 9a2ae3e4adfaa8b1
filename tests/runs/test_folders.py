"""The run folder: its name, its files, and what each of them says."""

import json
import math
import pathlib
import re
from types import SimpleNamespace

import numpy as np
import pytest
import run_folders

from jaxnoise.config import NETWORKS, Config, InputError
from jaxnoise.runs import documents, folders
from jaxnoise.runs.history import EpochWriter, write_history
from jaxnoise.runs.samples import of_progress, read_samples, write_samples
from jaxnoise.training import loop
from jaxnoise.training.evaluation import Samples, Suspicion


@pytest.fixture
def metrics():
    """Two epochs of three repeats."""
    rng = np.random.default_rng(0)
    names = ("train_noisy_loss", "test_accuracy", "entropy", "changed_as_noisy")
    return [{name: rng.uniform(size=3).astype(np.float32) for name in names} for _ in range(2)]


# The folder


def test_folder_name_tells_data_noise_and_regularization(tmp_path):
    config = Config(
        dataset="emnist/letters",
        noise_type="flip_noise",
        noise_rate=0.25,
        wd_coef=1e-5,
        do_sn=True,
        results_dir=str(tmp_path),
    )
    expected = tmp_path / "emnist_letters" / "flip_noise_0.25" / f"wd_1e-05_sn-{config.fingerprint}"
    assert folders.run_folder(config) == expected


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"dataset": "digits", "net": "allcnn"}, "allcnn_no_reg"),
        ({"dataset": "cifar10", "net": "lenet", "do_sn": True}, "lenet_sn"),
        ({"dataset": "digits", "net": "lenet"}, "no_reg"),
        ({"dataset": "cifar10"}, "no_reg"),
    ],
)
def test_folder_name_has_a_net_that_is_not_the_default(settings, name, tmp_path):
    config = Config(**settings, results_dir=str(tmp_path))
    assert folders.run_folder(config).name == f"{name}-{config.fingerprint}"


def test_run_of_an_earlier_version_keeps_its_folder(tmp_path):
    """Its name lacks the net; it would be trained again under another."""
    config = Config(dataset="digits", net="allcnn", results_dir=str(tmp_path / "results"))
    new = folders.run_folder(config)
    old = new.with_name(new.name.removeprefix("allcnn_"))
    old.mkdir(parents=True)
    assert folders.run_folder(config) == old
    assert not folders.done(config)
    documents.write_config(old, config, {})
    (old / "scores.json").write_text("{}")
    assert folders.done(config)
    moved = (tmp_path / "results").rename(tmp_path / "moved")
    folder = moved / old.relative_to(tmp_path / "results")
    assert folders.results_dir_of(config, folder) == str(moved)


def test_folder_is_usable_new_empty_or_of_an_earlier_run(tmp_path):
    folder = tmp_path / "a" / "b"
    folders.check_usable(folder)
    assert not (tmp_path / "a").exists()  # to check is not to make
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    folders.check_usable(folder)  # of a claim that was cut short
    folders.claim(folder, Config(), {})
    (folder / "metrics.jsonl").touch()
    folders.check_usable(folder)
    assert len(list(folder.iterdir())) == 3


def test_folder_that_holds_something_else_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError) as refusal:
        folders.check_usable(tmp_path)
    assert str(refusal.value) == (f"--results_dir: {tmp_path} contains files that are not a run's")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("inside", [".", "digits", "digits/uniform_noise_0"])
@pytest.mark.parametrize("relative", [False, True])
def test_file_in_the_way_is_named(tmp_path, monkeypatch, inside, relative):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    folder = (pathlib.Path() if relative else tmp_path) / "file" / inside
    with pytest.raises(InputError) as refusal:
        folders.check_usable(folder)
    said = re.fullmatch(
        "--results_dir: (.*) is in the way of (.*): it is not a folder", str(refusal.value)
    )
    assert (tmp_path / said[1], tmp_path / said[2]) == (tmp_path / "file", tmp_path / folder)


def test_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    # Not by its permissions: root ignores them.
    monkeypatch.setattr(folders.os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(InputError) as refusal:
        folders.check_usable(tmp_path / "digits" / "noise")
    assert str(refusal.value) == (
        f"--results_dir: {tmp_path} cannot be written; allowed is any writable folder"
    )


def test_folder_that_cannot_be_made_after_all_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"^--results_dir: .*link cannot be made: File exists$"):
        folders.claim(tmp_path / "link", Config(), {})


@pytest.mark.parametrize("going_on", [False, True])
def test_clear_keeps_what_all_sessions_share(going_on, tmp_path):
    for name in ("logs/repeat_1/events", "checkpoints/epoch_0001/d", "log.txt", "scores.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folders.claim(tmp_path, Config(seed=3), {})
    folders.claim(tmp_path, Config(seed=4), {})  # it is claimed
    folders.clear(tmp_path, going_on=going_on)
    kept = {"config.json", "log.txt"} | ({"checkpoints"} if going_on else set())
    assert {path.name for path in tmp_path.iterdir()} == kept
    assert json.loads((tmp_path / "config.json").read_text())["flags"]["seed"] == 3


def test_sessions_are_the_facts_of_the_config_so_far(tmp_path):
    assert documents.sessions(tmp_path) == []
    for i in range(3):
        facts = {"started": i, "earlier_sessions": documents.sessions(tmp_path)}
        documents.write_config(tmp_path, Config(), facts)
    assert documents.sessions(tmp_path) == [{"started": 0}, {"started": 1}, {"started": 2}]
    (tmp_path / "config.json").write_text("{")
    assert documents.sessions(tmp_path) == []


# config.json


def test_config_json_holds_hyperparameters_that_are_defaults(tmp_path):
    documents.write_config(tmp_path, Config(dataset="cifar100", loss="sce", sce_beta=2.0), {})
    document = json.loads((tmp_path / "config.json").read_text())
    expected = {"sce_alpha": 6.0, "sce_beta": 2.0, "sce_log_zero": math.log(1e-4)}
    assert document["hyperparameters"] == expected
    assert documents.sessions(tmp_path) == []


def test_config_json_holds_every_flag_as_used_and_the_facts(tmp_path):
    config = Config(wd_coef=1e-5, results_dir="elsewhere")
    documents.write_config(tmp_path, config, {"wall_seconds": 1.5})
    document = json.loads((tmp_path / "config.json").read_text())
    assert document.pop("wall_seconds") == 1.5
    assert document.keys() == {"flags", "hyperparameters", "training"}
    assert not document["hyperparameters"]
    assert document["training"] == config.training_settings
    assert document["flags"].pop("net") == "allcnn"
    assert Config(**document["flags"]) == config


def test_a_finished_run_of_other_defaults_of_its_net_does_not_count(tmp_path, monkeypatch):
    config = Config(net="resnet18", results_dir=str(tmp_path))
    folder = folders.run_folder(config)
    folder.mkdir(parents=True)
    documents.write_config(folder, config, {})
    (folder / "scores.json").write_text("{}")
    assert folders.done(config)
    monkeypatch.setitem(NETWORKS, "resnet18", NETWORKS["resnet18"]._replace(learning_rate=0.1))
    with pytest.raises(InputError, match="a default has changed, and now it would be .*0.1"):
        folders.done(config)
    document = json.loads((folder / "config.json").read_text())
    del document["training"]  # a run of an earlier version
    (folder / "config.json").write_text(json.dumps(document))
    assert folders.done(config)


# metrics.jsonl, events, history.npz


def test_every_epoch_is_a_line_at_once(tmp_path, metrics):
    with EpochWriter(tmp_path, repeats=3) as writer:
        for epoch, row in enumerate(metrics, start=1):
            writer.write(epoch, row)
            lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
            assert len(lines) == epoch  # a run that is killed keeps its epochs
    for epoch, (line, row) in enumerate(zip(lines, metrics, strict=True), start=1):
        written = json.loads(line)
        assert written.pop("epoch") == epoch
        assert written == {name: values.tolist() for name, values in row.items()}


def test_tensorboard_events_have_a_run_per_repeat(tmp_path, metrics):
    with EpochWriter(tmp_path, repeats=3) as writer:
        for epoch, row in enumerate(metrics, start=1):
            writer.write(epoch, row)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {
        "repeat_1", "repeat_2", "repeat_3",
    }  # fmt: skip
    tags = {
        "train_noisy_loss": "loss/train_noisy",
        "test_accuracy": "accuracy/test",
        "entropy": "entropy",
        "changed_as_noisy": "memorization/changed_as_noisy",
    }
    for repeat in range(3):
        (file,) = (tmp_path / "logs" / f"repeat_{repeat + 1}").iterdir()
        assert sorted(run_folders.scalars(file)) == sorted(
            (tags[name], epoch, float(values[repeat]))
            for epoch, row in enumerate(metrics, start=1)
            for name, values in row.items()
        )


def test_samples_round_trip(tmp_path):
    each = Samples(np.float32([[1, 2], [3, 4]]), np.int32([[5, 6], [7, 8]]))
    none = np.full(2, -1)
    suspicion = Suspicion(np.float32([[5, 6], [7, 8]]), np.float32([1, 2]))
    best = np.int32([[9, 8], [7, 6]])
    progress = loop.Progress(None, None, none, none, none, each, suspicion, best)
    write_samples(tmp_path, of_progress(progress))
    dataset = SimpleNamespace(train_index=np.arange(2), num_classes=10)
    samples = read_samples(tmp_path, Config(total_repeats=2), dataset)
    assert samples.keys() == {"loss", "score", "predicted", "best_predicted"}
    np.testing.assert_array_equal(samples["score"], suspicion.score)
    np.testing.assert_array_equal(samples["loss"], each.loss)
    np.testing.assert_array_equal(samples["predicted"], each.predicted)
    np.testing.assert_array_equal(samples["best_predicted"], progress.best_predicted)


@pytest.mark.parametrize("name", ["predicted", "best_predicted"])
@pytest.mark.parametrize("bad", [np.array([[0, 10]]), np.array([[0, -2]]), np.array([[0.0, 1.0]])])
def test_predictions_that_are_no_classes_are_refused(name, bad, tmp_path):
    fine = {"loss": np.zeros((1, 2)), "predicted": np.array([[0, -1]])}
    dataset = SimpleNamespace(train_index=np.arange(2), num_classes=10)
    write_samples(tmp_path, fine)
    assert read_samples(tmp_path, Config(total_repeats=1), dataset).keys() == fine.keys()
    write_samples(tmp_path, fine | {name: bad})
    with pytest.raises(InputError, match=f"samples.npz: {name} holds .* integers from 0 to 9"):
        read_samples(tmp_path, Config(total_repeats=1), dataset)


def test_history_round_trip(tmp_path):
    history = {name: np.random.default_rng(0).random((4, 3), np.float32) for name in "ab"}
    write_history(tmp_path, history)
    with np.load(tmp_path / "history.npz") as saved:
        assert set(saved) == {"a", "b"}
        for name in saved:
            np.testing.assert_array_equal(saved[name], history[name])
