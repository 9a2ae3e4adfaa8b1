"""Labels from files and from people: every format, and everything that may be wrong with them."""

import functools
import io
import json
import re

import numpy as np
import pytest
import requests
from places import REAL

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.labels import noisy_dataset, reading

TRUE = data.load("digits").train_labels
NOISY = np.where(np.arange(len(TRUE)) % 4 == 0, (TRUE + 1) % 10, TRUE)


_pickled = io.BytesIO()
np.save(_pickled, np.array([None, 1]), allow_pickle=True)
PICKLED = _pickled.getvalue()


def write(path, noisy=NOISY, clean=None):
    """Writes labels in the format of the path's suffix."""
    if path.suffix == ".npz":
        np.savez(path, noisy=noisy, **({} if clean is None else {"clean": clean}))
    elif path.suffix == ".npy":
        np.save(path, noisy)
    elif path.suffix == ".json":
        path.write_text(json.dumps(np.asarray(noisy).tolist()))
    else:
        header, columns = ["label_noisy"], [noisy]
        if clean is not None:
            header, columns = ["label", *header], [clean, noisy]
        rows = [header, *zip(*columns, strict=True)]
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def load(path, **settings):
    return noisy_dataset.load(Config(dataset="digits", noise_file=str(path), **settings))


def refused(path, **settings):
    with pytest.raises(InputError) as refusal:
        load(path, **settings)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith(f"--noise_file={path}: ")
    return str(refusal.value).removeprefix(f"--noise_file={path}: ")


@pytest.mark.parametrize(
    ("name", "clean"),
    [("x.npz", True), ("x.npz", False), ("x.npy", False), ("x.json", False), ("x.csv", True),
     ("x.csv", False)],
)  # fmt: skip
def test_every_format_gives_each_sample_its_label(tmp_path, name, clean):
    what = load(write(tmp_path / name, clean=TRUE if clean else None), total_repeats=2)
    assert what.noisy_labels[0] is what.noisy_labels[1]
    for index, labels in (
        (what.train_index, what.noisy_labels[0]),
        (what.valid_index, what.noisy_valid_labels[0]),
    ):
        np.testing.assert_array_equal(labels.noisy, NOISY[index])
        np.testing.assert_array_equal(labels.clean, TRUE[index])
        np.testing.assert_array_equal(labels.changed, index % 4 == 0)
        np.testing.assert_array_equal(labels.picked, labels.changed)
        assert labels.noisy.dtype == np.int32


def test_several_draws_go_to_the_repeats_in_turn(tmp_path):
    path = write(tmp_path / "x.npy", np.stack([NOISY, TRUE]))
    what = load(path, total_repeats=4, noise_draws=2)
    assert [labels.changed.any() for labels in what.noisy_labels] == [True, False] * 2


@pytest.mark.parametrize("name", ["x.npz", "x.csv"])
def test_wrong_order_is_refused_with_the_agreement(tmp_path, name):
    order = np.random.default_rng(0).permutation(len(TRUE))
    said = refused(write(tmp_path / name, NOISY[order], TRUE[order]))
    agree = TRUE[order] == TRUE
    assert said == (
        f"its clean labels agree with those of digits on {100 * agree.mean():.2f} % of the "
        f"samples, all but {(~agree).sum()} of {len(TRUE)}; allowed is 100 %, that is the same "
        "data set in the same order"
    )


@pytest.mark.parametrize("name", ["bad.npy", "bad.json", "bad.csv"])
def test_order_that_cannot_be_right_is_refused_unless_one_insists(tmp_path, name):
    order = np.random.default_rng(0).permutation(len(TRUE))
    path = write(tmp_path / name, NOISY[order])
    agreement = 100 * (NOISY[order] == TRUE).mean()
    assert refused(path) == (
        f"its labels agree with the true labels on {agreement:.2f} % of the samples, no more often "
        "than by chance; allowed are labels of the images of digits, in their order, or "
        "--trust_noise_file"
    )
    insisted = load(path, trust_noise_file=True)
    np.testing.assert_array_equal(
        insisted.noisy_labels[0].noisy, NOISY[order][insisted.train_index]
    )
    with pytest.raises(InputError, match="^--trust_noise_file: requires --noise_file or --"):
        Config(trust_noise_file=True)


def test_labels_of_which_half_are_in_another_order_have_not_the_rate_that_is_stated(tmp_path):
    shuffled = NOISY.copy()
    shuffled[::2] = np.random.default_rng(0).permutation(NOISY[::2])
    write(tmp_path / "right.npy", NOISY)
    write(tmp_path / "wrong.npy", shuffled)
    rate = float((NOISY != TRUE).mean())
    for fits in (rate - 0.01, rate, 0.9):
        load(tmp_path / "right.npy", noise_file_rate=fits)
    load(tmp_path / "wrong.npy")  # what is not stated cannot be checked
    differing = 100 * (shuffled != TRUE).mean()
    with pytest.raises(InputError) as refusal:
        load(tmp_path / "wrong.npy", noise_file_rate=0.25)
    assert str(refusal.value) == (
        f"--noise_file_rate=0.25: {differing:.2f} % of the labels of "
        f"--noise_file={tmp_path}/wrong.npy differ from the true ones; allowed are labels in the "
        "order of digits, or another rate"
    )
    with pytest.raises(InputError, match=r"^--noise_file_rate=0.2: requires --noise_file$"):
        Config(noise_file_rate=0.2)


def test_index_of_a_table_says_which_sample_a_row_is_of(tmp_path):
    order = np.random.default_rng(0).permutation(len(TRUE))
    rows = "".join(f"{NOISY[i]},{i},{TRUE[i]}\n" for i in order)
    (tmp_path / "x.csv").write_text("label_noisy,index,label\n" + rows)
    ordered = load(tmp_path / "x.csv")
    np.testing.assert_array_equal(ordered.noisy_labels[0].noisy, NOISY[ordered.train_index])


def test_a_table_is_read_once(tmp_path, caplog):
    rows = "".join(f"{label},me\n" for label in NOISY)
    (tmp_path / "x.csv").write_text("label_noisy,annotator\n" + rows)
    load(tmp_path / "x.csv")
    assert caplog.messages == [
        f"--noise_file={tmp_path / 'x.csv'}: columns that are not used: annotator"
    ]


@pytest.mark.parametrize("array", [NOISY[:, None], np.eye(10, dtype=int)[NOISY]])
def test_columns_and_one_hot_rows_are_refused(tmp_path, array):
    said = refused(write(tmp_path / "x.npy", array))
    assert said.startswith(f"an array of shape {array.shape} would be {len(TRUE)} draws of")
    assert said.endswith("allowed are (samples,) and (draws, samples), of class numbers")


def test_wrong_lengths_are_refused(tmp_path):
    assert refused(write(tmp_path / "x.npy", NOISY[:-1])) == (
        "1441 labels; allowed is 1442, one for each sample of the train set of digits"
    )
    assert refused(write(tmp_path / "x.npz", NOISY, TRUE[:-1])).startswith(
        "noisy labels of shape (1, 1442) and clean ones of shape (1441,); allowed are"
    )


@pytest.mark.parametrize(("label", "said"), [(10, "0 to 10"), (-1, "-1 to 9")])
def test_labels_out_of_range_are_refused(tmp_path, label, said):
    low, high = said.split(" to ")
    noisy = np.r_[NOISY[:-1], label]
    assert refused(write(tmp_path / "x.json", noisy)) == (
        f"labels from {low} to {high}; allowed is 0 to 9 for digits"
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.txt", b"1", "allowed file types are .npz, .npy, .csv, .json"),
        ("none.npy", None, "cannot be read: .*No such file"),
        ("x.npz", b"PK no archive", "cannot be read: File is not a zip file"),
        ("x.npy", b"no array", "cannot be read: the magic string is not correct"),
        ("x.json", b"[1, 2", "cannot be read: "),
        ("x.json", b'{"a": 1}', "cannot be read: required is a list"),
        ("x.json", b"[[1], [2, 3]]", "cannot be read: "),
        ("x.json", b"[0.5, 1]", "contains float64 of shape .*; allowed are integers"),
        ("x.json", b"[]", "contains float64 of shape .*; allowed are integers"),
        ("x.json", b"[true, false]", "contains bool of shape .*; allowed are integers"),
        ("x.json", b"[[[1]]]", r"noisy labels of shape \(1, 1, 1\)"),
        ("x.csv", b"", "is empty; required are a header and rows below it"),
        ("x.csv", b"label_noisy\n", "required are rows below a header with label_noisy"),
        (
            "x.csv",
            b"a,b\n1,2\n",
            "required are rows below a header with label_noisy",
        ),
        ("x.csv", b"label,label_noisy\n1,cat\n", "line 2: label_noisy is 'cat'; allowed are"),
        (
            "x.csv",
            b"label,label_noisy\n1\n",
            "line 2 has 1 entry; required is one for each of label, label_noisy",
        ),
        ("x.npy", PICKLED, "cannot be read: it contains pickled Python objects; allowed are"),
    ],
)
def test_bad_file_is_refused(tmp_path, name, content, said, monkeypatch):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("it loads the pictures"))
    assert re.match(said, refused(tmp_path / name))


def test_archive_without_labels_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", labels=NOISY)
    assert refused(tmp_path / "x.npz").startswith("it has labels; required is an array `noisy` (")
    np.savez(tmp_path / "y.npz", noisy=NOISY, train_index=np.arange(1442))
    assert refused(tmp_path / "y.npz").startswith("cannot be read: ")


# human_noise


def human(dataset, labels, **settings):
    return Config(dataset=dataset, noise_type="human_noise", human_labels=labels, **settings)


@pytest.mark.parametrize(
    ("dataset", "labels", "said"),
    [
        (
            "digits",
            "worse_label",
            "there are no human labels for --dataset=digits; allowed are cifar10",
        ),
        (
            "cifar100",
            "worse_label",
            "not a set of labels for --dataset=cifar100; allowed are noise_label",
        ),
        (
            "cifar10",
            "noise_label",
            "not a set of labels for --dataset=cifar10; allowed are worse_label, aggre",
        ),
    ],
)
def test_annotations_that_are_not_there_are_refused(dataset, labels, said):
    with pytest.raises(InputError, match=f"^--(noise_type|human_labels)=.*: {said}"):
        reading.read_labels(human(dataset, labels))


def test_missing_annotations_say_where_to_get_them(tmp_path, monkeypatch):
    def get(address, **_):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(InputError) as refusal:
        reading.read_labels(human("cifar100", "noise_label", data_dir=str(tmp_path)))
    address = "https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/"
    assert str(refusal.value) == (
        f"--human_labels=noise_label: cannot reach {address}CIFAR-100_human.pt (ConnectionError); "
        f"set --manual_dir to a folder with CIFAR-100_human.pt, from {address}"
    )


@pytest.mark.parametrize("dataset", ["cifar10", "cifar10_n"])
def test_annotations_of_other_pictures_are_refused(dataset, tmp_path, monkeypatch):
    (tmp_path / "cifar10_n").mkdir()
    true = np.arange(1442, dtype=np.int32) % 10
    annotations = {"label": true, "aggre_label": (true + 1) % 10}
    monkeypatch.setattr(data, "load_labels", lambda name, *_, **__: annotations)
    people = reading.read_labels(human(dataset, "aggre_label", data_dir=str(tmp_path)))
    with pytest.raises(InputError, match=r"^--human_labels=aggre_label: its clean labels agree"):
        people.check(data.load("digits"))


def test_human_labels_of_another_rate_are_refused_unless_one_insists(tmp_path, monkeypatch):
    """A copy whose labels were shuffled, or edited, for 5 % of the pictures."""
    (tmp_path / "cifar10_n").mkdir()
    people = functools.partial(human, "cifar10", "aggre_label", data_dir=str(tmp_path))
    true = np.arange(50_000, dtype=np.int32) % 10
    for share, fits in ((0.0901, True), (0.14, False)):
        noisy = np.where(np.arange(50_000) < share * 50_000, (true + 1) % 10, true)
        annotations = {"label": true, "aggre_label": noisy}
        monkeypatch.setattr(data, "load_labels", lambda *_, found=annotations, **__: found)
        if fits:
            reading.read_labels(people())
            continue
        with pytest.raises(InputError) as refusal:
            reading.read_labels(people())
        assert str(refusal.value) == (
            "--human_labels=aggre_label: in the copy of cifar10_n, 14.00 % of these labels are not "
            "the true ones; 9.01 % are published; allowed is a copy with those labels, or "
            "--trust_noise_file"
        )
        reading.read_labels(people(trust_noise_file=True))


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real copies are not on this machine")
def test_real_annotations_have_the_published_rates_and_fit_cifar10(tmp_path):
    labels = {}
    for dataset in ("cifar10", "cifar10_n"):
        features = ("label",) if dataset == "cifar10" else ("label", *reading._CIFAR10N)
        labels[dataset] = data.load_labels(dataset, features, data_dir=REAL)
    human_labels, true = labels["cifar10_n"], labels["cifar10"]["label"]
    np.testing.assert_array_equal(human_labels["label"], true)  # the same order
    percent = {name: 100 * (human_labels[name] != true).mean() for name in reading._CIFAR10N}
    # As published by Wei et al. 2022, where worse is 40.21.
    assert {name: round(rate, 2) for name, rate in percent.items()} == {
        "worse_label": 40.21,
        "aggre_label": 9.01,
        "random_label1": 17.23,
        "random_label2": 18.12,
        "random_label3": 17.64,
    }
