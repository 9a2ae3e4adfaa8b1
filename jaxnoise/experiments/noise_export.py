"""Noisy labels as files for other programs: those of a run, or new ones, without training."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise import data
from jaxnoise.config import ARRAYS_PREFIX, Config, InputError, class_folders
from jaxnoise.figures import confusion
from jaxnoise.labels import noisy_dataset
from jaxnoise.labels.noise import NoisyLabels
from jaxnoise.labels.noisy_dataset import NoisyDataset
from jaxnoise.noise_files.writing import FORMATS, Labels
from jaxnoise.runs import provenance
from jaxnoise.runs.finished import FinishedRun
from jaxnoise.runs.noise_record import rounded

# The settings that say what the labels are.
SETTINGS = (
    "dataset", "noise_type", "noise_rate", "noise_seed", "flip_map", "noise_matrix",
    "wave_frequency", "human_labels", "noise_file", "noise_file_rate", "trust_noise_file",
    "user_code", "noise_options", "image_size", "split_seed",
)  # fmt: skip
ORDERS = {"original": "the original files", "tfds": "the TFDS copy"}


def write_noise(
    of: Config | FinishedRun,
    out: str | os.PathLike,
    *,
    to: str | None = None,
    order: str | None = None,
    draw: int = 0,
) -> dict[str, Any]:
    """Writes one draw of noisy labels to a file, training and validation part together.

    Beside it stand FILE.about.json, with the rates, the transition matrix, the SHA-256 and how it
    was made, and FILE.matrix.png and .pdf, a picture of the matrix.

    Args:
      of: a finished run, whose labels are written; or the settings of noise to make, which is drawn
        for the whole train set, as a run with validation_ratio=0 draws it.
      out: the file to write; neither it nor a file beside it may exist.
      to: `dividemix`, a JSON list of class numbers, as DivideMix and BadLabels have; `npy`,
        int64 (N,); `csv`, index,label,label_noisy, or for class folders file,label,label_noisy with
        names; `npz`, arrays noisy, clean, picked, index. Default: by the suffix of the name, of
        which .json is dividemix.
      order: of the samples: `original`, that of the original files and of PyTorch, or `tfds`, that
        of the TFDS copy. Only for a data set that has both, and by default the first.
      draw: which draw of the noise, from 0.

    Returns:
      the content of FILE.about.json.

    Raises:
      InputError: an argument is not allowed, there is no noise, a file exists or cannot be written,
        or a sample has no label and the format needs one for each.
    """
    out = Path(os.path.expanduser(out))
    to = format_of(out, to)
    about, matrix = check_out(out)
    draws = of.draws if isinstance(of, Config) else of.config.draws
    if not 0 <= draw < draws:
        raise InputError(f"--draw={draw}: allowed is 0 to {draws - 1}")
    config, dataset = _made(of) if isinstance(of, Config) else (of.config, of.dataset)
    labels, order = _labels(dataset, order, draw)
    if FORMATS[to].by_place and not labels.whole:
        raise InputError(
            f"--to={to}: needs a label for each of the {labels.total} samples of the train set, "
            f"but only {len(labels.noisy)} have one (see --train_size); allowed are csv and npz"
        )
    content = FORMATS[to].content(labels)
    document = _about(config, dataset, labels, draw) | {
        "format": to,
        "order": order,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    try:
        with open(out, "xb") as file:
            file.write(content)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        about.write_text(text + "\n", encoding="utf-8")
        title = f"{config.dataset} · {config.noise}"
        confusion.draw_noise(matrix, labels.clean, labels.noisy, dataset.class_names, title=title)
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    return document


def format_of(out: Path, to: str | None) -> str:
    """The name of the format: `to` or, if that is None, by the suffix of the file.

    Raises:
      InputError: the suffix is that of none, or of another.
    """
    suffixes = {form.suffix: name for name, form in FORMATS.items()}
    if to is None and out.suffix not in suffixes:
        raise InputError(f"--out={out}: allowed are names that end in {', '.join(suffixes)}")
    if to is not None and to not in FORMATS:
        raise InputError(f"--to={to}: allowed are {', '.join(FORMATS)}")
    if to is not None and FORMATS[to].suffix != out.suffix:
        raise InputError(
            f"--out={out}: allowed is a name that ends in {FORMATS[to].suffix} for --to={to}"
        )
    return to or suffixes[out.suffix]


def check_out(out: Path) -> tuple[Path, Path]:
    """The names of the files beside a file of noise: what it is about, and the picture.

    Raises:
      InputError: one of the three exists, or there is no folder for them.
    """
    about, matrix = (out.with_name(out.name + end) for end in (".about.json", ".matrix.png"))
    for path in (out, about, matrix):
        if os.path.lexists(path):
            raise InputError(f"--out={out}: {path} exists; allowed is a new name")
    if not out.parent.is_dir():
        raise InputError(f"--out={out}: there is no folder {out.parent}")
    return about, matrix


def _labels(dataset: NoisyDataset, order: str | None, draw: int) -> tuple[Labels, str | None]:
    """The labels of both parts, sorted by their places, and the order those are of, if several."""
    index = np.concatenate([dataset.train_index, dataset.valid_index])
    parts = dataset.noisy_labels[draw], dataset.noisy_valid_labels[draw]
    total = len(dataset.original.train_labels)
    original = data.original_order(dataset.original.name, total)
    if original is None and order is not None:
        raise InputError(
            f"--order={order}: the samples of {dataset.original.name} have one order only; allowed "
            "is no --order"
        )
    order = order or ("original" if original is not None else None)
    files, own = dataset.original.train_files, total - dataset.original.valid_size
    if own < total:  # a validation part of its own, whose files are named with their folder
        files = [f"train/{file}" for file in files[:own]] + list(files[own:])
    places = original[index] if order == "original" else index
    by_place = np.argsort(places)
    noisy, clean, picked = (
        np.concatenate([getattr(part, name) for part in parts])[by_place]
        for name in ("noisy", "clean", "picked")
    )
    return Labels(
        noisy,
        clean,
        picked,
        places[by_place],
        total,
        [files[i] for i in index[by_place]] if files else (),
        dataset.class_names,
    ), order


def _about(config: Config, dataset: NoisyDataset, labels: Labels, draw: int) -> dict[str, Any]:
    drawn, made_by = dataset.noisy_labels[draw], provenance.facts()
    both = NoisyLabels(labels.noisy, labels.clean, labels.picked, labels.noisy != labels.clean)
    counts = both.summary()
    return {
        "dataset": config.dataset,
        "data_sha256": dataset.data_sha256,
        "class_names": list(dataset.class_names),
        "samples": len(labels.noisy),
        "of_samples": labels.total,
        "noise": config.noise,
        "noise_seed": None if config.noise_is_given else config.noise_seed + draw,
        "requested_rate": None if config.noise_is_given else config.noise_rate,
        **{name: counts[name] for name in ("true_rate", "picked", "changed")},
        "transition_matrix": {
            "asked": rounded(drawn.transition_matrix),
            "realized": rounded(both.realized_matrix(dataset.num_classes)),
        },
        "sha256_of_labels": counts["sha256"],  # little-endian int32, in the order of the file
        "settings": {name: getattr(config, name) for name in SETTINGS},
        **{name: made_by[name] for name in ("command", "jaxnoise", "git_revision", "versions")},
    }


def _made(config: Config) -> tuple[Config, NoisyDataset]:
    """A data set with the noise of `config` on its whole train set.

    Raises:
      InputError: see `noisy_dataset.load`; or there is no noise.
    """
    if not config.noise_is_given and not config.noise_rate:
        raise InputError("--noise_rate=0: allowed is (0, 1], as nothing else would be noise")
    config = dataclasses.replace(config, batch_size=1)  # for data sets of few samples
    own = config.dataset.startswith((class_folders.PREFIX, ARRAYS_PREFIX))
    if not own or not _pictures(config).valid_size:
        config = dataclasses.replace(config, validation_ratio=0.0)
    return config, noisy_dataset.load(config)


def _pictures(config: Config) -> data.Dataset:
    names = ("data_dir", "cache_dir", "split_seed", "image_size")
    return data.load(config.dataset, **{name: getattr(config, name) for name in names})
