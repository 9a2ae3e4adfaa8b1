"""Prepared copies of TFDS data sets: opened or prepared, and decoded, without TensorFlow."""

import contextlib
import io
import logging
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from PIL import Image

from jaxnoise.config import IMAGE_SIDES, IMAGE_SIZES, InputError, counted, nearest
from jaxnoise.datasets import prepare
from jaxnoise.datasets.resizing import Resizing

_log = logging.getLogger(__name__)


def open_copy(
    name: str,
    *,
    data_dir: pathlib.Path,
    manual_dir: pathlib.Path | None,
    any_size: bool = False,
) -> tfds.core.DatasetBuilder:
    """Opens the copy of a data set in a TFDS directory; prepares it there if there is none.

    Args:
      name: TFDS name, with its configuration if there are several: `emnist/balanced`.
      data_dir: TFDS directory.
      manual_dir: folder with the raw archives, used only if the copy has to be prepared.
      any_size: whether heights and widths may be others than IMAGE_SIDES allows, also several.

    Returns:
      the builder of a prepared array_record copy with a uint8 `image`, grey or RGB, a class
      `label`, and the splits train and test.

    Raises:
      InputError: the data set is unknown, not supported, damaged, or not available.
    """
    if data_dir.exists() and not data_dir.is_dir():
        raise InputError(f"--data_dir={data_dir} is not a folder")
    copy = _open(name, data_dir)
    _check_features(name, copy.info.features, any_size=any_size)
    if not prepare.is_prepared(copy):
        if copy.data_path.exists():
            raise InputError(
                f"damaged copy {copy.data_path}: TFDS's dataset_info.json is missing; delete it"
            )
        near = _copy_near(name, data_dir)
        elsewhere = f" (there is a copy in --data_dir={near})" if near else ""
        if name not in prepare.PREPARABLE:
            raise InputError(
                f"--dataset={name}: there is no copy in --data_dir={data_dir}{elsewhere}; to "
                f"prepare one, run, where TensorFlow is installed: tfds build {name} "
                f"--data_dir={data_dir} --file_format=array_record"
            )
        _log.info("preparing %s %s in %s, once%s", name, copy.version, data_dir, elsewhere)
        try:
            prepare.prepare(name, data_dir=data_dir, manual_dir=manual_dir)
        except InputError as error:
            raise InputError(f"{error}{elsewhere}") from error
        copy = _open(name, data_dir)
    formats = sorted(file_format.value for file_format in copy.info.available_file_formats())
    if "array_record" not in formats:
        empty = " (an empty folder will get one)" if name in prepare.PREPARABLE else ""
        raise InputError(
            f"--data_dir={data_dir}: its copy of {name} is in the format {'/'.join(formats)}, "
            "which only TensorFlow reads; allowed is another folder, with an array_record copy"
            f"{empty}"
        )
    for split in ("train", "test"):
        if split not in copy.info.splits:
            raise InputError(
                f"--dataset={name} is not supported: it has no {split} split, only "
                f"{', '.join(copy.info.splits)}; train and test are required"
            )
    return copy


def _copy_near(name: str, data_dir: pathlib.Path) -> pathlib.Path | None:
    """The TFDS directory with a copy, if `data_dir` is one level too deep or too high, or two."""
    with contextlib.suppress(OSError):
        below = sorted(path for path in data_dir.glob("*") if path.is_dir())
        for place in (data_dir.parent, data_dir.parent.parent, *below):
            if any((place / name).glob("*/dataset_info.json")):
                return place
    return None


def decode(
    copy: tfds.core.DatasetBuilder, split: str, resizing: Resizing | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes all pictures of one split, in the order of its record files.

    Args:
      resizing: brings all pictures to one size.

    Returns:
      images, uint8 (N, H, W, C), and labels, int32 (N,) in [0, K).

    Raises:
      InputError: a record file is damaged, or does not match its description; the message names
        the file and the record, counted from 0.
    """
    info, features = copy.info.splits[split], copy.info.features
    shape, classes = features["image"].shape, features["label"].num_classes
    if resizing:
        shape = resizing.size, resizing.size, shape[-1]
    images = np.empty((info.num_examples, *shape), np.uint8)
    labels = np.empty(info.num_examples, np.int32)
    mode = "RGB" if shape[-1] == 3 else "L"
    for i, example in _examples(copy, split):
        try:
            # Decoding with TFDS takes six times as long (25 s for 70,000 pictures of 28×28).
            with Image.open(io.BytesIO(example["image"])) as image:
                picture = image.convert(mode)
                picture = resizing(picture) if resizing else picture
                images[i] = np.asarray(picture).reshape(shape)
            if not 0 <= example["label"] < classes:
                raise ValueError(f"label {example['label']} is outside [0, {classes})")
        except Exception as error:  # Pillow and NumPy raise different types
            raise _damaged(*_place(info, i), error) from error
        labels[i] = example["label"]
    return images, labels


def read_labels(
    copy: tfds.core.DatasetBuilder, split: str, features: Sequence[str]
) -> dict[str, np.ndarray]:
    """Reads label features of one split, in the order of its record files, without the pictures.

    Returns:
      int32 (N,) for each feature.

    Raises:
      InputError: the copy lacks one of them, or is damaged.
    """
    info = copy.info.splits[split]
    labels = {feature: np.empty(info.num_examples, np.int32) for feature in features}
    for i, example in _examples(copy, split):
        for feature, values in labels.items():
            if feature not in example:
                raise InputError(f"{copy.data_path}: its samples have no feature `{feature}`")
            values[i] = example[feature]
    return labels


def _examples(copy: tfds.core.DatasetBuilder, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields all samples with their numbers; pictures stay encoded."""
    info, size = copy.info.splits[split], 0
    for path, count in zip(info.filepaths, info.shard_lengths, strict=True):
        try:
            there = ArrayRecordReader(str(path)).num_records()
        except Exception as error:  # its type is not specified, as below
            raise _damaged(path, None, error) from error
        if there != count:
            raise _damaged(
                path, None, f"{counted(there, 'record')}, but dataset_info.json lists {count}"
            )
    records = copy.as_data_source(split, file_format="array_record").data_source
    as_encoded = {"image": tfds.decode.SkipDecoding()}
    for start in range(0, info.num_examples, 1024):
        block = range(start, min(start + 1024, info.num_examples))
        try:
            read = records.__getitems__(list(block))
        except Exception:
            read = None  # then they are read one by one, to find the damaged one
        for i in block:
            try:
                record = records[i] if read is None else read[i - start]
                example = copy.info.features.deserialize_example_np(record, decoders=as_encoded)
            except Exception as error:  # Riegeli and protobuf raise different types
                raise _damaged(*_place(info, i), error) from error
            size += len(record)
            yield i, example
    if info.num_bytes not in (0, size):  # 0 means unknown
        files = " or ".join(str(path) for path in info.filepaths)
        sizes = (
            f"{counted(size, 'byte')} of records, but dataset_info.json lists {int(info.num_bytes)}"
        )
        raise _damaged(files, None, sizes)


def _place(info: tfds.core.SplitInfo, i: int) -> tuple[str, int]:
    """The record file that holds sample i of a split, and the number of its record there."""
    ends = np.cumsum(info.shard_lengths)
    shard = int(np.searchsorted(ends, i, side="right"))
    return info.filepaths[shard], i - int(ends[shard - 1] if shard else 0)


def _damaged(path: str, record: int | None, reason: Exception | str) -> InputError:
    where = f"{path}" if record is None else f"{path}, record {record}"
    return InputError(
        f"damaged data file {where}: {_one_line(reason)}; delete the copy and prepare it again"
    )


def _open(name: str, data_dir: pathlib.Path) -> tfds.core.DatasetBuilder:
    near = nearest(name, ("digits", *prepare.PREPARABLE))
    unknown = InputError(
        f"--dataset={name} is unknown; allowed are digits, {', '.join(prepare.PREPARABLE)}, "
        "folder:PATH and TFDS classification data sets of small pictures with a copy in "
        f"--data_dir={data_dir}{near}"
    )
    # TFDS accepts more than names: versions, arguments, data sets from other sources.
    if not re.fullmatch(r"\w+(/[\w.-]+)?", name):
        raise unknown
    try:
        with prepare.quiet_tfds():
            return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise unknown from error
    except Exception as error:  # a damaged dataset_info.json, an unknown configuration, …
        raise InputError(
            f"--dataset={name}: TFDS cannot open it in --data_dir={data_dir}: {_one_line(error)}"
        ) from error


def _check_features(name: str, features: tfds.features.FeatureConnector, *, any_size: bool) -> None:
    def check(fits: bool, what: str, remedy: str = "") -> None:
        if not fits:
            sizes = "" if any_size else f" from {IMAGE_SIZES}"
            raise InputError(
                f"--dataset={name} is not supported: {what}; required are a grey or RGB uint8 "
                f"`image`{sizes} and a class `label`{remedy}"
            )

    for feature, kind in (("image", tfds.features.Image), ("label", tfds.features.ClassLabel)):
        check(feature in features, f"it has no feature `{feature}`")
        check(
            isinstance(features[feature], kind), f"its `{feature}` is not of type {kind.__name__}"
        )
    (*sides, channels), dtype = features["image"].shape, np.dtype(features["image"].np_dtype)
    size = "x".join("any" if side is None else str(side) for side in (*sides, channels))
    what, (low, high) = f"its pictures are {dtype.name} {size}", IMAGE_SIDES
    check(dtype == np.uint8 and channels in (1, 3), what)
    sized = any_size or all(side is not None and low <= side <= high for side in sides)
    check(sized, what, "; --image_size brings others to one size")


def _one_line(error: Exception | str) -> str:
    return " ".join(str(error).split())
