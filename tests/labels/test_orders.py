"""Labels in the order of the original files and in that of the TFDS copy: the true labels tell."""

import json
import logging
import pickle
import zipfile

import numpy as np
import pytest
import requests
import synthetic
from places import REAL

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.labels import noisy_dataset, reading
from jaxnoise.noise_files import cifar_n
from jaxnoise.runs.noise_record import write_noise


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.copied_cifar10(tmp_path_factory.mktemp("data"))


def noisy_of(labels):
    return np.where(np.arange(len(labels)) % 4 == 0, (labels + 1) % 10, labels)


def load(path, where, **settings):
    config = Config(dataset="cifar10", noise_file=str(path), batch_size=8, validation_ratio=0.25,
                    **where, **settings)  # fmt: skip
    return noisy_dataset.load(config)


def in_the_order_of_the_original_files(what):
    """The noisy labels of a loaded data set, by their places in the original files."""
    original = data.original_order("cifar10", 40)
    labels = np.full(40, -1)
    for index, part in (
        (what.train_index, what.noisy_labels[0]), (what.valid_index, what.noisy_valid_labels[0])
    ):  # fmt: skip
        labels[original[index]] = part.noisy
    return labels


def write(path, noisy, clean=None):
    if path.suffix == ".json":
        path.write_text(json.dumps(noisy.tolist()))
    elif path.suffix == ".npy":
        np.save(path, noisy)
    elif path.suffix == ".csv":
        rows = zip(clean, noisy, strict=True)
        path.write_text("label,label_noisy\n" + "".join(f"{a},{b}\n" for a, b in rows))
    elif path.suffix == ".npz":
        np.savez(path, noisy=noisy, **({} if clean is None else {"clean": clean}))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            content = pickle.dumps({"noisy_label": noisy, "clean_label": clean}, protocol=2)
            archive.writestr("archive/data.pkl", content)
    return path


@pytest.mark.parametrize("order", ["original", "copy"])
@pytest.mark.parametrize("name", ["x.json", "x.npy", "x.csv", "x.npz", "x.pt"])
def test_the_order_is_found_out_and_told(made, tmp_path, caplog, name, order):
    where, true = made
    noisy = noisy_of(true)
    there = data.original_order("cifar10", 40) if order == "copy" else np.arange(40)
    path = write(tmp_path / name, noisy[there], true[there])
    with caplog.at_level(logging.INFO):
        what = load(path, where)
    np.testing.assert_array_equal(in_the_order_of_the_original_files(what), noisy)
    called = {"original": "the original files", "copy": "the TFDS copy"}[order]
    told = f"--noise_file={path}: in the order of {called}, by the true labels"
    assert [line for line in caplog.messages if "in the order of" in line] == [told]


@pytest.mark.parametrize("order", ["original", "copy"])
def test_places_are_brought_to_the_copy_too(made, tmp_path, order):
    where, true = made
    noisy, original = noisy_of(true), data.original_order("cifar10", 40)
    index = np.random.default_rng(0).permutation(40)
    at = index if order == "original" else original[index]
    np.savez(tmp_path / "x.npz", noisy=noisy[at], clean=true[at], index=index)
    what = load(tmp_path / "x.npz", where)
    np.testing.assert_array_equal(in_the_order_of_the_original_files(what), noisy)


def test_the_places_of_a_run_s_noise_are_known(made, tmp_path, caplog):
    where, _ = made
    config = Config(dataset="cifar10", noise_rate=0.4, batch_size=8, validation_ratio=0.25, **where)
    drawn = noisy_dataset.load(config)
    write_noise(tmp_path, config, drawn, versions={})
    with caplog.at_level(logging.INFO):
        again = load(tmp_path / "noise.npz", where)
    assert not [line for line in caplog.messages if "in the order of" in line]
    np.testing.assert_array_equal(again.noisy_labels[0].noisy, drawn.noisy_labels[0].noisy)


def test_labels_that_fit_no_order_are_refused(made, tmp_path):
    where, true = made
    order = np.random.default_rng(0).permutation(40)
    with pytest.raises(InputError, match="no more often than by chance"):
        load(write(tmp_path / "x.npy", noisy_of(true)[order]), where)
    with pytest.raises(InputError, match="its clean labels agree with those of cifar10 on"):
        load(write(tmp_path / "x.csv", noisy_of(true)[order], true[order]), where)


def test_labels_that_fit_both_orders_are_refused_unless_one_insists(made, tmp_path):
    where, true = made
    original = data.original_order("cifar10", 40)
    both = np.where(np.arange(40) < 20, true[original], true)  # each for half of the samples
    path = write(tmp_path / "x.npy", both)
    with pytest.raises(InputError, match="fit cifar10 in the order of the original files and in"):
        load(path, where)
    what = load(path, where, trust_noise_file=True)
    np.testing.assert_array_equal(in_the_order_of_the_original_files(what)[original], both)


def test_a_data_set_has_one_order_where_no_other_is_known():
    for name in ("digits", "folder:somewhere", "arrays:mine@0123456789abcdef", "svhn_cropped"):
        assert data.original_order(name, 40) is None


# The files of CIFAR-10N


def people(folder, where, human_labels="worse_label"):
    return Config(
        dataset="cifar10", noise_type="human_noise", human_labels=human_labels, batch_size=8,
        validation_ratio=0.25,
        **where | {"manual_dir": str(folder)},
    )  # fmt: skip


@pytest.mark.parametrize("inside", ["", "cifar10_n"])
@pytest.mark.parametrize("name", ["CIFAR-10_human.pt", "CIFAR-10_human_ordered.npy"])
def test_the_authors_files_are_read_in_their_order(made, tmp_path, name, inside):
    where, true = made
    there = data.original_order("cifar10", 40) if "ordered" in name else np.arange(40)
    labels = {"clean_label": true[there], "worse_label": noisy_of(true)[there]}
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(folder / name, labels, allow_pickle=True)
    else:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(labels, protocol=2))
    what = noisy_dataset.load(people(tmp_path, where))
    np.testing.assert_array_equal(in_the_order_of_the_original_files(what), noisy_of(true))
    with pytest.raises(InputError, match=f"{name}: it has .*; aggre_label is missing"):
        noisy_dataset.load(people(tmp_path, where, "aggre_label"))


def test_a_damaged_file_is_named(made, tmp_path):
    (tmp_path / "CIFAR-10_human.pt").write_bytes(b"PK")
    with pytest.raises(InputError) as refusal:
        noisy_dataset.load(people(tmp_path, made[0]))
    file = tmp_path / "CIFAR-10_human.pt"
    assert str(refusal.value).startswith(f"--human_labels=worse_label: {file}: cannot be read: ")


class Answer:
    def __init__(self, content):
        self.content = content

    __enter__ = lambda self: self  # noqa: E731
    __exit__ = raise_for_status = lambda self, *_: None  # noqa: E731


def test_a_download_is_kept_only_if_it_is_what_was_published(tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "get", lambda *_, **__: Answer(b"labels"))
    with pytest.raises(InputError, match="is another file than was published; set --manual_dir to"):
        cifar_n.download("cifar10", tmp_path)
    assert not list(tmp_path.rglob("*"))
    monkeypatch.setattr(cifar_n, "_sha256", lambda content: cifar_n._FILES["cifar10"].sha256)
    file = cifar_n.download("cifar10", tmp_path)
    assert file == tmp_path / "downloads" / "cifar_n" / "CIFAR-10_human.pt"
    assert file.read_bytes() == b"labels"
    assert cifar_n.find("cifar10", None, tmp_path) == file
    assert cifar_n.find("cifar100", None, tmp_path) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real copies are not on this machine")
@pytest.mark.parametrize("name", ["CIFAR-10_human.pt", "CIFAR-10_human_ordered.npy"])
def test_all_annotations_of_cifar10_are_those_of_the_copy(tmp_path, name):
    """Written as the authors' files are, from TFDS's copy, whose samples have their places."""
    annotations = data.load_labels("cifar10_n", ("label", *reading._CIFAR10N), data_dir=REAL)
    true = annotations.pop("label")
    order = np.argsort(data.original_order("cifar10", len(true)))
    there = order if name.endswith(".pt") else np.arange(len(true))
    labels = {"clean_label": true, **annotations}
    labels = {which: of[there].astype(np.int64) for which, of in labels.items()}
    if name.endswith(".pt"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(labels, protocol=2))
    else:
        np.save(tmp_path / name, labels, allow_pickle=True)
    for which, of in annotations.items():
        config = people(tmp_path, {"data_dir": str(REAL)}, which)
        given = reading.read_labels(config).placed(data_of(true))
        index = np.arange(len(true)) if given.index is None else given.index
        np.testing.assert_array_equal(given.noisy[0], of[index])
        np.testing.assert_array_equal(given.clean, true[index])


def data_of(labels):
    none = np.zeros((0, 32, 32, 3), np.uint8)
    names = tuple(synthetic.CIFAR10_NAMES)
    return data.Dataset("cifar10", "3.0.2", none, labels, none, labels[:0], names, "0" * 64)
