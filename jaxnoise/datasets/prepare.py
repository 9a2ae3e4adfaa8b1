"""Preparation of TFDS copies of MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 without TensorFlow.

TFDS reads array_record files without TensorFlow, but its own builders need TensorFlow to write
them: they open the archives with tf.io.gfile and encode the pictures with tf.image. The builder
made here replaces these two steps, with NumPy and Pillow, and nothing else. Name, version,
features, example keys and therefore the order of the samples are those of the official builder,
which reads the result as if it were its own.
"""

import contextlib
import io
import logging
import pathlib
import sys
from collections.abc import Iterator

import absl.logging
import numpy as np
import requests
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import hashing
from tensorflow_datasets.core.download import checksums, resource
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
from tensorflow_datasets.core.download.util import DownloadError

from jaxnoise.config import InputError
from jaxnoise.datasets import archives, copy_digests

_log = logging.getLogger(__name__)

PREPARABLE = tuple(archives.READERS)

# Of these the official builders give each sample its place in the original files as its key.
_KEPT_BY_PLACE = (*PREPARABLE, "cifar10_n", "cifar100_n")

_Registered = dict[str, tuple[str, checksums.UrlInfo]]  # file name → address, size and SHA-256


def prepare(name: str, *, data_dir: pathlib.Path, manual_dir: pathlib.Path | None = None) -> None:
    """Writes an array_record copy of a data set, which `tfds.builder(name, data_dir=...)` reads.

    The copy appears whole or not at all, because TFDS writes under another name and renames at the
    end. After that the list of its digests is written (see `copy_digests.record`).

    Args:
      name: one of `PREPARABLE`.
      data_dir: TFDS directory to write to; downloads are kept in its folder `downloads`.
      manual_dir: folder that holds the archives, directly or in a folder `name`; nothing is
        downloaded. An archive whose checksum differs from the registered one is used with a
        warning, because the same content may have another gzip header. Downloads must match.

    Raises:
      InputError: an archive is missing, damaged or unreachable, or `data_dir` cannot be written.
    """
    official = tfds.builder_cls(name)
    registered: _Registered = {
        info.filename: (url, info) for url, info in official.url_infos.items()
    }
    if manual_dir is not None:
        raw_data = archives.READERS[name](_manual_archives(name, manual_dir, registered))
    else:
        raw_data = None
        _require_network(name, data_dir, registered)

    class Preparation(official, skip_registration=True):
        url_infos = official.url_infos

        def _split_generators(self, dl_manager):
            content = raw_data
            if content is None:
                paths = dl_manager.download({f: url for f, (url, _) in registered.items()})
                content = archives.READERS[name](
                    {filename: pathlib.Path(path) for filename, path in paths.items()}
                )
            for feature, class_names in content.class_names.items():
                self.info.features[feature].names = class_names
            return {
                split: self._generate_examples(split, content.images[split], content.labels[split])
                for split in content.images
            }

        def _generate_examples(self, split, images, labels):
            for index, image in enumerate(images):
                example = {feature: int(values[index]) for feature, values in labels.items()}
                if "id" in self.info.features:
                    example["id"] = f"{split}_{index:05d}"
                yield index, {"image": _png(image), **example}

    Preparation.name = name
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with quiet_tfds():
            preparation = Preparation(data_dir=data_dir, file_format="array_record")
            made_here = not preparation.is_prepared()
            preparation.download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    force_checksums_validation=True, try_download_gcs=False
                )
            )
        if made_here:
            copy_digests.record(pathlib.Path(preparation.data_path))
    except (NonMatchingChecksumError, DownloadError, requests.RequestException) as error:
        reason = " ".join(str(error).split())
        raise _no_archives(name, data_dir, registered, reason) from error
    except OSError as error:
        # Two processes may prepare one copy at the same time; the slower finds it already there.
        if not is_prepared(tfds.builder(name, data_dir=data_dir)):
            raise InputError(f"--data_dir={data_dir}: cannot be written: {error}") from error


def original_order(name: str, samples: int) -> np.ndarray | None:
    """The places that the train samples of a copy have in the original files, as PyTorch has them.

    TFDS sorts samples by the hash of their key and of the split's name.

    Args:
      samples: how many there are, N.

    Returns:
      int (N,), for each sample of the copy, in its order, the place from 0; None if the data set is
      not one of those whose order is known.
    """
    if name not in _KEPT_BY_PLACE:
        return None
    hasher = hashing.Hasher("train")
    hashes = [hasher.hash_key(place) for place in range(samples)]
    return np.array(sorted(range(samples), key=hashes.__getitem__))


def _png(image: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(encoded, "PNG")
    return encoded.getvalue()


def _manual_archives(
    name: str, manual_dir: pathlib.Path, registered: _Registered
) -> dict[str, pathlib.Path]:
    if not manual_dir.is_dir():
        raise InputError(f"--manual_dir={manual_dir}: there is no such folder")
    paths, others = {}, []
    for filename, (_, info) in registered.items():
        # MNIST and Fashion-MNIST use the same file names; with a folder each, both can be there.
        candidates = [manual_dir / name / filename, manual_dir / filename]
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise InputError(
                f"--manual_dir={manual_dir}: it does not contain {filename}; --dataset={name} "
                f"needs {', '.join(registered)}"
            )
        paths[filename] = found[0]
        if checksums.compute_url_info(found[0]) != info:
            others.append(str(found[0]))
    if others:
        _log.warning(
            "using archives of %s whose SHA-256 is not the one registered in TFDS: %s",
            name,
            ", ".join(others),
        )
    return paths


def _require_network(name: str, data_dir: pathlib.Path, registered: _Registered) -> None:
    # Without a network TFDS retries for more than three minutes; one request fails at once.
    for url, info in registered.values():
        if not (data_dir / "downloads" / name / resource.get_dl_fname(url, info.checksum)).exists():
            try:
                with requests.get(url, stream=True, timeout=20) as response:
                    response.raise_for_status()
            except requests.RequestException as error:
                reason = f"cannot reach {url}, {type(error).__name__}"
                raise _no_archives(name, data_dir, registered, reason) from error
            return


def _no_archives(
    name: str, data_dir: pathlib.Path, registered: _Registered, reason: str
) -> InputError:
    return InputError(
        f"--dataset={name}: there is no copy in --data_dir={data_dir} and the download failed "
        f"({reason}); either set --data_dir to a TFDS directory with an array_record copy of "
        f"{name}, or set --manual_dir to a folder with {', '.join(registered)}"
    )


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the builder's folder holds a complete copy."""
    with quiet_tfds():
        return builder.is_prepared()


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """In its block, keeps TFDS's banners off stdout and everything but errors out of its log."""
    verbosity = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl.logging.set_verbosity(verbosity)
