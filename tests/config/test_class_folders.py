"""--dataset=folder:PATH: a user's own pictures, from files to labels. test_library.py has a run."""

import dataclasses
import itertools
import shutil
import unicodedata

import numpy as np
import pytest
from main_program import assert_one_error_line, call
from own_pictures import CLASSES, rng, write_class, write_folder, write_labels, write_splits
from PIL import Image

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.labels import named, noisy_dataset
from jaxnoise.noise_files.table import table_of
from jaxnoise.runs import folders, noise_record


def read(config):
    """The labels by name of --noise_file."""
    return named.of_table(config, table_of(config))


def load(root, cache):
    return data.load(f"folder:{root}", cache_dir=cache)


def picture(root, split, file):
    return np.asarray(Image.open(root / split / file))


# Reading


@pytest.mark.parametrize(
    ("shape", "ending", "stored"),
    [((28, 28), "png", (28, 28, 1)), ((32, 30, 3), "jpg", (32, 30, 3)), ((28, 32, 3), "bmp", None)],
)
def test_pictures_and_labels_are_those_of_the_files_in_their_order(tmp_path, shape, ending, stored):
    root = write_splits(tmp_path / "own", shape=shape, ending=ending)
    dataset = load(root, tmp_path / "cache")
    assert dataset.class_names == CLASSES
    assert dataset.train_images.shape == (35, *(stored or shape))
    for split, images, labels, files in (
        ("train", dataset.train_images, dataset.train_labels, dataset.train_files),
        ("test", dataset.test_images, dataset.test_labels, dataset.test_files),
    ):
        assert images.dtype == np.uint8 and labels.dtype == np.int32
        assert list(files) == sorted(files) and len(files) == len(images)
        for image, label, file in zip(images, labels, files, strict=True):
            np.testing.assert_array_equal(image.squeeze(), picture(root, split, file))
            assert CLASSES[label] == file.split("/")[0]


def test_without_splits_some_of_each_class_are_the_test_set(tmp_path):
    root = write_folder(tmp_path / "own", (20, 20, 20))
    dataset = load(root, tmp_path / "cache")
    # Golden: runs on such folders depend on it.
    assert np.bincount(dataset.test_labels).tolist() == [5, 1, 4]
    assert np.bincount(dataset.train_labels).tolist() == [15, 19, 16]
    everything = {path.relative_to(root).as_posix() for path in root.glob("*/*")}
    assert {*dataset.train_files, *dataset.test_files} == everything
    assert not {*dataset.train_files} & {*dataset.test_files}
    for image, file in zip(dataset.test_images, dataset.test_files, strict=True):
        np.testing.assert_array_equal(image[..., 0], picture(root, "", file))


def test_second_start_takes_the_decoded_pictures_from_the_cache(tmp_path, monkeypatch):
    root = write_splits(tmp_path / "own")
    first = load(root, tmp_path / "cache")
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it decodes"))
    again = load(root, tmp_path / "cache")
    assert again.sha256 == first.sha256 and again.train_files == first.train_files
    np.testing.assert_array_equal(again.train_images, first.train_images)


def test_hidden_files_and_what_stands_beside_the_classes_do_not_count(tmp_path):
    root = write_splits(tmp_path / "own")
    before = load(root, tmp_path / "cache").sha256
    (root / "README.txt").touch()
    (root / "more").mkdir()
    (root / "train" / "labels.csv").touch()
    for folder in (root, root / "train", root / "test" / "dog"):
        for name in (".DS_Store", "._00.png", "Thumbs.db", "desktop.ini"):
            (folder / name).touch()
        (folder / "__MACOSX" / "cat").mkdir(parents=True)
    assert load(root, tmp_path / "cache").sha256 == before


def test_train_may_be_the_name_of_a_class(tmp_path):
    root = write_folder(tmp_path / "vehicles")
    (root / "cat").rename(root / "train")
    assert load(root, tmp_path / "cache").class_names == ("dog", "elk", "train")


# What a run is


def settings(root, **other):
    return Config(dataset=f"folder:{root}", **other)


def test_run_depends_on_the_pictures_not_on_their_place(tmp_path, monkeypatch):
    root = write_splits(tmp_path / "here" / "own")
    before = folders.run_folder(settings(root))
    elsewhere = shutil.copytree(root, tmp_path / "there" / "own")
    monkeypatch.chdir(tmp_path / "there")
    for same in (
        settings(elsewhere),
        settings("own/"),
        settings("own", data_dir=str(tmp_path / "here")),
    ):
        assert folders.run_folder(same) == before
    assert before.parts[:2] == ("results", "folder_own")

    (path := elsewhere / "train" / "cat" / "00.png").rename(elsewhere / "train" / "cat" / "99.png")
    renamed = folders.run_folder(settings("own"))
    shutil.copy(elsewhere / "train" / "cat" / "01.png", path)
    assert len({before, renamed, folders.run_folder(settings("own"))}) == 3


def test_a_folder_that_was_moved_is_found_in_data_dir_by_its_name(tmp_path):
    """Also where its path was absolute, as docs/data.md says."""
    root = write_splits(tmp_path / "here" / "own")
    config, before = settings(root), folders.run_folder(settings(root))
    shutil.move(root, tmp_path / "there" / "own")
    with pytest.raises(InputError, match="there is no folder"):
        folders.run_folder(config)
    moved = dataclasses.replace(config, data_dir=str(tmp_path / "there"))
    assert folders.run_folder(moved) == before


def test_a_path_without_folder_is_told_how_to_be_one(tmp_path):
    with pytest.raises(InputError, match=f"^--dataset={tmp_path}: allowed are folder:PATH, as in"):
        Config(dataset=str(tmp_path))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a b/ü (2)", "folder_ü_2_"),
        ("..", "folder_up"),
        (".", "folder_down"),
        ("a\nb/", "folder_a_b"),
        ("x" * 90, "folder_" + "x" * 60),
    ],
)
def test_name_is_one_that_a_folder_can_have(path, name, tmp_path, monkeypatch):
    (tmp_path / "up" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "up" / "down")
    assert Config(dataset=f"folder:{path}").dataset_name == name


def test_defaults_do_not_depend_on_the_path(tmp_path):
    one, other = (Config(dataset=f"folder:{name}", loss="sce") for name in ("mnist", "cifar100"))
    assert one.network == other.network == "lenet"
    assert one.loss_settings == other.loss_settings == Config(loss="sce").loss_settings


# What cannot be used


def broken(root, change):
    write_splits(root)
    change(root)
    return root


def first_cat(root):
    return root / "train" / "cat" / "00.png"


def as_mode(mode):
    return lambda root: Image.open(first_cat(root)).convert(mode).save(first_cat(root))


UNUSABLE = [
    (lambda root: shutil.rmtree(root), "there is no folder"),
    (lambda root: shutil.rmtree(root / "test"), "a folder train with classes, but no test"),
    (
        lambda root: [shutil.rmtree(root / x) for x in ("train", "test")],
        ": 0; at least two are needed",
    ),
    (
        lambda root: [shutil.rmtree(root / x / y) for x in ("train", "test") for y in CLASSES[1:]],
        ": 1; at least two are needed",
    ),
    (lambda root: shutil.rmtree(root / "test" / "dog"), "class dog is only in"),
    (lambda root: shutil.rmtree(root / "train" / "elk"), "class elk is only in"),
    (lambda root: first_cat(root).write_text("meow"), "train/cat/00.png cannot be read as a"),
    (lambda root: first_cat(root).write_bytes(first_cat(root).read_bytes()[:300]), "cat/00.png"),
    (lambda root: (root / "train" / "cat" / "more").mkdir(), "train/cat/more is not a file"),
    (
        lambda root: [path.unlink() for path in (root / "test" / "cat").iterdir()],
        "no images in",
    ),
    (
        lambda root: Image.new("L", (28, 29)).save(root / "test" / "elk" / "02.png"),
        "test/elk/02.png is 29x28 grey",
    ),
    (lambda root: Image.new("RGB", (28, 28)).save(root / "test" / "elk" / "02.png"), "28x28 RGB"),
    (lambda root: Image.new("L", (64, 48)).save(first_cat(root)), "48x64 grey; allowed are"),
    (as_mode("P"), "train/cat/00.png is 28x28 of mode P; allowed are 8-bit grey"),
    (as_mode("RGBA"), "of mode RGBA"),
    (as_mode("I;16"), "of mode I;16"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), UNUSABLE)
def test_what_cannot_be_used_is_named(change, said, tmp_path):
    root = broken(tmp_path / "own", change)
    with pytest.raises(InputError) as caught:
        load(root, tmp_path / "cache")
    assert f"--dataset=folder:{root}: " in str(caught.value) and said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cache/*.npz"))


def test_class_too_small_for_a_test_set_is_named(tmp_path):
    root = write_folder(tmp_path / "own", (20, 2, 20))
    with pytest.raises(
        InputError,
        match=r"class dog has no test picture: .* 2 different \(--split_seed=0\); allowed are more",
    ):
        load(root, tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*.npz"))


@pytest.mark.parametrize("arguments", ["--dataset=folder:", "--dataset=folder:none"])
def test_command_says_it_in_one_line(arguments, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert call(arguments) == 2
    error = capfd.readouterr().err
    assert_one_error_line(error)
    assert arguments in error and not list(tmp_path.iterdir())


# Noisy labels by name


def test_labels_by_name_that_agree_by_chance_are_refused_unless_one_insists(tmp_path):
    """As those in a table whose columns were sorted apart."""
    root = write_folder(tmp_path / "own", (20, 20, 20))
    files = [path.relative_to(root).as_posix() for path in root.glob("*/*")]
    labels = dict(zip(files, rng.permutation([file.split("/")[0] for file in files]), strict=True))
    path = write_labels(tmp_path / "noisy.csv", labels)
    how = {"noise_file": path, "batch_size": 4, "cache_dir": str(tmp_path / "c")}
    with pytest.raises(InputError, match="no more often than by chance; allowed are .*--trust_noi"):
        noisy_dataset.load(settings(root, **how))
    noisy_dataset.load(settings(root, **how, trust_noise_file=True))


def test_labels_by_place_of_other_images_are_refused_unless_one_insists(tmp_path):
    """A run's noise.npz after an image was deleted and another one added, of the same class."""
    root, how = write_folder(tmp_path / "own", (20, 20, 20)), {"cache_dir": str(tmp_path / "c")}
    config = settings(root, **how, batch_size=4, noise_rate=0.3)
    dataset = noisy_dataset.load(config)
    noise_record.write_noise(tmp_path, config, dataset, versions={})
    given = dataclasses.replace(config, noise_rate=0.0, noise_file=str(tmp_path / "noise.npz"))
    again = noisy_dataset.load(given)
    np.testing.assert_array_equal(again.noisy_labels[0].noisy, dataset.noisy_labels[0].noisy)
    max((root / "cat").iterdir()).rename(root / "cat" / "000.png")
    with pytest.raises(InputError, match="its labels are those of other images than folder_own"):
        noisy_dataset.load(given)
    noisy_dataset.load(dataclasses.replace(given, trust_noise_file=True))


@pytest.mark.parametrize("splits", [True, False])
def test_labels_by_name_are_those_of_the_files(splits, tmp_path):
    root = tmp_path / "own"
    _ = write_splits(root) if splits else write_folder(root, (20, 20, 20))
    of_classes = root / "train" if splits else root
    files = [path.relative_to(of_classes).as_posix() for path in of_classes.glob("*/*")]
    rng.shuffle(files)
    labels = dict(zip(files, itertools.cycle(CLASSES)))
    path = write_labels(tmp_path / "noisy.csv", labels)
    what = noisy_dataset.load(
        settings(
            root,
            noise_file=path,
            trust_noise_file=True,
            batch_size=4,
            cache_dir=str(tmp_path / "c"),
        )
    )
    noisy = what.noisy_labels[0]
    assert [CLASSES[label] for label in noisy.noisy] == [labels[x] for x in what.train_files]
    assert [CLASSES[label] for label in noisy.clean] == [x.split("/")[0] for x in what.train_files]
    assert 0 < noisy.changed.mean() < 1


BAD_LABELS = [
    (lambda x: x | {"cat/00.png": "cow"}, "the label of cat/00.png is 'cow'; allowed are cat, dog"),
    (lambda x: x | {"cat/77.png": "cat"}, "cat/77.png is not in the train set"),
    (lambda x: {k: v for k, v in x.items() if k != "dog/03.png"}, "no label for dog/03.png"),
    (lambda x: {}, "no label for cat/00.png and 34 others"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), BAD_LABELS)
def test_labels_that_do_not_fit_are_named(change, said, tmp_path):
    dataset = load(write_splits(tmp_path / "own"), tmp_path / "cache")
    labels = change({file: file.split("/")[0] for file in dataset.train_files})
    path = write_labels(tmp_path / "noisy.csv", labels)
    config = settings(tmp_path / "own", noise_file=path)
    with pytest.raises(InputError) as caught:
        read(config).numbered(dataset)
    assert f"--noise_file={path}: " in str(caught.value) and said in str(caught.value)


def given(tmp_path, root, text):
    """The labels that a table gives, as class names by file of the train set."""
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    dataset = load(root, tmp_path / "cache")
    config = settings(root, noise_file=str(tmp_path / "table.csv"))
    (noisy,) = read(config).numbered(dataset).noisy
    return dict(
        zip(dataset.train_files, (dataset.class_names[label] for label in noisy), strict=True)
    )


def test_noisy_labels_beside_true_ones_are_those_that_count(tmp_path):
    root = write_splits(tmp_path / "own")
    files = load(root, tmp_path / "cache").train_files
    rows = [f"{'elk' if i % 3 else 'cat'},{x},{x[:3]}\n" for i, x in enumerate(files)]
    found = given(tmp_path, root, "label_noisy,file,label\n" + "".join(rows))
    assert found == {x: "elk" if i % 3 else "cat" for i, x in enumerate(files)}
    wrong = "".join(rows).replace(",dog\n", ",cat\n")
    with pytest.raises(
        InputError, match=r"the true label of dog/00.png is cat; in the data set .*"
    ):
        given(tmp_path, root, "label_noisy,file,label\n" + wrong)


def test_rows_of_test_files_may_be_there_and_are_known_by_their_folder(tmp_path):
    root = write_splits(tmp_path / "own")  # train/ and test/ have files of equal names
    files = load(root, tmp_path / "cache").train_files
    expected = dict(zip(files, itertools.cycle(CLASSES)))
    rows = [f".\\train\\{file},{label}\n" for file, label in expected.items()]
    rows += [f"test/{name}/00.png,{name}\n" for name in CLASSES]
    assert given(tmp_path, root, "path,label\n" + "".join(rows)) == expected
    twice = [f"{file},{label}\n" for file, label in expected.items()]
    with pytest.raises(InputError, match=r"cat/00.png is listed twice; .*\(train/cat/00.png and"):
        given(tmp_path, root, "file,label\n" + "".join([*twice, "cat/00.png,cat\n"]))


def test_index_beside_a_file_must_be_its_place(tmp_path):
    root = write_splits(tmp_path / "own")
    files = load(root, tmp_path / "cache").train_files
    rows = [f"{i},{file},elk\n" for i, file in enumerate(files)]
    assert set(given(tmp_path, root, "index,file,label\n" + "".join(rows)).values()) == {"elk"}
    rows[4] = rows[4].replace("4", "5", 1)
    with pytest.raises(InputError, match=r"the index of cat/04.png is 5; in the train set it is 4"):
        given(tmp_path, root, "index,file,label\n" + "".join(rows))


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_are_equal_in_any_unicode_normalization(on_disk, in_table, tmp_path):
    root = tmp_path / "own"
    names = ("ähre", "öl")
    for name in names:
        write_class(root / unicodedata.normalize(on_disk, name), 10)
    files = load(root, tmp_path / "cache").train_files
    rows = "".join(f"{file},öl\n" for file in files)
    found = given(tmp_path, root, "file,label\n" + unicodedata.normalize(in_table, rows))
    assert {unicodedata.normalize("NFC", label) for label in found.values()} == {"öl"}


def noisy(tmp_path, root, file):
    config = settings(
        root, noise_file=str(tmp_path / file), validation_ratio=0.25, batch_size=4,
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    return noisy_dataset.load(config).noisy_labels[0]


def numbered_folder(root, names):
    for name in names:
        write_class(root / name, 10)
    return root


def test_classes_named_by_numbers_are_in_the_order_of_numbers(tmp_path):
    root = numbered_folder(tmp_path / "own", [str(i) for i in range(12)])
    dataset = load(root, tmp_path / "cache")
    assert dataset.class_names == tuple(str(i) for i in range(12))
    np.save(tmp_path / "labels.npy", [int(file.split("/")[0]) for file in dataset.train_files])
    assert not noisy(tmp_path, root, "labels.npy").changed.any()


def test_numbers_that_may_be_names_or_places_are_refused(tmp_path):
    root = numbered_folder(tmp_path / "own", ["1", "2", "10"])
    dataset = load(root, tmp_path / "cache")
    labels = dataset.train_labels
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(InputError, match=r"named by numbers \(1, 2, 10, …\) .* is ambiguous"):
        noisy(tmp_path, root, "labels.npy")
    np.savez(tmp_path / "both.npz", noisy=(labels + 1) % 3, clean=labels)
    assert noisy(tmp_path, root, "both.npz").changed.all()
    found = given(
        tmp_path, root, "file,label\n" + "".join(f"{x},10\n" for x in dataset.train_files)
    )
    assert set(found.values()) == {"10"}


def test_list_that_cannot_be_used_is_told(tmp_path):
    path = write_labels(tmp_path / "noisy.csv", {"a": "b"}, header=("file", "class", "by"))
    with pytest.raises(InputError, match="the column 'class' is unknown, but may hold labels"):
        read(settings(tmp_path, noise_file=path))
    path = write_labels(tmp_path / "noisy.csv", {"a": "b"}, header=("file", "name", "by"))
    with pytest.raises(InputError, match="there is no column label; required are file and label$"):
        read(settings(tmp_path, noise_file=path))
    with pytest.raises(InputError, match="--noise_draws=5: allowed is 1"):
        read(settings(tmp_path, noise_file=write_labels(tmp_path / "a.csv", {}), noise_draws=5))
    (tmp_path / "numbers.csv").write_text("label,label_noisy\n0,1\n")
    assert read(settings(tmp_path, noise_file=str(tmp_path / "numbers.csv"))) is None
