"""Small data sets in the true file formats, written for the tests: archives and TFDS copies."""

import gzip
import io
import pathlib
import tarfile

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxnoise import data

IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
SIZES = {"train": 40, "test": 20}
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer",
                 "dog", "frog", "horse", "ship", "truck")  # fmt: skip


def pictures(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random pictures; pixel 0 is their index, so that no two are equal and order can be seen."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return images


def idx(array: np.ndarray, *, dtype_code: int = 8, rank: int | None = None) -> bytes:
    """The bytes of an IDX file; `dtype_code` and `rank` can be made to lie."""
    header = bytes([0, 0, dtype_code, array.ndim if rank is None else rank])
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_mnist(folder: pathlib.Path, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes the four archives of MNIST and returns what they hold: split → images, labels."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {}
    for split, (images_file, labels_file) in IDX_FILES.items():
        images = pictures(SIZES[split], (28, 28, 1), seed)
        labels = (np.arange(SIZES[split]) % 10).astype(np.uint8)
        (folder / images_file).write_bytes(gzip.compress(idx(images[..., 0]), mtime=0))
        (folder / labels_file).write_bytes(gzip.compress(idx(labels), mtime=0))
        content[split] = images, labels
    return content


def cifar_members(name: str) -> tuple[dict[str, bytes], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The files inside the archive of cifar10 or cifar100, and what they hold."""
    members, content = {}, {}
    classes = 10 if name == "cifar10" else 100
    for split, count in SIZES.items():
        images = pictures(count, (32, 32, 3))
        labels = ((np.arange(count) * 7) % classes).astype(np.uint8)
        records = [labels[:, None], images.transpose(0, 3, 1, 2).reshape(count, -1)]
        if name == "cifar10":
            batches = np.concatenate(records, axis=1).reshape(5 if split == "train" else 1, -1)
            for i, batch in enumerate(batches, start=1):
                file = f"data_batch_{i}.bin" if split == "train" else "test_batch.bin"
                members[f"cifar-10-batches-bin/{file}"] = batch.tobytes()
        else:
            records.insert(0, labels[:, None] // 5)
            members[f"cifar-100-binary/{split}.bin"] = np.concatenate(records, axis=1).tobytes()
        content[split] = images, labels
    if name == "cifar10":
        # The true file ends with an empty line too.
        members["cifar-10-batches-bin/batches.meta.txt"] = "\n".join(
            (*CIFAR10_NAMES, "\n")
        ).encode()
    else:
        for kind, count in (("fine", 100), ("coarse", 20)):
            lines = "".join(f"{kind}_{i}\n" for i in range(count))
            members[f"cifar-100-binary/{kind}_label_names.txt"] = lines.encode()
    return members, content


def write_tar(path: pathlib.Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_cifar(folder: pathlib.Path, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    members, content = cifar_members(name)
    write_tar(folder / f"{name.replace('cifar', 'cifar-')}-binary.tar.gz", members)
    return content


def copied_cifar10(folder: pathlib.Path) -> tuple[dict[str, str], np.ndarray]:
    """A small TFDS copy of cifar10: the flags that say where it is, and its training labels.

    The labels, int64 (40,), are in the order of the original files.
    """
    _, labels = write_cifar(folder / "manual", "cifar10")["train"]
    where = {"data_dir": str(folder / "tfds"), "cache_dir": str(folder / "cache")}
    data.load("cifar10", manual_dir=folder / "manual", **where)
    return where, labels.astype(np.int64)


def write_copy(
    data_dir: pathlib.Path,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    num_classes: int = 10,
    features: dict | None = None,
    splits: tuple[str, ...] = ("train", "test"),
    encode_format: str = "PNG",
) -> pathlib.Path:
    """Writes a TFDS array_record copy named `toy`, every split with the same samples.

    Args:
      features: replaces the features `image` and `label`; their keys must stay among these two.

    Returns:
      The folder with the record files.
    """
    features = features or {
        "image": tfds.features.Image(shape=images.shape[1:]),
        "label": tfds.features.ClassLabel(num_classes=num_classes),
    }

    class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = pathlib.Path(__file__).parent  # where TFDS looks for a README of the set

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples() for split in splits}

        def _generate_examples(self):
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                encoded = io.BytesIO()
                Image.fromarray(image.squeeze()).save(encoded, encode_format)
                example = {"image": encoded.getvalue(), "label": int(label)}
                yield i, {feature: example[feature] for feature in features}

    builder = Toy(data_dir=data_dir, file_format="array_record")
    builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)
