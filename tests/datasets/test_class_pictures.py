"""A user's own pictures: which of them are for testing and validation, and what is warned of."""

import collections
import os
import pathlib
import shutil
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_pictures import CLASSES, write_class, write_folder, write_splits
from PIL import Image

from jaxnoise import data
from jaxnoise.config import Config, InputError, class_folders
from jaxnoise.datasets import class_pictures


def load(root, cache, **settings):
    return data.load(f"folder:{root}", cache_dir=cache, **settings)


def find(root):
    return class_folders.find(f"folder:{root}", None)


def write(root, files):
    """Files of the given contents, which need not be pictures while nothing decodes them."""
    for name, content in files.items():
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def sides(root, seed=0):
    """The split of each file, by its name below the folder."""
    found = find(root)
    return {
        path.relative_to(found.root).as_posix(): split
        for split, paths in class_pictures.by_split(found, seed).items()
        for path in paths
    }


# The test pictures of a folder without a test set

ALWAYS = {f"{name}/{i}.png": f"{name} {i}" for name in ("cat", "dog") for i in range(60)}


@settings(max_examples=30)  # each of some 400 files
@given(
    removed=st.sets(st.sampled_from(sorted(ALWAYS)), max_size=40),
    added=st.dictionaries(
        st.tuples(st.sampled_from(["cat", "dog", "a new class"]), st.integers(0, 99)),
        st.integers(0, 10_000),
        max_size=30,
    ),
    seed=st.integers(0, 2**31 - 1),
)
def test_no_picture_changes_sides_because_of_others(removed, added, seed):
    new = {f"{name}/new_{i}.png": str(content) for (name, i), content in added.items()}
    if "a new class" in {name for name, _ in added}:
        new |= {f"a new class/{i}.png": f"always {i}" for i in range(60)}
    with tempfile.TemporaryDirectory() as folder:
        before = sides(write(f"{folder}/before/own", ALWAYS), seed)
        changed = {name: text for name, text in ALWAYS.items() if name not in removed} | new
        after = sides(write(f"{folder}/after/own", changed), seed)
    assert before.keys() == ALWAYS.keys() and after.keys() == changed.keys()
    for name in before.keys() & after.keys():
        assert before[name] == after[name]


def test_a_side_depends_on_the_content_alone(tmp_path):
    """A picture that gets another name, class or place stays; its copies are beside it."""
    before = sides(write(tmp_path / "here" / "own", ALWAYS))
    there = tmp_path / "there" / "other"
    shutil.copytree(tmp_path / "here" / "own" / "dog", there / "dog")
    for i in range(60):
        shutil.copy(tmp_path / f"here/own/cat/{i}.png", there / f"dog/renamed_{i}.jpg")
    shutil.copytree(there / "dog", there / "elk")
    after = sides(there)
    for i in range(60):
        moved, stayed = before[f"cat/{i}.png"], before[f"dog/{i}.png"]
        assert after[f"dog/renamed_{i}.jpg"] == after[f"elk/renamed_{i}.jpg"] == moved
        assert after[f"dog/{i}.png"] == after[f"elk/{i}.png"] == stayed


def test_a_fifth_are_for_testing_by_every_seed_another():
    digests = [f"{i:064x}" for i in range(10_000)]
    tests = [{x for x in digests if class_pictures.is_test(x, seed)} for seed in range(3)]
    for seed in range(3):
        # Five standard deviations of a binomial: 5 √(0.2 · 0.8 · 10,000) = 200.
        assert abs(len(tests[seed]) - 2000) < 200
        # By chance, a fifth of the test pictures of one seed are those of another: 400 ± 5 · 18.
        assert abs(len(tests[seed] & tests[seed - 1]) - 400) < 90


def test_the_rule_is_the_documented_one():
    """Golden, since every run on such a folder depends on it."""
    # Of printf '0 %064d' 0 | sha256sum and so on, those that begin with 00 to 32 or 333.
    chosen = [i for i in range(40) if class_pictures.is_test(f"{i:064d}", 0)]
    assert chosen == [1, 13, 16, 25, 35, 38]


def test_split_seed_chooses_other_test_pictures_and_is_another_run(tmp_path):
    root = write_folder(tmp_path / "own", (20, 20, 20))
    zero, again, one = (load(root, tmp_path / "c", split_seed=seed) for seed in (0, 0, 1))
    assert zero.test_files == again.test_files and zero.sha256 == again.sha256
    assert set(zero.test_files) != set(one.test_files) and zero.sha256 != one.sha256
    assert len(list((tmp_path / "c").glob("*.npz"))) == 2
    of_seeds = [Config(dataset=f"folder:{root}", split_seed=seed).fingerprint for seed in (0, 1)]
    assert len(set(of_seeds)) == 2


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_that_is_on_one_side_alone_is_named(split, tmp_path):
    side = sides(write(tmp_path / "all", ALWAYS))
    other = {name: text for name, text in ALWAYS.items() if side[name] == split or "cat" in name}
    with pytest.raises(InputError) as refusal:
        sides(write(tmp_path / "own", other))
    missing = "test" if split == "train" else "train"
    count = sum(name.startswith("dog") for name in other)
    assert str(refusal.value) == (
        f"--dataset=folder:{tmp_path / 'own'}: class dog has no {missing} picture: each picture "
        f"becomes one of the test set by chance, 1 in 5, and this class has {count} different "
        "(--split_seed=0); allowed are more pictures, another --split_seed, or separate folders "
        "train and test"
    )


def test_runs_on_another_split_do_not_count_and_others_keep_their_names(tmp_path):
    """Goldens: the fingerprints before the test pictures were chosen by content."""
    contents = {f"{x}/{y}/{i}.png": f"{x} {y} {i}"
                for x in ("train", "test") for y in ("cat", "dog") for i in range(3)}  # fmt: skip
    root = write(tmp_path / "own", contents)
    assert find(root).sha256() == "d857b589eacd441ec2ae164653bfb86bd9b6e98ce9f25eacb51cee9fcf0fd1e9"
    assert Config(dataset=f"folder:{root}").fingerprint == "42d429a9"
    settings = dict(dataset=f"folder:{root}", noise_rate=0.4, train_size=5)
    assert Config(**settings).fingerprint == "fe4c1a5f"
    alone = {f"{y}/{i}.png": f" {y} {i}" for y in ("cat", "dog") for i in range(3)}
    assert Config(dataset=f"folder:{write(tmp_path / 'own2', alone)}").fingerprint != "eab6c977"


# The validation pictures


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val", "VALID"])
def test_validation_pictures_stand_behind_the_others(name, tmp_path):
    root = write_splits(tmp_path / "own", name)
    without = load(write_splits(tmp_path / "without" / "own"), tmp_path / "cache")
    assert without.valid_size == 0
    dataset = load(root, tmp_path / "cache")
    assert dataset.valid_size == 9
    np.testing.assert_array_equal(dataset.train_images[:-9], without.train_images)
    assert dataset.train_files[:-9] == without.train_files
    assert dataset.test_files == without.test_files
    for image, label, file in zip(
        dataset.train_images[-9:], dataset.train_labels[-9:], dataset.train_files[-9:], strict=True
    ):
        folder, of_class, _ = file.split("/")
        assert folder == name and CLASSES[label] == of_class
        np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(root / file)))
    again = load(root, tmp_path / "cache")
    assert again.sha256 == dataset.sha256 != without.sha256


def test_validation_pictures_are_part_of_a_run_but_the_name_of_their_folder_is_not(tmp_path):
    root = write_splits(tmp_path / "own")
    names = [Config(dataset=f"folder:{root}").fingerprint]
    write_folder(root / "val", (4, 3, 2))
    names.append(Config(dataset=f"folder:{root}").fingerprint)
    (root / "val").rename(root / "Validation")
    assert Config(dataset=f"folder:{root}").fingerprint == names[-1]
    (root / "Validation" / "cat" / "00.png").unlink()
    names.append(Config(dataset=f"folder:{root}").fingerprint)
    assert len(set(names)) == 3


def test_the_border_between_training_and_validation_is_part_of_the_data(tmp_path):
    """The last class's last picture is first for training, then for validation."""
    both = []
    for split in ("train", "val"):
        root = write_splits(tmp_path / split / "own", "val")
        for name in ("train", "val"):
            shutil.rmtree(root / name)
            write_folder(root / name, (2, 2, 2))
        write_class(tmp_path / split / "more", 1)
        (tmp_path / split / "more" / "00.png").rename(root / split / "elk" / "99.png")
        both.append(load(root, tmp_path / "cache").sha256)
    assert both[0] != both[1]


UNUSABLE = [
    (
        lambda root: write_folder(root / "valid"),
        "has the folders val and valid; allowed is one",
    ),
    (lambda root: write_folder(root / "Train"), "has the folders Train and train; allowed is one"),
    (lambda root: shutil.rmtree(root / "test"), "train and a folder val with classes, but no test"),
    (
        lambda root: [shutil.rmtree(root / x) for x in ("train", "test")],
        "a folder val with classes, but no train; allowed are train and test, with or without val",
    ),
    (
        lambda root: [shutil.rmtree(root / "val"), write_class(root / "val", 3)],
        "own/val: 0; at least two are needed",
    ),
    (
        lambda root: [shutil.rmtree(root / "val"), (root / "val").mkdir()],
        "own/val: 0; at least two are needed",
    ),
    (
        lambda root: shutil.rmtree(root / "val" / "elk"),
        "elk is only in .*train; train and val need",
    ),
    (lambda root: write_class(root / "val" / "fox", 2), "fox is only in .*val; train and val need"),
    (
        lambda root: [path.unlink() for path in (root / "val" / "dog").iterdir()],
        "no images in .*val/dog",
    ),
    (lambda root: Image.new("RGB", (28, 28)).save(root / "val" / "cat" / "00.png"), "28x28 RGB"),
]


@pytest.mark.parametrize(("change", "said"), UNUSABLE)
def test_a_validation_folder_that_cannot_be_used_is_named(change, said, tmp_path):
    root = write_splits(tmp_path / "own", "val")
    change(root)
    with pytest.raises(InputError, match=f"^--dataset=folder:{root}: .*{said}"):
        load(root, tmp_path / "cache")


def test_splits_in_another_letter_case_are_the_same_splits(tmp_path):
    root = write_splits(tmp_path / "own", "val")
    before = find(root).sha256()
    for name in ("train", "test", "val"):
        (root / name).rename(root / name.upper())
    assert find(root).sha256() == before


# Warnings


def warned(root, caplog, **settings):
    caplog.clear()
    with tempfile.TemporaryDirectory() as cache:
        load(root, cache, **settings)
    flag = f"--dataset=folder:{root}: "
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert all(line.startswith(flag) for line in lines)
    return [line.removeprefix(flag) for line in lines]


def test_pictures_of_an_ordinary_folder_are_no_reason_to_warn(tmp_path, caplog):
    assert warned(write_splits(tmp_path / "own", "val"), caplog) == []
    assert warned(write_folder(tmp_path / "alone" / "own", (20, 20, 20)), caplog) == []


def test_equal_pictures_in_two_splits_are_told(tmp_path, caplog):
    root = write_splits(tmp_path / "own", "val")
    for split in ("test", "val"):  # another format, the same pixels
        Image.open(root / "train" / "cat" / "03.png").save(root / split / "cat" / "x.bmp")
    shutil.copy(root / "train" / "dog" / "00.png", root / "test" / "dog" / "y.png")
    why = "accuracies on them are not those on new images"
    assert warned(root, caplog) == [
        f"2 images are in both train and test, such as train/cat/03.png and test/cat/x.bmp: {why}",
        f"1 image is in both train and valid, such as train/cat/03.png and val/cat/x.bmp: {why}",
        f"1 image is in both test and valid, such as test/cat/x.bmp and val/cat/x.bmp: {why}",
    ]
    assert warned(root, caplog) == []  # once is enough


def test_equal_pictures_in_two_classes_are_told(tmp_path, caplog):
    root = write_folder(tmp_path / "own", (20, 20, 20))
    os.symlink(root / "cat", root / "fox")
    assert warned(root, caplog) == [
        "15 images are in train more than once, such as cat/00.png and fox/00.png: the validation "
        "part may hold what is trained on",
        "20 images are in two classes, such as cat/00.png and fox/00.png: one of these labels is "
        "wrong",
    ]


def test_a_split_that_is_taken_for_the_whole_is_told(tmp_path, caplog):
    root = write_folder(tmp_path / "own" / "train", (20, 20, 20))
    assert warned(root, caplog) == []
    write_folder(tmp_path / "own" / "test", (2, 2, 2))
    assert warned(root, caplog) == [
        f"train is beside test and train; folder:{tmp_path / 'own'} uses these splits, this one "
        "alone is split anew"
    ]


def test_what_is_not_used_is_told(tmp_path, caplog):
    root = write_splits(tmp_path / "own")
    (root / "notes.txt").touch()
    assert warned(root, caplog) == []
    write_class(root / "unlabelled", 2)
    shutil.copy(root / "unlabelled" / "00.png", root / "train")
    assert warned(root, caplog) == ["not used, since not in a class folder: unlabelled and 1 more"]
    shutil.rmtree(root / "unlabelled")
    (root / "train" / "00.png").unlink()
    (root / "val").touch()  # as a checkout on Windows leaves links
    assert warned(root, caplog) == ["not used, since not in a class folder: val"]


@pytest.mark.parametrize("place", ["val", "train/fox", "train/cat/99.png"])
def test_a_link_to_nothing_is_refused(place, tmp_path):
    root = write_splits(tmp_path / "own")
    os.symlink("gone", root / place)
    with pytest.raises(InputError, match=f"{place} is a link to gone, which is not there$"):
        load(root, tmp_path / "cache")


@pytest.mark.parametrize("name", ["val", "Train"])
def test_a_class_called_as_a_split_is_told(name, tmp_path, caplog):
    root = write_folder(tmp_path / "own", (20, 20, 20))
    (root / "elk").rename(root / name)
    assert warned(root, caplog) == [
        f"the folder {name} is taken as a class, since it holds images, not class folders"
    ]
    assert collections.Counter(load(root, tmp_path / "c").class_names)[name] == 1


def test_two_spellings_of_one_class_are_refused(tmp_path):
    root = write_folder(tmp_path / "own", (20, 20, 20))
    for name in ("\u00f6l", "o\u0308l"):
        write_class(root / name, 20)
    with pytest.raises(InputError, match="two folders \u00f6l, in two Unicode spellings"):
        load(root, tmp_path / "cache")
