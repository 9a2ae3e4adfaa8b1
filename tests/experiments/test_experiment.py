"""A whole run: what it leaves, that it can be repeated, and that every number can be recomputed."""

import csv
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import run_folders
from PIL import Image
from places import MAIN, REAL
from sklearn.metrics import roc_auc_score

from jaxnoise import nets
from jaxnoise.config import Config, InputError, methods
from jaxnoise.experiments import active_run, experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.runs import checkpoint, documents, folders
from jaxnoise.scores import calibration, scoring
from jaxnoise.training import assembly

SETTINGS = {
    "dataset": "digits",
    "train_size": 200,
    "test_size": 60,
    "noise_rate": 0.4,
    "wd_coef": 1e-4,
    "do_sn": True,
    "total_repeats": 2,
    "epochs_num": 2,
    "jacob_samples": 20,
}
SPLIT_METRICS = {
    f"{split}_{quantity}"
    for split in ("train_noisy", "train", "valid_noisy", "valid", "test")
    for quantity in ("loss", "accuracy")
}
MEMORIZATION = {
    "changed_as_noisy", "changed_as_true", "changed_as_neither", "unchanged_right",
}  # fmt: skip
STEP_METRICS = {
    "step_loss", "step_label_loss", "step_cross_entropy", "step_entropy", "step_jacobian",
    "step_weight_decay",
}  # fmt: skip


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """A run by command, its output piped."""
    where = tmp_path_factory.mktemp("by_command")
    arguments = [f"--{name}={value}" for name, value in SETTINGS.items()]
    return subprocess.run(
        [sys.executable, MAIN, *arguments, f"--cache_dir={where}/cache", f"--results_dir={where}"],
        cwd=where,
        env=os.environ | {"JAX_PLATFORMS": jax.default_backend()},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def config(command):
    return Config(**SETTINGS, results_dir=str(pathlib.Path(command.args[-1].split("=")[1])))


@pytest.fixture(scope="module")
def folder(command, config):
    assert command.returncode == 0, command.stderr
    return folders.run_folder(config)


@pytest.fixture(scope="module")
def saved(folder):
    """The arrays of history.npz, noise.npz and samples.npz."""
    arrays = {}
    for name in ("history", "noise", "samples"):
        with np.load(folder / f"{name}.npz") as archive:
            arrays[name] = dict(archive)
    return arrays


@pytest.fixture(scope="module")
def scores(folder):
    """Score → values of all repeats."""
    rows = json.loads((folder / "scores.json").read_text())["repeats"]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.fixture
def copied(folder, config, tmp_path):
    """The config of a copy of the finished run, to do harm to."""
    shutil.copytree(config.results_dir, tmp_path / "copied")
    return dataclasses.replace(config, results_dir=str(tmp_path / "copied"))


@pytest.fixture
def no_training(monkeypatch):
    def train(*_):
        raise AssertionError("it trains")

    monkeypatch.setattr(experiment, "_run", train)


# What a run leaves


def test_piped_command_prints_plain_lines_and_its_table(command, folder):
    assert command.stderr == ""
    lines = command.stdout.splitlines()
    assert lines[0] == "Run      digits · lenet · uniform_noise 0.4 · wd_0.0001_sn"
    assert [line.split("  ")[0] for line in lines if re.match(r"epoch +\d", line)] == [
        "epoch 1/2", "epoch 2/2",
    ]  # fmt: skip
    assert lines.count("Compiling an epoch of training …") == 1
    assert not [line for line in lines if "Jacobian term" in line]  # it is off
    assert "\r" not in command.stdout
    assert (folder / "scores.txt").read_text() in command.stdout
    assert lines[-1].endswith(f"Results: {folder}")


class WithoutBatchNorm(nn.Module):
    num_classes: int
    spectral: SpectralNorm | None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


class WithFlaxBatchNorm(WithoutBatchNorm):
    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(self.num_classes)(images.reshape(len(images), -1))
        return nn.BatchNorm(use_running_average=not train)(x)


@pytest.mark.parametrize(
    ("net", "preset", "lags"),
    [
        (None, "default", False),
        (None, "paper", True),
        (WithoutBatchNorm, "default", False),
        (WithFlaxBatchNorm, "default", True),
    ],
)
def test_only_a_net_with_running_averages_is_said_to_lag(
    net, preset, lags, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "jaxnoise")
    if net:
        monkeypatch.setitem(nets.NETS, "lenet", net)
    of_preset = {"results_dir": str(tmp_path), "do_sn": False, "preset": preset}
    config = Config(**SETTINGS | of_preset)
    with active_run.opened(config) as opened:
        opened.begin(assembly.engine(config, opened.dataset))
    log = (opened.folder / "log.txt").read_text()
    assert "Training 2 repeats together, 2 epochs, on " in log
    assert ("batch norm's running averages lag" in log) == lags


def test_start_of_the_jacobian_term_is_announced(tmp_path, caplog):
    caplog.set_level(logging.INFO, "jaxnoise")
    late = {"results_dir": str(tmp_path), "jacob_coef": 0.1, "jacob_start_epoch": 1}
    config = Config(**SETTINGS | late)
    with active_run.opened(config) as opened:
        opened.begin(assembly.engine(config, opened.dataset))
    log = (opened.folder / "log.txt").read_text()
    assert "2 epochs (the Jacobian term is on from epoch 2), on " in log


def test_folder_is_complete(folder):
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "log.txt", "metrics.jsonl", "scores.csv", "scores.txt", "scores.json",
        "history.npz", "noise.npz", "noise.json", "samples.npz", "suspects.csv", "checkpoints",
        "figures", "logs", ".lock", "noise_estimates.npz",
    }  # fmt: skip
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {
        "best", "best.sha256", "last", "last.sha256",
    }  # fmt: skip
    assert {path.name for path in (folder / "logs").iterdir()} == {"repeat_1", "repeat_2"}
    stems = ("loss", "accuracy", "loss_repeats", "accuracy_repeats", "memorization", "confusion",
             "suspects")  # fmt: skip
    figures = {f"{stem}{kind}" for stem in stems for kind in (".png", ".pdf")}
    assert {path.name for path in (folder / "figures").iterdir()} == figures
    assert all(path.stat().st_size for path in folder.rglob("*.pdf"))
    assert not list(folder.rglob("*.partial"))
    with Image.open(folder / "figures" / "accuracy.png") as picture:
        picture.verify()


def test_config_json_says_with_what_it_was_made(folder, config):
    document = json.loads((folder / "config.json").read_text())
    flags = document["flags"]
    where = {"net": "lenet", "cache_dir": f"{config.results_dir}/cache"}
    assert flags == dataclasses.asdict(config) | where
    assert Config(**flags).fingerprint == config.fingerprint
    assert document["command"][0] == "main.py" and "--noise_rate=0.4" in document["command"]
    assert document["versions"]["jax"] == jax.__version__
    assert document["versions"]["numpy"] == np.__version__
    assert {"python", "jaxlib", "flax", "optax", "orbax-checkpoint"} <= set(document["versions"])
    assert document["device"]["platform"] == jax.default_backend()
    assert document["flags"]["precision"] == "float32"
    assert 1 < document["wall_seconds"] < 300
    assert "git_revision" in document and "started" in document
    assert document["data_sha256"] == noisy_dataset.load(config).data_sha256


def test_log_txt_has_what_was_printed(folder, command):
    logged = [line.split("  ", 1)[-1] for line in (folder / "log.txt").read_text().splitlines()]
    printed = command.stdout.splitlines()
    assert [line for line in logged if line.startswith("epoch")] == [
        line for line in printed if line.startswith("epoch")
    ]
    assert printed[-1] == logged[-1]


def test_history_holds_every_metric_of_every_epoch(folder, saved):
    history = saved["history"]
    assert set(history) == SPLIT_METRICS | MEMORIZATION | STEP_METRICS | {"entropy"}
    for values in history.values():
        assert values.shape == (2, 2) and values.dtype == np.float32
        assert np.isfinite(values).all()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line.pop("epoch") for line in lines] == [1, 2]
    for epoch, line in enumerate(lines):
        assert line == {name: values[epoch].tolist() for name, values in history.items()}


def test_noise_npz_is_the_noise_of_the_task(saved, config):
    what, noise = noisy_dataset.load(config), saved["noise"]
    for prefix, labels in (("", what.noisy_labels[0]), ("valid_", what.noisy_valid_labels[0])):
        for name in ("noisy", "picked", "changed"):
            np.testing.assert_array_equal(noise[prefix + name], [getattr(labels, name)])
        np.testing.assert_array_equal(noise[f"{prefix}clean"], labels.clean)
    np.testing.assert_array_equal(noise["train_index"], what.train_index)
    np.testing.assert_array_equal(noise["valid_index"], what.valid_index)
    np.testing.assert_array_equal(noise["changed"], noise["noisy"] != noise["clean"])
    assert noise["picked"].sum() == int(0.4 * len(noise["clean"]))
    assert len(noise["train_index"]) + len(noise["valid_index"]) == 200


def test_score_files_agree(folder, scores, saved):
    document = json.loads((folder / "scores.json").read_text())
    for name, values in scores.items():
        assert document["mean"][name] == values.mean() and document["std"][name] == values.std()
    with open(folder / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["test_accuracy"]) for row in rows[:2]] == scores["test_accuracy"].tolist()
    noise, entry = saved["noise"], document["noise"]
    assert entry["requested_rate"] == 0.4
    assert entry["true_rate"] == round(noise["changed"].mean(), 6)
    (draw,) = entry["draws"]
    assert draw["sha256"] == hashlib.sha256(noise["noisy"].astype("<i4").tobytes()).hexdigest()
    text = " ".join((folder / "scores.txt").read_text().split())
    assert f"true rate {100 * entry['true_rate']:.2f} %, SHA-256 {draw['sha256'][:16]}" in text
    assert json.loads((folder / "noise.json").read_text())["draws"][0].items() >= draw.items()


def test_every_member_trains_on_its_own_labels(config):
    config = dataclasses.replace(config, total_repeats=4, noise_draws=2)
    what = noisy_dataset.load(config)
    members = assembly.members(config, what)
    for i, member in enumerate(members):
        np.testing.assert_array_equal(member.noisy_labels, what.noisy_labels[i].noisy)
        np.testing.assert_array_equal(member.noisy_valid_labels, what.noisy_valid_labels[i].noisy)
    assert (members[0].noisy_labels != members[1].noisy_labels).any()
    assert (members[0].noisy_valid_labels != members[1].noisy_valid_labels).any()


def test_run_on_the_artefact_has_the_same_scores(folder, config, scores, tmp_path):
    shutil.copy(folder / "noise.npz", tmp_path / "noise.npz")
    given = dataclasses.replace(
        config,
        noise_rate=0.0,
        noise_file=str(tmp_path / "noise.npz"),
        results_dir=str(tmp_path / "results"),
    )
    document = experiment.run(given)
    assert folders.run_folder(given).parent.name == "noise_file"
    for row, name in ((row, name) for row in range(2) for name in scores):
        assert document["repeats"][row][name] == scores[name][row]
    (draw,) = json.loads((folder / "scores.json").read_text())["noise"]["draws"]
    assert document["noise"]["draws"] == [draw | {"seed": None}]


def test_repeats_with_draws_of_their_own_are_measured_on_them(config, tmp_path):
    drawn = dataclasses.replace(config, noise_per_repeat=True, results_dir=str(tmp_path))
    document = experiment.run(drawn)
    folder = folders.run_folder(drawn)
    with np.load(folder / "noise.npz") as noise, np.load(folder / "samples.npz") as samples:
        assert (noise["noisy"][0] != noise["noisy"][1]).any()
        for i, row in enumerate(document["repeats"]):
            found = roc_auc_score(noise["changed"][i], samples["score"][i])
            assert row["noise_auroc"] == pytest.approx(found, rel=1e-12)
            with open(folder / f"suspects_repeat_{i + 1}.csv", newline="") as file:
                listed = list(csv.DictReader(file))
            given = dict(zip(noise["train_index"], noise["noisy"][i], strict=True))
            assert {int(x["index"]): int(x["given_label"]) for x in listed} == given
    assert not (folder / "suspects.csv").exists()
    assert [draw["seed"] for draw in document["noise"]["draws"]] == [0, 1]
    assert document["variance"] == {"noise_draws": 2, "runs_per_draw": 1, "std": None}
    assert "Every repeat has a noise draw of its own" in (folder / "scores.txt").read_text()


# Every number can be recomputed


def test_repeats_differ_and_have_learned(saved):
    history = saved["history"]
    assert (history["step_loss"][:, 0] != history["step_loss"][:, 1]).all()
    assert (history["step_loss"][1] < history["step_loss"][0]).all()
    assert not history["step_jacobian"].any()  # its coefficient is 0


def test_best_epoch_is_the_earliest_maximum(saved, scores):
    best = saved["history"]["valid_accuracy"].argmax(axis=0)  # argmax takes the first
    np.testing.assert_array_equal(scores["best_epoch"], best + 1)
    for name in set(scoring.SCORES) & set(saved["history"]):
        np.testing.assert_array_equal(scores[name], saved["history"][name][best, [0, 1]])


def variables_and_net(folder, which):
    return checkpoint.load(folder / "checkpoints" / which), nets.LeNet(10, SpectralNorm())


def logits_and_labels_of_test(folder, config, which):
    """Of all repeats, from a checkpoint."""
    what = noisy_dataset.load(config)
    images, labels = what.images[what.split == 2], what.labels[what.split == 2]
    variables, net = variables_and_net(folder, which)
    apply = jax.jit(jax.vmap(lambda v, x: net.apply(v, x, train=False), (0, None)))
    logits = np.asarray(apply(variables, images.astype(np.float32) / 255))
    return logits, labels


def accuracy(logits, labels):
    """Percent, per repeat."""
    return 100 * (np.argmax(logits, axis=-1) == labels).mean(axis=-1)


def test_scores_can_be_recomputed_from_the_best_checkpoint(folder, config, saved, scores):
    variables, net = variables_and_net(folder, "best")
    what = noisy_dataset.load(config)
    images = what.images.astype(np.float32) / 255
    train, valid, test = (np.flatnonzero(what.split == i) for i in range(3))

    def logits_of(variables, images):
        return net.apply(variables, images, train=False)

    def squared_norm(variables, image):
        return (jax.jacrev(lambda x: logits_of(variables, x[None])[0])(image) ** 2).sum()

    evenly = np.concatenate([part[np.arange(20) * len(part) // 20] for part in (train, test)])
    squared_norms = jax.vmap(jax.vmap(squared_norm, (None, 0)), (0, None))
    squares = np.asarray(jax.jit(squared_norms)(variables, images[evenly]))
    logits = jax.jit(jax.vmap(logits_of, (0, None)))(variables, images)
    logits = np.asarray(logits, np.float64)
    log_p = logits[:, train] - np.log(np.exp(logits[:, train]).sum(-1, keepdims=True))
    recomputed = {
        "train_noisy_accuracy": accuracy(logits[:, train], saved["noise"]["noisy"]),
        "train_accuracy": accuracy(logits[:, train], what.labels[train]),
        "valid_accuracy": accuracy(logits[:, valid], what.labels[valid]),
        "test_accuracy": accuracy(logits[:, test], what.labels[test]),
        "train_jacob": squares[:, :20].mean(-1),
        "test_jacob": squares[:, 20:].mean(-1),
        "entropy": -(np.exp(log_p) * log_p).sum(-1).mean(-1),
    }
    assert set(recomputed) == set(scoring.SCORES[:7])
    for name, values in recomputed.items():
        # The same float32 arithmetic in another order, through five layers: 1e-6 for most pictures.
        # Where a unit is at its kink, or two are equal in a pooling window, a derivative jumps: by
        # up to 5e-3 in one of these twenty pictures.
        rtol = 2e-3 if name.endswith("jacob") else 1e-4
        np.testing.assert_allclose(scores[name], values, rtol=rtol, err_msg=name)


def test_last_test_accuracy_is_that_of_the_last_checkpoint(folder, config, saved, scores):
    logits, labels = logits_and_labels_of_test(folder, config, "last")
    np.testing.assert_allclose(scores["last_test_accuracy"], accuracy(logits, labels), rtol=1e-6)
    np.testing.assert_array_equal(
        scores["last_test_accuracy"], saved["history"]["test_accuracy"][-1]
    )


def test_calibration_is_that_of_the_best_checkpoint(folder, config, saved, scores):
    logits, labels = logits_and_labels_of_test(folder, config, "best")
    for i in range(2):
        for name, value in calibration.measure(logits[i], labels).items():
            # A confidence at the edge of a bin may fall on the other side of it.
            rel = 1e-2 if name == "test_ece" else 1e-4
            assert scores[name][i] == pytest.approx(value, rel=rel), name
    best = scores["best_epoch"] - 1
    losses = saved["history"]["test_loss"][best, [0, 1]]
    np.testing.assert_allclose(scores["test_nll"], losses, rtol=1e-5)


def test_selection_can_be_recomputed_from_history(folder, saved):
    history = saved["history"]
    document = json.loads((folder / "scores.json").read_text())
    for name, by in (
        ("best_noisy_valid", "valid_noisy_accuracy"),
        ("best_clean_valid", "valid_accuracy"),
        ("oracle_test", "test_accuracy"),
    ):
        best = history[by].argmax(axis=0)
        assert document["selection"][name]["epoch"] == (best + 1).tolist()
        accuracy = history["test_accuracy"][best, [0, 1]]
        assert document["selection"][name]["accuracy"] == accuracy.tolist()
    assert document["selection"]["last"]["epoch"] == [2, 2]
    assert document["selection"]["last"]["accuracy"] == history["test_accuracy"][-1].tolist()
    headline = document["selection"][document["headline"]]
    assert headline["accuracy"] == [row["test_accuracy"] for row in document["repeats"]]


def test_memorization_of_the_last_epoch_can_be_recomputed(saved):
    noise, history = saved["noise"], saved["history"]
    (changed,) = noise["changed"]
    for i, predicted in enumerate(saved["samples"]["predicted"]):
        as_noisy, as_true = predicted == noise["noisy"][0], predicted == noise["clean"]
        for name, share in {
            "changed_as_noisy": as_noisy[changed].mean(),
            "changed_as_true": as_true[changed].mean(),
            "changed_as_neither": (~as_noisy & ~as_true)[changed].mean(),
            "unchanged_right": as_true[~changed].mean(),
        }.items():
            assert history[name][-1, i] == pytest.approx(100 * share, rel=1e-6), name


def test_detection_and_suspects_can_be_recomputed(folder, saved, scores):
    noise, loss, suspicion = saved["noise"], saved["samples"]["loss"], saved["samples"]["score"]
    for i in range(2):
        found = roc_auc_score(noise["changed"][0], suspicion[i])
        assert scores["noise_auroc"][i] == pytest.approx(found, rel=1e-12)
    # The mean over epochs and samples is that of the epochs' means.
    np.testing.assert_allclose(
        loss.mean(axis=1), saved["history"]["train_noisy_loss"].mean(axis=0), rtol=1e-5
    )
    with open(folder / "suspects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    listed = np.array([int(row["index"]) for row in rows])
    order = np.argsort(-suspicion.mean(axis=0), kind="stable")
    np.testing.assert_array_equal(listed, noise["train_index"][order])
    given = [int(row["given_label"]) for row in rows]
    np.testing.assert_array_equal(given, noise["noisy"][0, order])
    true = [int(row["true_label"]) for row in rows]
    np.testing.assert_array_equal(true, noise["clean"][order])
    at_best = saved["samples"]["best_predicted"]
    agreed = (at_best == at_best[0]).all(axis=0)[order]
    predicted = np.array([int(row["predicted_label"]) for row in rows])
    np.testing.assert_array_equal(predicted[agreed], at_best[0, order][agreed])
    for i, epoch in enumerate(scores["best_epoch"]):
        share = 100 * (at_best[i] == noise["clean"]).mean()
        of_best = saved["history"]["train_accuracy"][int(epoch) - 1, i]
        assert share == pytest.approx(of_best, rel=1e-6)
    written = [float(row["score"]) for row in rows]
    np.testing.assert_allclose(written, suspicion.mean(axis=0)[order], rtol=1e-5)


# Again


def test_same_run_with_overwrite_replaces_everything_and_scores_the_same(folder, copied, drawing):
    again = folders.run_folder(copied)
    for stale in ("scores.json", "metrics.jsonl", "stale.txt"):
        (again / stale).write_text("{}")
    with drawing():
        returned = experiment.run(dataclasses.replace(copied, overwrite=True))
    for name in ("scores.json", "scores.csv", "scores.txt", "metrics.jsonl"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name
    assert returned == json.loads((folder / "scores.json").read_text())
    assert {path.name for path in again.iterdir()} == {path.name for path in folder.iterdir()}


@pytest.mark.usefixtures("no_training")
def test_finished_run_is_told_and_not_trained_again(copied, caplog):
    before = run_folders.everything(pathlib.Path(copied.results_dir))
    with caplog.at_level(logging.INFO, "jaxnoise"):
        returned = experiment.run(copied)
    folder = folders.run_folder(copied)
    assert run_folders.everything(pathlib.Path(copied.results_dir)) == before
    assert returned == json.loads((folder / "scores.json").read_text())
    assert (folder / "scores.txt").read_text() in caplog.text


@pytest.mark.usefixtures("no_training")
def test_run_by_other_defaults_does_not_count_as_done(tmp_path, monkeypatch):
    config = Config(dataset="digits", loss="gce", results_dir=str(tmp_path))
    folder = folders.run_folder(config)
    folder.mkdir(parents=True)
    documents.write_config(folder, config, {})
    (folder / "scores.json").write_text("{}")
    assert folders.done(config)
    monkeypatch.setitem(methods.LOSSES, "gce", {"q": 0.6})
    before = run_folders.everything(tmp_path)
    with pytest.raises(InputError, match=r"{'gce_q': 0.7}.*{'gce_q': 0.6}.*--overwrite"):
        experiment.run(config)
    assert run_folders.everything(tmp_path) == before
    assert not folders.done(dataclasses.replace(config, overwrite=True))
    named = dataclasses.replace(config, gce_q=0.6)  # the same value, asked for
    assert folders.run_folder(named) != folder


@pytest.mark.parametrize("what", ["overwrite", "unfinished", "other settings"])
def test_run_is_trained(what, copied, monkeypatch):
    monkeypatch.setattr(experiment, "train", lambda cells, *_, **__: trained.extend(cells))
    monkeypatch.setattr(active_run.ActiveRun, "finish", lambda *_: None)
    monkeypatch.setattr(documents, "read_scores", lambda _: None)
    trained = []
    if what == "overwrite":
        copied = dataclasses.replace(copied, overwrite=True)
    elif what == "unfinished":
        (folders.run_folder(copied) / "scores.json").unlink()
    else:
        copied = dataclasses.replace(copied, noise_seed=1)
    experiment.run(copied)
    (folder,) = (each.folder for each in trained)
    # Nothing of the earlier run.
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "log.txt", "noise.npz", "noise.json", ".lock",
    }  # fmt: skip


def test_run_that_died_at_once_can_be_started_again(copied, monkeypatch):
    def die(*_):
        raise RuntimeError("no device")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="no device"):
        patch.setattr(assembly, "pictures", die)
        experiment.run(dataclasses.replace(copied, overwrite=True))
    assert folders.finished(folders.run_folder(copied))  # nothing was lost for it
    monkeypatch.setattr(experiment, "_run", lambda *_: {})
    assert experiment.run(dataclasses.replace(copied, overwrite=True)) == {}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("overwrite", [False, True])
def test_error_before_training_leaves_earlier_results_alone(overwrite, copied, monkeypatch):
    before = run_folders.everything(pathlib.Path(copied.results_dir))
    wrong = dataclasses.replace(copied, train_size=99_999, overwrite=overwrite)
    with pytest.raises(InputError, match="^--train_size=99999"):
        experiment.run(wrong)
    assert run_folders.everything(pathlib.Path(copied.results_dir)) == before

    def damaged(*_, **__):
        raise InputError("damaged data file")

    monkeypatch.setattr(noisy_dataset, "load", damaged)
    with pytest.raises(InputError, match="damaged data file"):
        experiment.run(dataclasses.replace(copied, overwrite=True))
    assert run_folders.everything(pathlib.Path(copied.results_dir)) == before


# Checkpoints


def test_checkpoint_has_the_variables_of_every_repeat(folder):
    variables = checkpoint.load(folder / "checkpoints" / "best")
    assert set(variables) == {"params", "batch_stats", "spectral"}
    net = nets.LeNet(10, SpectralNorm())
    fresh = jax.eval_shape(
        lambda key: net.init(key, np.zeros((2, 28, 28, 1), np.float32), train=False),
        jax.random.key(0),
    )
    shapes = jax.tree.map(lambda x: (2, *x.shape), fresh)
    assert jax.tree.map(lambda x: x.shape, variables) == dict(shapes)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))


def without_folder(folder):
    shutil.rmtree(folder)


def without_digests(folder):
    folder.with_name("best.sha256").unlink()


def without_metadata(folder):
    (folder / "_METADATA").unlink()


def with_another_file(folder):
    (folder / "more").touch()


def truncated_arrays(folder):
    for path in folder.rglob("d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped_bit(folder):
    largest = max(folder.rglob("d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [without_folder, without_digests, without_metadata, with_another_file, truncated_arrays,
     flipped_bit],
)  # fmt: skip
def test_damaged_checkpoint_is_refused(damage, folder, tmp_path):
    shutil.copytree(folder / "checkpoints", tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "best")
    with pytest.raises(InputError) as refusal:
        checkpoint.load(tmp_path / "best")
    assert str(refusal.value).startswith(str(tmp_path / "best"))
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no such command here")
def test_digests_are_as_sha256sum_has_them(folder):
    subprocess.run(
        ["sha256sum", "--check", "--strict", "best.sha256", "last.sha256"],
        cwd=folder / "checkpoints",
        check=True,
        capture_output=True,
    )


def test_checkpoint_of_whole_files_that_is_none_is_refused(tmp_path):
    """Such as one of another version of Orbax."""
    checkpoint.save(tmp_path / "x", {"a": np.zeros(3)})
    (tmp_path / "x" / "_METADATA").write_text("{")
    digest = hashlib.sha256(b"{").hexdigest()
    lines = [
        f"{digest}  x/_METADATA" if line.endswith("/_METADATA") else line
        for line in (tmp_path / "x.sha256").read_text().splitlines()
    ]
    (tmp_path / "x.sha256").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"/x: not a readable checkpoint: "):
        checkpoint.load(tmp_path / "x")


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no real pictures here")
def test_real_pictures_are_learned_in_spite_of_noise(tmp_path):
    config = Config(
        dataset="fashion_mnist", noise_type="flip_noise", noise_rate=0.4, wd_coef=1e-4, do_sn=True,
        train_size=3000, test_size=1000, epochs_num=5, total_repeats=2, jacob_samples=10,
        data_dir=str(REAL), results_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    scores = experiment.run(config)
    assert scores["noise"]["true_rate"] == pytest.approx(0.2, abs=0.01)  # 0.4 of half the classes
    assert scores["mean"]["test_accuracy"] > 60  # chance is 10; 68.15 when this was written


# Several hosts


def test_two_processes_give_the_scores_of_one(scores, config, tmp_path):
    """And only the first of them leaves anything, in the same folder as ever."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = [f"--{name}={value}" for name, value in SETTINGS.items()]
    arguments += [f"--coordinator_address=localhost:{port}", "--num_processes=2"]
    processes = [
        subprocess.Popen(
            [sys.executable, MAIN, *arguments, f"--results_dir={i}", f"--process_id={i}"],
            cwd=tmp_path,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "epoch 2/2" in outputs[0] and "epoch" not in outputs[1]
    assert os.listdir(tmp_path) == ["0"]
    own = folders.run_folder(dataclasses.replace(config, results_dir=str(tmp_path / "0")))
    together = documents.read_scores(own)["repeats"]
    for name, values in scores.items():
        # One of the 183 training pictures, or of the fewer others, may fall to another class.
        atol = 100 / 17 + 1e-3 if name.endswith("accuracy") else 1e-3
        np.testing.assert_allclose(
            [row[name] for row in together], values, rtol=0.01, atol=atol, err_msg=name
        )
    best = checkpoint.load(own / "checkpoints" / "best")
    assert {len(leaf) for leaf in jax.tree.leaves(best)} == {2}
