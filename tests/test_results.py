"""The run folder: its name, its files, and what each of them says."""

import csv
import json
import os
import pathlib
import re
import struct

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from jaxnoise import results, variance
from jaxnoise.config import Config, InputError

DRAW = {"seed": 0, "picked": 73, "changed": 61, "true_rate": 0.333333, "sha256": "0123456789abcdef"}
NOISE = {
    "noise": "uniform_noise 0.4",
    "requested_rate": 0.4,
    "true_rate": 0.333333,
    "draws": [DRAW],
}


@pytest.fixture
def scores():
    """Scores of three repeats, float32 as they come from the device."""
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0, 100, 3).astype(np.float32) for name in results.SCORES}
    return values | {"best_epoch": np.array([3, 12, 7])}


@pytest.fixture
def metrics():
    """Two epochs of three repeats."""
    rng = np.random.default_rng(0)
    names = ("train_noisy_loss", "test_accuracy", "entropy")
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
    assert results.run_folder(config) == expected


def test_folder_is_usable_new_empty_or_of_an_earlier_run(tmp_path):
    folder = tmp_path / "a" / "b"
    results.check_usable(folder)
    assert not (tmp_path / "a").exists()  # to check is not to make
    results.start(folder)
    results.check_usable(folder)
    assert not list(folder.iterdir())
    (folder / "config.json").touch()
    (folder / "metrics.jsonl").touch()
    results.check_usable(folder)
    assert len(list(folder.iterdir())) == 2


def test_folder_that_holds_something_else_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError) as refusal:
        results.check_usable(tmp_path)
    assert str(refusal.value) == (
        f"--results_dir: {tmp_path} is in use by something that is not a run"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("inside", [".", "digits", "digits/uniform_noise_0"])
@pytest.mark.parametrize("relative", [False, True])
def test_file_in_the_way_is_named(tmp_path, monkeypatch, inside, relative):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    folder = (pathlib.Path() if relative else tmp_path) / "file" / inside
    with pytest.raises(InputError) as refusal:
        results.check_usable(folder)
    said = re.fullmatch(
        "--results_dir: (.*) is in the way of (.*); it is not a folder", str(refusal.value)
    )
    assert (tmp_path / said[1], tmp_path / said[2]) == (tmp_path / "file", tmp_path / folder)


def test_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    # Not by its permissions: root ignores them.
    monkeypatch.setattr(results.os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(InputError) as refusal:
        results.check_usable(tmp_path / "digits" / "noise")
    assert str(refusal.value) == (
        f"--results_dir: {tmp_path} cannot be written; allowed is any folder that can be"
    )


def test_folder_that_cannot_be_made_after_all_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"^--results_dir: .*link cannot be made: File exists$"):
        results.start(tmp_path / "link")


def test_start_empties_the_folder_and_keeps_it(tmp_path):
    (tmp_path / "logs" / "repeat_1").mkdir(parents=True)
    (tmp_path / "logs" / "repeat_1" / "events").touch()
    (tmp_path / "scores.json").touch()
    results.start(tmp_path)
    assert tmp_path.is_dir() and not list(tmp_path.iterdir())


# config.json


def test_config_json_holds_every_flag_as_used_and_the_facts(tmp_path):
    config = Config(wd_coef=1e-5, results_dir="elsewhere")
    results.write_config(tmp_path, config, {"wall_seconds": 1.5})
    document = json.loads((tmp_path / "config.json").read_text())
    assert document.pop("wall_seconds") == 1.5
    assert document.keys() == {"flags"}
    assert document["flags"].pop("net") == "allcnn"
    assert Config(**document["flags"]) == config


# metrics.jsonl, events, history.npz


def test_every_epoch_is_a_line_at_once(tmp_path, metrics):
    with results.EpochWriter(tmp_path, repeats=3) as writer:
        for epoch, row in enumerate(metrics, start=1):
            writer.write(epoch, row)
            lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
            assert len(lines) == epoch  # a run that is killed keeps its epochs
    for epoch, (line, row) in enumerate(zip(lines, metrics, strict=True), start=1):
        written = json.loads(line)
        assert written.pop("epoch") == epoch
        assert written == {name: values.tolist() for name, values in row.items()}


def read_events(folder):
    """(tag, step, value) of every scalar; a record is length, its CRC, content, its CRC."""
    (file,) = folder.iterdir()
    content, scalars = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        scalars += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        content = content[12 + length + 4 :]
    return scalars


def test_tensorboard_events_have_a_run_per_repeat(tmp_path, metrics):
    with results.EpochWriter(tmp_path, repeats=3) as writer:
        for epoch, row in enumerate(metrics, start=1):
            writer.write(epoch, row)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {
        "repeat_1", "repeat_2", "repeat_3",
    }  # fmt: skip
    tags = {
        "train_noisy_loss": "loss/train_noisy",
        "test_accuracy": "accuracy/test",
        "entropy": "entropy",
    }
    for repeat in range(3):
        assert sorted(read_events(tmp_path / "logs" / f"repeat_{repeat + 1}")) == sorted(
            (tags[name], epoch, float(values[repeat]))
            for epoch, row in enumerate(metrics, start=1)
            for name, values in row.items()
        )


def test_history_round_trip(tmp_path):
    history = {name: np.random.default_rng(0).random((4, 3), np.float32) for name in "ab"}
    results.write_history(tmp_path, history)
    with np.load(tmp_path / "history.npz") as saved:
        assert set(saved) == {"a", "b"}
        for name in saved:
            np.testing.assert_array_equal(saved[name], history[name])


# Scores


def test_scores_are_the_papers_seven_and_two_more():
    assert results.SCORES == (
        "train_noisy_accuracy", "train_accuracy", "valid_accuracy", "test_accuracy",
        "train_jacob", "test_jacob", "entropy", "last_test_accuracy", "best_epoch",
    )  # fmt: skip


@pytest.mark.parametrize("repeats", [1, 3])
def test_json_csv_and_txt_agree_with_numpy(tmp_path, scores, repeats):
    scores = {name: values[:repeats] for name, values in scores.items()}
    results.write_scores(tmp_path, scores, noise=NOISE)

    document = results.read_scores(tmp_path)
    assert document["noise"] == NOISE
    assert len(document["repeats"]) == repeats
    for i, row in enumerate(document["repeats"]):
        assert row == {name: float(scores[name][i]) for name in results.SCORES}
    for name in results.SCORES:
        values = scores[name].astype(np.float64)
        assert document["mean"][name] == np.mean(values)
        # The population's, as the paper's: one repeat has a deviation of 0, not NaN.
        assert document["std"][name] == np.sqrt(np.mean((values - values.mean()) ** 2))

    with open(tmp_path / "scores.csv", newline="") as file:
        table = list(csv.DictReader(file))
    numbered = [str(i + 1) for i in range(repeats)]
    assert [row.pop("repeat") for row in table] == [*numbered, "mean", "std"]
    rows = [*document["repeats"], document["mean"], document["std"]]
    assert [{name: float(text) for name, text in row.items()} for row in table] == rows

    text = (tmp_path / "scores.txt").read_text()
    cells = [line.split() for line in text.splitlines()]
    for label, row in zip([*numbered, "mean", "std"], rows, strict=True):
        (shown,) = [line[1:] for line in cells if line and line[0] == label]
        # Four significant digits.
        np.testing.assert_allclose([float(x) for x in shown], list(row.values()), rtol=5e-4)
    assert "73 training labels picked, 61 changed: true rate 33.33 %, SHA-256 0123456789abc" in text
    assert document["variance"] is None and "variance" not in text
    assert " ".join(document["selection"].split()) in " ".join(text.split())


def test_variance_is_split_where_draws_have_several_runs(tmp_path, scores):
    scores = {name: np.concatenate([values, values + 1]) for name, values in scores.items()}
    results.write_scores(tmp_path, scores, noise=NOISE | {"draws": [DRAW] * 3})
    parts = results.read_scores(tmp_path)["variance"]
    assert (parts["noise_draws"], parts["runs_per_draw"]) == (3, 2)
    for name in results.SCORES:
        expected = variance.components(scores[name], 3)._asdict()
        assert parts["std"][name] == expected
        # Runs on the same draw differ by 1: their variance is 1/2.
        assert parts["std"][name]["training"] == pytest.approx(np.sqrt(0.5), rel=1e-5)
    text = " ".join((tmp_path / "scores.txt").read_text().split())
    std = parts["std"]["test_accuracy"]
    assert f"std {std['noise']:.4g} between 3 noise draws, 0.7071 between the 2 runs" in text
    assert "Noise (uniform_noise 0.4): draw 3: 73 training labels picked" in text


def test_variance_is_not_split_where_every_run_has_its_draw(tmp_path, scores):
    results.write_scores(tmp_path, scores, noise=NOISE | {"draws": [DRAW] * 3})
    expected = {"noise_draws": 3, "runs_per_draw": 1, "std": None}
    assert results.read_scores(tmp_path)["variance"] == expected
    assert "std is of noise, initialization" in (tmp_path / "scores.txt").read_text()


def test_variance_of_a_diverged_repeat_is_null(tmp_path, scores):
    scores = {name: np.concatenate([values, values]) for name, values in scores.items()}
    scores["test_jacob"][4] = np.inf
    results.write_scores(tmp_path, scores, noise=NOISE | {"draws": [DRAW] * 3})
    std = results.read_scores(tmp_path)["variance"]["std"]
    assert std["test_jacob"] == {"noise": None, "training": None}


def test_scores_json_is_written_last(tmp_path, scores, monkeypatch):
    written, replace = [], os.replace
    monkeypatch.setattr(
        results.os, "replace", lambda *paths: (written.append(paths[1].name), replace(*paths))
    )
    assert not results.finished(tmp_path)
    results.write_scores(tmp_path, scores, noise=NOISE)
    assert written == ["scores.csv", "scores.txt", "scores.json"]
    assert {path.name for path in tmp_path.iterdir()} == set(written)  # nothing .partial
    assert results.finished(tmp_path)


def test_run_that_dies_while_it_writes_is_not_finished(tmp_path, scores, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(results.os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        results.write_scores(tmp_path, scores, noise=NOISE)
    assert not results.finished(tmp_path)
