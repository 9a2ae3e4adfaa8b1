"""Noise written to files, of runs and without training, and read back as what it was."""

import csv
import hashlib
import json

import numpy as np
import own_pictures
import pytest
import synthetic

import jaxnoise
from jaxnoise import data, noise
from jaxnoise.config import Config
from jaxnoise.experiments import noise_export
from jaxnoise.labels import noisy_dataset
from jaxnoise.noise_files.writing import FORMATS


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    return synthetic.copied_cifar10(tmp_path_factory.mktemp("data"))


def call(folder, *arguments, **flags):
    return noise.main([*arguments, *(f"--{name}={value}" for name, value in flags.items())])


def whole(what):
    """Labels by their places in the copy, both parts together."""
    index = np.concatenate([what.train_index, what.valid_index])
    labels = np.concatenate([what.noisy_labels[0].noisy, what.noisy_valid_labels[0].noisy])
    return labels[np.argsort(index)]


@pytest.mark.parametrize("order", noise_export.ORDERS)
@pytest.mark.parametrize("to", FORMATS)
def test_what_is_written_is_read_back_in_either_order(cifar10, tmp_path, capsys, to, order):
    where, true = cifar10
    out = tmp_path / f"n_0.4{FORMATS[to].suffix}"
    made = {"dataset": "cifar10", "noise_type": "symmetric_noise", "noise_rate": 0.4}
    assert call(tmp_path, **made, to=to, order=order, out=out, **where) == 0
    about = json.loads((tmp_path / f"{out.name}.about.json").read_text())
    assert (about["changed"], about["samples"], about["true_rate"]) == (16, 40, 0.4)
    assert about["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    drawn = noisy_dataset.load(Config(**made, validation_ratio=0, batch_size=8, **where))
    again = Config(
        dataset="cifar10", noise_file=str(out), validation_ratio=0.25, batch_size=8, **where
    )
    np.testing.assert_array_equal(whole(noisy_dataset.load(again)), whole(drawn))
    places = data.original_order("cifar10", 40)
    expected = whole(drawn) if order == "tfds" else whole(drawn)[np.argsort(places)]
    digest = hashlib.sha256(expected.astype("<i4").tobytes()).hexdigest()
    assert about["sha256_of_labels"] == digest
    told = capsys.readouterr().out
    assert told.startswith(f"Written: {out}: 40 labels of cifar10, 16 changed (40.00 %), in the ")
    assert f"order of {noise_export.ORDERS[order]}; SHA-256 {about['sha256'][:16]}" in told


def test_what_pytorch_has_are_the_original_files(cifar10, tmp_path):
    """A list of labels for `dataset.targets`, and the true ones beside it."""
    where, true = cifar10
    made = {"dataset": "cifar10", "noise_type": "pair_noise", "noise_rate": 0.5, **where}
    assert call(tmp_path, **made, out=tmp_path / "x.json") == 0
    noisy = np.array(json.loads((tmp_path / "x.json").read_text()))
    changed = noisy != true
    np.testing.assert_array_equal(noisy[changed], (true[changed] + 1) % 10)
    assert changed.sum() == 20
    assert call(tmp_path, **made, out=tmp_path / "x.csv") == 0
    with open(tmp_path / "x.csv") as file:
        rows = [[int(x) for x in row] for row in list(csv.reader(file))[1:]]
    np.testing.assert_array_equal(rows, np.stack([np.arange(40), true, noisy], axis=1))
    about = json.loads((tmp_path / "x.csv.about.json").read_text())
    np.testing.assert_allclose(about["transition_matrix"]["asked"], 0.5 * np.eye(10) +
                               0.5 * np.roll(np.eye(10), 1, axis=1))  # fmt: skip
    np.testing.assert_allclose(
        about["transition_matrix"]["realized"], about["transition_matrix"]["asked"]
    )
    for end in ("png", "pdf"):
        assert (tmp_path / f"x.csv.matrix.{end}").stat().st_size > 1000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    base = tmp_path_factory.mktemp("run")
    config = Config(
        dataset="digits", noise_rate=0.4, epochs_num=1, total_repeats=2, noise_draws=2,
        test_size=50, jacob_samples=1, results_dir=str(base), cache_dir=str(base / "cache"),
    )  # fmt: skip
    jaxnoise.run(config)
    return jaxnoise.run_folder(config)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("draw", [0, 1])
def test_the_noise_of_a_run_is_written_with_both_of_its_parts(run, tmp_path, to, draw):
    out = tmp_path / f"x{FORMATS[to].suffix}"
    assert call(tmp_path, str(run), to=to, out=out, draw=draw) == 0
    dataset = jaxnoise.load_run(run).dataset
    again = noisy_dataset.load(Config(dataset="digits", noise_file=str(out), split_seed=3))
    labels = np.full(1442, -1)
    for index, part in (
        (dataset.train_index, dataset.noisy_labels[draw]),
        (dataset.valid_index, dataset.noisy_valid_labels[draw]),
    ):
        labels[index] = part.noisy
    np.testing.assert_array_equal(whole(again), labels)
    about = json.loads((tmp_path / f"{out.name}.about.json").read_text())
    assert (about["order"], about["noise_seed"]) == (None, draw)


@pytest.mark.parametrize("validation", ["", "val"])
def test_class_folders_are_written_by_name(tmp_path, validation):
    own_pictures.write_splits(tmp_path / "own", validation)
    out = tmp_path / "x.csv"
    made = {"dataset": f"folder:{tmp_path / 'own'}", "noise_rate": 0.5}
    assert call(tmp_path, **made, out=out, cache_dir=tmp_path / "cache") == 0
    with open(out, encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "label", "label_noisy"]
    assert all(row[0].split("/")[-2] == row[1] for row in rows)
    assert len(rows) == (44 if validation else 35)
    config = Config(dataset=made["dataset"], noise_file=str(out), batch_size=2,
                    cache_dir=str(tmp_path / "cache"))  # fmt: skip
    names = noisy_dataset.load(config).class_names
    assert {row[2] for row in rows} <= {*names}


def refusal(capsys, folder, *arguments, **flags):
    assert call(folder, *arguments, **flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error.removeprefix("error: ")[:-1]


def test_bad_input_is_refused_before_anything_is_written(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = {"dataset": "digits", "noise_rate": 0.4}
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "x.npy.about.json").write_text("mine")
    there = sorted(tmp_path.iterdir())
    for arguments, flags, said in (
        ((), {"out": "x.csv"}, "required is RUN_DIR, or --dataset with the noise to make"),
        ((), made, "required is --out, or --to with one of dividemix, npy, csv, npz"),
        ((), made | {"out": "x.txt"}, "--out=x.txt: allowed are names that end in .json, .npy"),
        ((), made | {"out": "x.npy", "to": "csv"}, "--out=x.npy: allowed is a name that ends in"),
        ((), made | {"out": "there.csv"}, "--out=there.csv: there.csv exists; allowed is a new"),
        ((), made | {"out": "x.npy"}, "--out=x.npy: x.npy.about.json exists; allowed is a new"),
        ((), made | {"out": "no/x.npy"}, "--out=no/x.npy: there is no folder no"),
        ((), {"dataset": "digits", "to": "csv"}, "--noise_rate=0: allowed is (0, 1], as nothing"),
        ((), made | {"to": "csv", "order": "tfds"}, "--order=tfds: the samples of digits have"),
        ((), made | {"to": "csv", "draw": 1}, "--draw=1: allowed is 0 to 0"),
        ((), made | {"to": "csv", "noise_rate": "much"}, "--noise_rate=much: allowed are values"),
        ((str(run),), {"to": "csv", "noise_rate": 0.4}, "--noise_rate: the labels are those of"),
    ):
        assert refusal(capsys, tmp_path, *arguments, **flags).startswith(said)
        assert sorted(tmp_path.iterdir()) == there


def test_a_run_on_a_part_has_no_label_for_the_others(tmp_path, capsys):
    config = Config(
        dataset="digits", noise_rate=0.4, epochs_num=1, total_repeats=1, train_size=200,
        test_size=50, jacob_samples=1, results_dir=str(tmp_path / "results"),
    )  # fmt: skip
    jaxnoise.run(config)
    folder = str(jaxnoise.run_folder(config))
    said = refusal(capsys, tmp_path, folder, out=tmp_path / "x.json")
    assert said.startswith(
        "--to=dividemix: needs a label for each of the 1442 samples of the train"
    )
    for name in ("x.csv", "x.npz"):
        assert call(tmp_path, folder, out=tmp_path / name) == 0
        again = Config(dataset="digits", noise_file=str(tmp_path / name), train_size=200)
        drawn = jaxnoise.load_run(folder).dataset.noisy_labels[0]
        np.testing.assert_array_equal(noisy_dataset.load(again).noisy_labels[0].noisy, drawn.noisy)
