"""noise.npz and noise.json: what they say, and that a run can be trained on them again."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from jaxnoise.config import Config, InputError
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import noise_record

SETTINGS = dict(dataset="digits", noise_rate=0.4, total_repeats=4, noise_draws=2, noise_seed=7)


def write(folder, config):
    what = noisy_dataset.load(config)
    noise_record.write_noise(folder, config, what, versions={"numpy": np.__version__})
    return what


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def what(folder):
    return write(folder, Config(**SETTINGS))


@pytest.fixture(scope="module")
def document(what, folder):
    return json.loads((folder / "noise.json").read_text())


def test_npz_holds_every_draw_of_both_parts(what, folder):
    with np.load(folder / "noise.npz") as saved:
        arrays = dict(saved)
    parts = {"": what.noisy_labels, "valid_": what.noisy_valid_labels}
    for prefix, draws in parts.items():
        np.testing.assert_array_equal(arrays.pop(f"{prefix}clean"), draws[0].clean)
        for name in ("noisy", "picked", "changed"):
            values = arrays.pop(prefix + name)
            assert values.dtype == getattr(draws[0], name).dtype
            np.testing.assert_array_equal(values, [getattr(x, name) for x in draws[:2]])
    np.testing.assert_array_equal(arrays.pop("train_index"), what.train_index)
    np.testing.assert_array_equal(arrays.pop("valid_index"), what.valid_index)
    assert str(arrays.pop("data_sha256")) == what.data_sha256
    assert not arrays


def test_json_can_be_recomputed_from_npz(document, folder):
    with np.load(folder / "noise.npz") as saved:
        noisy, changed, clean = saved["noisy"], saved["changed"], saved["clean"]
        valid_noisy = saved["valid_noisy"]
    assert document["noise"] == "uniform_noise 0.4" and document["requested_rate"] == 0.4
    assert document["true_rate"] == pytest.approx(changed.mean(), abs=1e-6)
    assert [draw["seed"] for draw in document["draws"]] == [7, 8]
    for i, draw in enumerate(document["draws"]):
        assert draw["sha256"] == hashlib.sha256(noisy[i].astype("<i4").tobytes()).hexdigest()
        assert draw["valid"]["sha256"] == hashlib.sha256(valid_noisy[i].tobytes()).hexdigest()
        assert draw["changed"] == changed[i].sum()
        asked = np.array(draw["transition_matrix"]["asked"])
        np.testing.assert_allclose(asked, 0.6 * np.eye(10) + 0.04, rtol=0, atol=1e-6)
        realized = np.array(draw["transition_matrix"]["realized"])
        for row in draw["classes"]:
            of_class = clean == row["class"]
            assert row["name"] == str(row["class"]) and row["samples"] == of_class.sum()
            assert row["changed"] == changed[i][of_class].sum()
            assert row["true_rate"] == pytest.approx(changed[i][of_class].mean(), abs=1e-6)
            assert row["expected_rate"] == 0.36
            shares = np.bincount(noisy[i][of_class], minlength=10) / of_class.sum()
            np.testing.assert_allclose(realized[row["class"]], shares, rtol=0, atol=1e-6)
    assert document["versions"] == {"numpy": np.__version__}


def test_json_is_for_people(folder, document):
    lines = (folder / "noise.json").read_text().splitlines()
    assert sum(line.strip().startswith('{ "class": ') for line in lines) == 20
    assert max(map(len, lines)) < 200 and len(lines) < 120  # a row of a matrix on one line
    assert document["flags"]["noise_seed"] == 7


def test_strings_are_left_as_they_are(tmp_path):
    np.save(tmp_path / "two  spaces [1,  2].npy", np.zeros(1442, int))
    config = Config(
        dataset="digits",
        noise_file=str(tmp_path / "two  spaces [1,  2].npy"),
        trust_noise_file=True,  # that all labels are 0 is no better than chance
    )
    write(tmp_path, config)
    document = json.loads((tmp_path / "noise.json").read_text())
    assert document["flags"]["noise_file"] == config.noise_file
    assert document["requested_rate"] is None and document["draws"][0]["seed"] is None
    assert document["draws"][0]["transition_matrix"]["asked"] is None


def test_absent_classes_are_null(tmp_path):
    # Three samples cannot be of all ten classes.
    write(tmp_path, Config(dataset="digits", train_size=20, validation_ratio=0.5, batch_size=1))
    (draw,) = json.loads((tmp_path / "noise.json").read_text())["draws"]
    absent = [row for row in draw["classes"] if not row["samples"]]
    assert absent and all(row["true_rate"] is None for row in absent)
    assert draw["transition_matrix"]["realized"][absent[0]["class"]] == [None] * 10


# Trained on again


def again(folder, **changes):
    settings = SETTINGS | dict(noise_rate=0.0, noise_file=str(folder / "noise.npz")) | changes
    return noisy_dataset.load(Config(**settings))


def test_same_labels_come_back_for_every_repeat(what, folder):
    copy = again(folder)
    for given, drawn in (
        (copy.noisy_labels, what.noisy_labels),
        (copy.noisy_valid_labels, what.noisy_valid_labels),
    ):
        for one, other in zip(given, drawn, strict=True):
            for name in ("noisy", "clean", "picked", "changed"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            assert one.sha256 == other.sha256


@pytest.mark.parametrize("changes", [{"validation_ratio": 0.3}, {"train_size": 700}])
def test_each_sample_keeps_its_label_in_another_split(what, folder, changes):
    def by_sample(what, draw=1):
        index = np.concatenate([what.train_index, what.valid_index])
        noisy = np.concatenate([what.noisy_labels[draw].noisy, what.noisy_valid_labels[draw].noisy])
        return dict(zip(index.tolist(), noisy.tolist(), strict=True))

    other = by_sample(again(folder, **changes))
    assert other.items() <= by_sample(what).items() and len(other) >= 700


def test_samples_without_a_label_are_refused(tmp_path):
    write(tmp_path, Config(**SETTINGS | {"train_size": 300}))
    with pytest.raises(
        InputError, match="has labels for 300 samples, but not for .* of those used here"
    ):
        again(tmp_path)


def test_other_numbers_of_draws_are_refused(folder, what):
    with pytest.raises(InputError) as refusal:
        again(folder, noise_draws=1)
    assert str(refusal.value) == (
        f"--noise_draws=1: allowed is 2, the number of draws in --noise_file={folder / 'noise.npz'}"
    )


def test_labels_of_another_data_set_are_refused(folder, what, monkeypatch):
    digits = noisy_dataset.data.load("digits")
    turned = dataclasses.replace(digits, train_labels=digits.train_labels[::-1].copy())
    monkeypatch.setattr(noisy_dataset.data, "load", lambda *_, **__: turned)
    agreement = 100 * (digits.train_labels == turned.train_labels).mean()
    with pytest.raises(InputError, match=rf"agree with those of digits on {agreement:.2f} %"):
        again(folder)
