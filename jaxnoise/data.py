"""Data sets as uint8 arrays in memory."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from jaxnoise.config import ARRAYS_PREFIX, class_folders
from jaxnoise.datasets import decoded_cache, digests, own_arrays, places, splits
from jaxnoise.datasets.places import cache_folder
from jaxnoise.datasets.resizing import Resizing

_log = logging.getLogger(__name__)
_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Dataset:
    """A picture classification data set, held in memory as a whole.

    Images are uint8 (N, H, W, C) in [0, 255], with H and W in IMAGE_SIDES and C 1 or 3. Labels are
    int32 (N,) in [0, num_classes). Samples keep the order of the copy that was read.
    """

    name: str
    version: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    sha256: str  # of pictures and labels of each split: `digests.of_arrays`
    # For class folders: the picture files, CLASS/FILE; those for validation, FOLDER/CLASS/FILE.
    train_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()
    # How many of the train samples, the last ones, are for validation by the data set's own split.
    valid_size: int = 0
    # Whether `split_seed` chose the test samples, and with them the places of the train samples.
    test_is_drawn: bool = False
    # What `image_size` did to the pictures, in words; empty without it.
    resized: str = ""

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def without_pictures(self) -> "Dataset":
        """A copy without the pictures, so that names and labels alone stay in memory."""
        none = np.empty((0, *self.train_images.shape[1:]), np.uint8)
        return dataclasses.replace(self, train_images=none, test_images=none)


def load(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    split_seed: int = 0,
    image_size: int | None = None,
) -> Dataset:
    """Loads a data set by name.

    A TFDS data set is read from its *copy*, the prepared files in `data_dir`. If there is no copy,
    one is prepared first where that is possible (see `datasets/prepare.py`). Decoded pictures are
    cached in `cache_dir` under the SHA-256 of the files they came from, so that later starts are
    fast. Every start compares the copy and the cache with their digests: a damaged cache is
    rebuilt, and a changed copy is an error (see `copy_digests.check`).

    Args:
      name: `digits` (from scikit-learn, needs no files), `mnist`, `fashion_mnist`, `cifar10`,
        `cifar100` (fine labels), or any TFDS data set that has a prepared array_record copy, a
        grey or RGB uint8 `image`, a class `label`, and the splits train and test. A configuration
        is named as in `emnist/balanced`. Or `folder:PATH`, a folder with one folder per class, see
        `class_folders`; or `arrays:NAME@DIGEST`, arrays that `own_arrays.Arrays.keep` has written.
      data_dir: TFDS directory; default: $TFDS_DATA_DIR, else ~/tensorflow_datasets. With
        `folder:PATH`, the folder that a relative PATH starts from; default: the working folder.
      manual_dir: folder with the raw archives, for preparing a copy without a network.
      cache_dir: see `cache_folder`; default: $XDG_CACHE_HOME/jaxnoise, else ~/.cache/jaxnoise.
      split_seed: chooses the test pictures of a `folder:PATH` without a test set of its own.
      image_size: height and width, in IMAGE_SIDES, to which `resizing.resized` brings all pictures.
        By default they are used as stored; then they have to be of one size, in IMAGE_SIDES.

    Raises:
      InputError: the data set is unknown, not supported, damaged, or not available.
    """
    resizing = Resizing(image_size) if image_size else None
    if name == "digits":
        return _digits(resizing)
    if name.startswith(class_folders.PREFIX):
        found = class_folders.find(name, data_dir)
        return _class_folders(found, cache_folder(cache_dir), split_seed, resizing)
    if name.startswith(ARRAYS_PREFIX):
        return _arrays(name, cache_folder(cache_dir), resizing)
    # Imported here because importing TFDS takes half a second, which `digits` does not need.
    from jaxnoise.datasets import copy_digests, tfds_copy

    copy = _open_copy(name, data_dir, manual_dir, any_size=resizing is not None)
    version, folder = str(copy.version), cache_folder(cache_dir)
    if unused := copy.info.splits.keys() - {*copy_digests.SPLITS}:
        _log.info("of %s, not used are the splits %s", name, ", ".join(sorted(unused)))
    fingerprint = copy_digests.check(copy, folder)
    key = f"{name.replace('/', '-')}-{version}-{fingerprint}"

    def decode() -> dict[str, np.ndarray]:
        arrays = {}
        for split in copy_digests.SPLITS:
            decoded = tfds_copy.decode(copy, split, resizing)
            arrays[f"{split}_images"], arrays[f"{split}_labels"] = decoded
        return arrays

    decoded = decoded_cache.decoded(name, folder, key, decode, resizing, _ARRAYS)
    return Dataset(
        name,
        version,
        **decoded.arrays,
        class_names=tuple(copy.info.features["label"].names),
        sha256=decoded.sha256,
        resized=decoded.resized,
    )


def load_labels(
    name: str,
    features: Sequence[str],
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
) -> dict[str, np.ndarray]:
    """Reads label features of the train split of a TFDS data set.

    Args:
      name: TFDS name.
      features: names of the label features. The other arguments are as in `load`.

    Returns:
      int32 (N,) for each feature, in the order of the copy.

    Raises:
      InputError: as in `load`, or the copy lacks a feature.
    """
    from jaxnoise.datasets import copy_digests, tfds_copy

    copy = _open_copy(name, data_dir, manual_dir)
    copy_digests.check(copy, cache_folder(cache_dir))
    return tfds_copy.read_labels(copy, "train", features)


def original_order(name: str, samples: int) -> np.ndarray | None:
    """The places of a data set's train samples in its original files: `prepare.original_order`.

    None if there is no other order than that of the samples here, or if it is not known.
    """
    if name == "digits" or name.startswith((class_folders.PREFIX, ARRAYS_PREFIX)):
        return None
    from jaxnoise.datasets import prepare

    return prepare.original_order(name, samples)


def _digits(resizing: Resizing | None) -> Dataset:
    """scikit-learn's 1,797 digits of 8×8 pixels, enlarged to the size of MNIST.

    They are resized to 24×24 (bilinear) and get MNIST's black margin. A fifth of each class, chosen
    by `splits.stratified`, is the test set.
    """
    import sklearn.datasets

    bunch = sklearn.datasets.load_digits()
    labels = bunch.target.astype(np.int32)
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)  # stored as 0..16
    images = np.zeros((len(grey), 28, 28, 1), np.uint8)
    for image, small in zip(images, grey, strict=True):
        enlarged = Image.fromarray(small).resize((24, 24), Image.Resampling.BILINEAR)
        image[2:26, 2:26, 0] = np.asarray(enlarged)
    if resizing:
        images = _resized(images, resizing)
    train, test = splits.stratified(labels, ratio=0.2, num_classes=10)
    parts = images[train], labels[train], images[test], labels[test]
    class_names = tuple(str(name) for name in bunch.target_names)
    sha256 = digests.of_arrays(dict(zip(_ARRAYS, parts, strict=True)))
    resized = resizing.in_words() if resizing else ""
    return Dataset("digits", "1.0.0", *parts, class_names, sha256, resized=resized)


def _class_folders(
    found: class_folders.ClassFolders,
    folder: pathlib.Path,
    split_seed: int,
    resizing: Resizing | None,
) -> Dataset:
    from jaxnoise.datasets import class_pictures, picture_warnings

    chosen = class_pictures.by_split(found, split_seed)
    key = found.sha256()[:16]
    if "" in found.files:
        key += f"-split_{split_seed}"
    decoded = decoded_cache.decoded(
        found.name,
        folder,
        f"class_folders-{key}",
        lambda: class_pictures.decode(found, chosen, resizing),
        resizing,
        tuple(f"{split}_{kind}" for split in chosen for kind in ("images", "labels")),
    )
    picture_warnings.warn(found, chosen, decoded.arrays)
    valid = tuple(path.relative_to(found.root).as_posix() for path in chosen.get("valid", ()))
    return Dataset(
        found.name,
        "1.0.0",
        **_with_validation(decoded.arrays),
        class_names=found.classes,
        sha256=decoded.sha256,
        train_files=class_folders.names(chosen["train"]) + valid,
        test_files=class_folders.names(chosen["test"]),
        test_is_drawn="" in found.files,
        resized=decoded.resized,
    )


def _arrays(name: str, folder: pathlib.Path, resizing: Resizing | None) -> Dataset:
    kept = own_arrays.read(name, folder)
    decoded = decoded_cache.Decoded(kept.arrays, kept.sha256)
    if resizing:
        decoded = decoded_cache.decoded(
            name,
            folder,
            name.replace(ARRAYS_PREFIX, "arrays-"),
            lambda: {part: _resized(of, resizing) for part, of in kept.arrays.items()},
            resizing,
            tuple(kept.arrays),
        )
    return Dataset(
        name,
        "1.0.0",
        **_with_validation(decoded.arrays),
        class_names=kept.class_names,
        sha256=decoded.sha256,
        resized=decoded.resized,
    )


def _resized(images: np.ndarray, resizing: Resizing) -> np.ndarray:
    """Pictures, (N, H, W, C), of another size; labels, (N,), as they are."""
    if images.ndim == 1:
        return images
    flat = images[..., 0] if images.shape[-1] == 1 else images  # as Pillow has grey ones
    new = np.stack([np.asarray(resizing(Image.fromarray(picture))) for picture in flat])
    return new.reshape(*new.shape[:3], images.shape[-1])


def _with_validation(decoded: dict[str, np.ndarray]) -> dict[str, Any]:
    """Fields of Dataset: the validation split, if there is one, at the end of the train samples."""
    fields: dict[str, Any] = {name: decoded[name] for name in _ARRAYS}
    if "valid_labels" in decoded:
        for kind in ("images", "labels"):
            both = decoded[f"train_{kind}"], decoded[f"valid_{kind}"]
            fields[f"train_{kind}"] = np.concatenate(both)
        fields["valid_size"] = len(decoded["valid_labels"])
    return fields


def _open_copy(
    name: str,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    *,
    any_size: bool = False,
) -> Any:
    from jaxnoise.datasets import tfds_copy

    return tfds_copy.open_copy(
        name,
        data_dir=places.data_folder(name, data_dir),
        manual_dir=places.folder("manual_dir", manual_dir) if manual_dir else None,
        any_size=any_size,
    )
