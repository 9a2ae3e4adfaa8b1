"""The splits of a data set: by --split_seed, or by a folder for validation of the user's own."""

import shutil

import numpy as np
import pytest
from own_pictures import CLASSES, write_folder, write_labels, write_splits

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import noise_record

TRAIN, VALID, TEST = range(3)
PARTS = ("train_index", "valid_index")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """own/: 35 pictures for training, 9 for validation, 6 for testing."""
    base = tmp_path_factory.mktemp("base")
    write_splits(base / "own", "val")
    return base


def config(base, **settings):
    settings = dict(batch_size=4, cache_dir=str(base / "cache")) | settings
    return Config(dataset=f"folder:{base / 'own'}", **settings)


def load(base, **settings):
    return noisy_dataset.load(config(base, **settings))


def original(base):
    return data.load(f"folder:{base / 'own'}", cache_dir=base / "cache")


def part(what, split):
    return what.images[what.split == split], what.labels[what.split == split]


# The pictures


def test_validation_part_is_the_folder_and_training_part_is_the_rest(base):
    what, whole = load(base), original(base)
    np.testing.assert_array_equal(what.train_index, np.arange(35))
    np.testing.assert_array_equal(what.valid_index, np.arange(35, 44))
    for split, index in ((TRAIN, what.train_index), (VALID, what.valid_index)):
        np.testing.assert_array_equal(part(what, split)[0], whole.train_images[index])
        np.testing.assert_array_equal(part(what, split)[1], whole.train_labels[index])
    assert [len(part(what, split)[0]) for split in range(3)] == [35, 9, 6]
    assert len(what.train_files) == 35 and not any("val" in file for file in what.train_files)


def test_train_size_leaves_the_validation_part_as_it_is(base):
    whole, few = load(base), load(base, train_size=12)
    assert len(few.train_index) == 12 and few.train_index.max() < 35
    np.testing.assert_array_equal(few.valid_index, whole.valid_index)
    with pytest.raises(InputError, match=r"^--train_size=36: allowed is 0 \(all\) to 35"):
        load(base, train_size=36)


@pytest.mark.parametrize("settings", [{}, {"noise_rate": 0.5}, {"validation_labels": "noisy"}])
def test_training_does_not_see_the_validation_part(base, tmp_path, settings):
    """Whatever stands in val/, pictures, labels and mean picture of the training part are equal."""
    shutil.copytree(base / "own", tmp_path / "own")
    (tmp_path / "own/val/cat").rename(tmp_path / "own/val/x")
    (tmp_path / "own/val/dog").rename(tmp_path / "own/val/cat")
    (tmp_path / "own/val/x").rename(tmp_path / "own/val/dog")
    (tmp_path / "own/val/elk/00.png").unlink()
    settings = settings | {"preprocess_mode": "mean_substract"}
    one, other = load(base, **settings), load(tmp_path, **settings)
    assert one.valid_index.tolist() != other.valid_index.tolist()
    for of_one, of_other in zip(part(one, TRAIN), part(other, TRAIN), strict=True):
        np.testing.assert_array_equal(of_one, of_other)
    np.testing.assert_array_equal(one.noisy_labels[0].noisy, other.noisy_labels[0].noisy)
    np.testing.assert_array_equal(one.preprocessing.mean, other.preprocessing.mean)


def test_noise_on_the_validation_part_is_drawn_as_on_any(base):
    what = load(base, noise_rate=0.9, noise_type="symmetric_noise")
    labels = what.noisy_valid_labels[0]
    assert labels.picked.sum() == int(0.9 * 9) and labels.changed.sum() == 8
    np.testing.assert_array_equal(labels.clean, part(what, VALID)[1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"validation_ratio": 0.2}, r"--validation_ratio=0.2: allowed is 0.1 \(the default\) with"),
        ({"validation_ratio": 0.0}, r"--validation_ratio=0: allowed is 0.1 \(the default\) with"),
        (
            {"split_seed": 3},
            r"--split_seed=3: allowed is 0 \(the default\) with .* --train_size or",
        ),
    ],
)
def test_settings_that_would_change_nothing_are_refused(base, settings, said):
    with pytest.raises(InputError, match=f"^{said}"):
        load(base, **settings)


def test_the_noise_of_a_run_is_read_again(base, tmp_path):
    settings = dict(noise_rate=0.4, total_repeats=2, noise_draws=2, train_size=20)
    what = load(base, **settings)
    noise_record.write_noise(tmp_path, config(base, **settings), what, versions={})
    arrays, again = noise_record.read_noise(tmp_path, config(base, **settings))
    for name in PARTS:
        np.testing.assert_array_equal(arrays[name], getattr(what, name))
    for name in ("noisy_labels", "noisy_valid_labels"):
        for one, other in zip(getattr(what, name), getattr(again, name), strict=True):
            np.testing.assert_array_equal(one.noisy, other.noisy)
            np.testing.assert_array_equal(one.picked, other.picked)


# Labels from files


def rows(base, prefix="", *, validation=True):
    """The next class for each picture, by its name with the folder of its split."""
    whole = original(base)
    next_class = {name: CLASSES[(i + 1) % 3] for i, name in enumerate(CLASSES)}
    names = [f"train/{file}" for file in whole.train_files[:35]]
    names += whole.train_files[35:] if validation else []
    return {name: next_class[name.split("/")[1]] for name in names}


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("folder", ["val", "VAL", "validation"])
def test_a_table_may_have_labels_of_validation_pictures(base, tmp_path, folder, validation):
    labels = rows(base, validation=validation)
    labels = {name.replace("val/", f"{folder}/"): label for name, label in labels.items()}
    labels["test/cat/00.png"] = "dog"
    what = load(base, trust_noise_file=True, noise_file=write_labels(tmp_path / "x.csv", labels))
    assert what.noisy_labels[0].changed.all()
    valid = what.noisy_valid_labels[0]
    assert valid.changed.all() if validation else not valid.changed.any()
    np.testing.assert_array_equal(valid.clean, part(what, VALID)[1])


def test_validation_pictures_that_a_table_leaves_out_keep_their_folders_label(base, tmp_path):
    labels = rows(base)
    del labels["val/dog/01.png"]
    path = write_labels(tmp_path / "x.csv", labels)
    changed = load(base, trust_noise_file=True, noise_file=path).noisy_valid_labels[0].changed
    assert np.flatnonzero(~changed).tolist() == [5]  # after four cats, the second of the dogs
    with pytest.raises(InputError, match=r"^--validation_labels=noisy: .* no label for 1 of the 9"):
        load(base, noise_file=path, trust_noise_file=True, validation_labels="noisy")


def test_names_without_a_split_are_allowed_if_they_are_unique(base, tmp_path):
    shutil.copytree(base / "own", tmp_path / "own")
    for path in (tmp_path / "own").glob("*/*/*.png"):
        path.rename(path.with_name(f"{path.parents[1].name}_{path.name}"))
    labels = {name.partition("/")[2]: label for name, label in rows(tmp_path).items()}
    what = load(
        tmp_path, trust_noise_file=True, noise_file=write_labels(tmp_path / "x.csv", labels)
    )
    assert what.noisy_labels[0].changed.all() and what.noisy_valid_labels[0].changed.all()


@pytest.mark.parametrize("splits", ["train and valid and test", "valid and test"])
def test_names_of_several_files_are_refused(base, tmp_path, splits):
    shutil.copytree(base / "own", tmp_path / "own")
    if "train" not in splits:
        for path in (tmp_path / "own").glob("train/*/*.png"):
            path.rename(path.with_name(f"x{path.name}"))
    labels = rows(tmp_path) | {"cat/00.png": "dog"}
    with pytest.raises(InputError, match=f"cat/00.png is the name of several files, for {splits};"):
        load(tmp_path, noise_file=write_labels(tmp_path / "x.csv", labels))


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("count", [35, 44])
def test_labels_by_position_are_for_training_or_for_both(base, tmp_path, count, clean):
    true = original(base).train_labels
    noisy = np.where(np.arange(44) % 10, true, (true + 1) % 3)[:count]
    np.savez(tmp_path / "x.npz", noisy=noisy, **({"clean": true[:count]} if clean else {}))
    what = load(base, noise_file=str(tmp_path / "x.npz"))
    np.testing.assert_array_equal(what.noisy_labels[0].noisy, noisy[:35])
    expected = noisy[35:] if count == 44 else true[35:]
    np.testing.assert_array_equal(what.noisy_valid_labels[0].noisy, expected)


def test_another_number_of_labels_is_refused(base, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(40, int))
    with pytest.raises(InputError) as refusal:
        load(base, noise_file=str(tmp_path / "x.npy"))
    assert str(refusal.value) == (
        f"--noise_file={tmp_path / 'x.npy'}: 40 labels; allowed is 35, one for each sample of the "
        "train set of folder_own, or 44, with those for validation after them"
    )


def test_the_wrong_order_is_not_hidden_by_the_labels_of_validation_pictures(tmp_path):
    """They are right by themselves, and must not count when agreement by chance is looked for."""
    write_folder(tmp_path / "own" / "train", (3, 3, 3))
    for split in ("test", "val"):
        write_folder(tmp_path / "own" / split, (20, 20, 20))
    np.save(tmp_path / "x.npy", np.array([1, 1, 1, 2, 2, 2, 0, 0, 0]))
    with pytest.raises(InputError, match=r"agree with the true labels on 0.00 % of the samples"):
        load(tmp_path, noise_file=str(tmp_path / "x.npy"))


# --split_seed


def test_split_seed_0_gives_the_splits_that_there_always_were():
    """Goldens from before there was a seed."""
    what = noisy_dataset.load_splits(Config(dataset="digits", train_size=300, test_size=60))
    assert what.train_index[:5].tolist() == [1027, 1243, 55, 381, 936]
    assert what.valid_index[:5].tolist() == [1, 1069, 253, 579, 792]
    assert what.labels[what.split == TEST][:10].tolist() == [1, 2, 9, 2, 9, 1, 7, 0, 1, 9]


@pytest.mark.parametrize("settings", [{}, {"train_size": 300, "test_size": 60}])
def test_split_seed_gives_other_splits_of_the_same_sizes(settings):
    zero, one, again = (
        noisy_dataset.load_splits(Config(dataset="digits", split_seed=seed, **settings))
        for seed in (0, 1, 1)
    )
    assert zero.data_sha256 == one.data_sha256  # the test fifth of digits is its own
    for split in (TEST, [TRAIN, VALID]):  # of each class ⌊ratio · n⌋: n is that of the subset
        assert np.isin(zero.split, split).sum() == np.isin(one.split, split).sum()
    for name in PARTS:
        assert set(getattr(zero, name)) != set(getattr(one, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    tests = [what.images[what.split == TEST] for what in (zero, one)]
    assert np.array_equal(*tests) == (not settings)


def test_labels_by_place_do_not_go_with_another_seed_where_places_depend_on_it(base, tmp_path):
    write_folder(tmp_path / "own", (20, 20, 20))
    true = data.load(f"folder:{tmp_path / 'own'}", cache_dir=tmp_path, split_seed=1).train_labels
    np.save(tmp_path / "x.npy", true)
    with pytest.raises(InputError, match=r"^--split_seed=1: allowed is 0 .* with --noise_file=.*"):
        load(tmp_path, noise_file=str(tmp_path / "x.npy"), split_seed=1)
    np.save(tmp_path / "y.npy", original(base).train_labels[:35])
    load(base, noise_file=str(tmp_path / "y.npy"), split_seed=1, train_size=12)


def test_split_seed_chooses_the_subset_of_a_folder_with_three_splits(base):
    zero, one = (load(base, train_size=12, split_seed=seed) for seed in (0, 1))
    assert set(zero.train_index) != set(one.train_index)
    np.testing.assert_array_equal(zero.valid_index, one.valid_index)
