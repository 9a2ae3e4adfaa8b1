"""Noisy labels by file name: a table with a column `file`, for class folders."""

import unicodedata
from typing import NamedTuple

import numpy as np

from jaxnoise.config import Config, InputError, class_folders, counted
from jaxnoise.data import Dataset
from jaxnoise.labels import given
from jaxnoise.noise_files.table import Table, required


class NamedLabels(NamedTuple):
    """Class names as labels of files."""

    source: str  # the flag that names them, with its value
    files: list[str]  # relative to the folder with the classes, perhaps with its name before
    noisy: list[str]  # the label of each
    clean: list[str] | None  # the true one, if the table has it
    index: np.ndarray | None  # int (files,), its place in the train set, if the table has it

    def numbered(self, dataset: Dataset) -> given.GivenLabels:
        """Returns the labels as numbers, in the order of the data set. Rows of test files may be
        there, and are not used. Files of the data set's own validation split may be missing.

        Raises:
          InputError: a class is unknown; a file is unknown, listed twice, at another index or in
            two splits; a file of the train set is missing; or a true label is not that of the data
            set.
        """
        classes = {_plain(name): i for i, name in enumerate(dataset.class_names)}
        own = len(dataset.train_files) - dataset.valid_size
        places = _places(dataset, own)
        noisy = np.full(len(dataset.train_files), -1, np.int32)
        for row, file in enumerate(self.files):
            place = self._place(_plain(file), places, dataset)
            if place is None:
                continue
            if noisy[place] >= 0:
                either = _plain(file) in places["test"]
                advice = f" (train/{file} and test/{file} are two files)" if either else ""
                raise InputError(f"{self.source}: {file} is listed twice; allowed is once{advice}")
            noisy[place] = self._class(file, self.noisy[row], classes)
            true = dataset.train_labels[place]
            if self.clean and self._class(file, self.clean[row], classes) != true:
                raise InputError(
                    f"{self.source}: the true label of {file} is {self.clean[row]}; in the data "
                    f"set it is {dataset.class_names[true]}"
                )
            if self.index is not None and self.index[row] != place:
                raise InputError(
                    f"{self.source}: the index of {file} is {self.index[row]}; in the train set it "
                    f"is {place}"
                )
        if missing := [dataset.train_files[i] for i in np.flatnonzero(noisy[:own] < 0)]:
            others = f" and {counted(len(missing) - 1, 'other')}" if len(missing) > 1 else ""
            raise InputError(
                f"{self.source}: no label for {missing[0]}{others}; required is one for each "
                f"picture of the train set, {own} in all"
            )
        index = np.flatnonzero(noisy >= 0)
        return given.GivenLabels(
            self.source,
            noisy[None, index],
            None if self.clean is None else dataset.train_labels[index],
            picked=None,
            index=index,
            by_name=True,
        )

    def _place(
        self, file: str, places: dict[str, dict[str, int | None]], dataset: Dataset
    ) -> int | None:
        """Where a file stands in the train set; None if it is a file of the test set."""
        there = [split for split, files in places.items() if file in files]
        if len(there) > 1 and "valid" in there:
            raise InputError(
                f"{self.source}: {file} is the name of several files, for {' and '.join(there)}; "
                f"allowed are names with the folder of the split, such as train/{file}"
            )
        if there:
            return places[there[0]][file]
        folder, _, inside = file.partition("/")
        split = class_folders.SPLIT_FOLDERS.get(folder.lower())
        if inside in places.get(split, ()):
            return places[split][inside]
        raise InputError(
            f"{self.source}: {file} is not in the train set; allowed are names such as "
            f"{'train/' if dataset.valid_size else ''}{dataset.train_files[0]}"
        )

    def _class(self, file: str, label: str, classes: dict[str, int]) -> int:
        if _plain(label) not in classes:
            raise InputError(
                f"{self.source}: the label of {file} is {label!r}; allowed are {', '.join(classes)}"
            )
        return classes[_plain(label)]


def _places(dataset: Dataset, own: int) -> dict[str, dict[str, int | None]]:
    """By split and CLASS/FILE, the place in the train set; None for files of the test set.

    Args:
      own: how many of the train set's files are not of the data set's own validation split.
    """
    files = [_plain(name) for name in dataset.train_files]
    return {
        "train": {file: i for i, file in enumerate(files[:own])},
        "valid": {file.partition("/")[2]: i for i, file in enumerate(files[own:], start=own)},
        "test": {_plain(name): None for name in dataset.test_files},
    }


def of_table(config: Config, table: Table | None) -> NamedLabels | None:
    """The labels of a table with a column `file`; None if there is no table or no such column.

    The labels to train on are those of `label_noisy`, with the true ones in `label`; or those of
    `label`, if there is no other column.

    Raises:
      InputError: it has that column, but cannot be used.
    """
    if table is None or "file" not in table:
        return None
    source = table.source
    if not config.dataset.startswith(class_folders.PREFIX):
        raise InputError(
            f"{source}: has a column file, but --dataset={config.dataset} has no files; allowed is "
            "a table with index, label and label_noisy"
        )
    both = "label_noisy" in table
    if not both:
        required(table, ("file", "label"))
    if config.draws != 1:
        raise InputError(
            f"--noise_draws={config.draws}: allowed is 1, the number of draws in {source}"
        )
    return NamedLabels(
        source,
        table.text("file"),
        table.text("label_noisy" if both else "label"),
        table.text("label") if both and "label" in table else None,
        table.numbers("index") if "index" in table else None,
    )


def _plain(name: str) -> str:
    """One spelling for one name: composed characters, slashes, no ./ before it."""
    name = unicodedata.normalize("NFC", name.strip()).replace("\\", "/")
    return name.removeprefix("./")
