"""Noisy labels by file name: a CSV file with columns `file,label`, for class folders."""

import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnoise.config import Config, InputError, class_folders
from jaxnoise.data import Dataset
from jaxnoise.labels import given


class NamedLabels(NamedTuple):
    """Class names as labels of files of the train set."""

    source: str  # the flag that names them, with its value
    labels: dict[str, str]  # file, relative to the folder with the classes → class

    def numbered(self, dataset: Dataset) -> given.GivenLabels:
        """Returns the labels as numbers, in the order of the data set.

        Raises:
          InputError: a class is unknown, a file is not in the train set, or a file of the train set
            is missing.
        """
        classes = {name: i for i, name in enumerate(dataset.class_names)}
        for file, label in self.labels.items():
            if label not in classes:
                raise InputError(
                    f"{self.source}: the label of {file} is {label!r}; allowed are "
                    f"{', '.join(classes)}"
                )
        wanted = set(dataset.train_files)
        for file in self.labels:
            if file not in wanted and file not in dataset.test_files:
                raise InputError(
                    f"{self.source}: {file} is not in the train set; allowed are names such as "
                    f"{dataset.train_files[0]}"
                )
        if missing := sorted(wanted - self.labels.keys()):
            raise InputError(
                f"{self.source}: no label for {missing[0]} and {len(missing) - 1} others; "
                f"required is one for each of the {len(wanted)} pictures of the train set"
            )
        noisy = np.array([classes[self.labels[file]] for file in dataset.train_files], np.int32)
        return given.GivenLabels(
            self.source, noisy[None], dataset.train_labels, picked=None, index=None
        )


def read(config: Config) -> NamedLabels | None:
    """Reads the labels of --noise_file if it is a CSV file with a column `file`, else returns None.

    Raises:
      InputError: it has that column, but cannot be used.
    """
    if not config.dataset.startswith(class_folders.PREFIX) or config.noise_file is None:
        return None
    source, path = f"--noise_file={config.noise_file}", Path(os.path.expanduser(config.noise_file))
    if path.suffix != ".csv":
        return None
    labels: dict[str, str] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            if "file" not in (table.fieldnames or ()):
                return None
            if "label" not in table.fieldnames:
                raise InputError(f"{source}: there is no column label; required are file and label")
            for row in table:
                if row["file"] in labels:
                    raise InputError(f"{source}: {row['file']} is listed twice; allowed is once")
                labels[row["file"]] = row["label"]
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}: cannot be read: {' '.join(str(error).split())}") from error
    if config.draws != 1:
        raise InputError(
            f"--noise_draws={config.draws}: allowed is 1, the number of draws in {source}"
        )
    return NamedLabels(source, labels)
