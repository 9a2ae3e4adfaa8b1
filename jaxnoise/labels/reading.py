"""Reading of noisy labels: from a file, or from people."""

import os
from pathlib import Path

import numpy as np

from jaxnoise import data
from jaxnoise.config import Config, InputError, counted
from jaxnoise.datasets import places
from jaxnoise.labels.given import GivenLabels
from jaxnoise.noise_files import cifar_n, formats
from jaxnoise.noise_files.table import Table


def read_labels(config: Config, table: Table | None = None) -> GivenLabels:
    """Reads the labels of --noise_file or --human_labels.

    Args:
      table: of `table_of`, if --noise_file is a table.

    Raises:
      InputError: they cannot be read, or their number of draws is not the requested one.
    """
    if config.noise_file is None:
        return _read_human(config)
    source = f"--noise_file={config.noise_file}"
    if table is not None:
        given = _given(source, formats.of_table(table))
    else:
        given = read_file(Path(os.path.expanduser(config.noise_file)), source)
    draws, samples = given.noisy.shape
    if draws != config.draws and draws > samples:
        raise InputError(
            f"{source}: an array of shape {given.noisy.shape} would be {draws} draws of "
            f"{counted(samples, 'label')}; allowed are (samples,) and (draws, samples), of class "
            "numbers"
        )
    if draws != config.draws:
        raise InputError(
            f"--noise_draws={config.draws}: allowed is {draws}, the number of draws in {source}"
        )
    return given


def read_file(path: Path, source: str) -> GivenLabels:
    """Reads the labels in a file; error messages call it `source`.

    Raises:
      InputError: they cannot be read.
    """
    return _given(source, formats.read(path, source))


def _given(source: str, arrays: dict[str, np.ndarray]) -> GivenLabels:
    noisy = np.atleast_2d(arrays["noisy"])
    clean, index, picked = (arrays.get(name) for name in ("clean", "index", "picked"))
    picked = None if picked is None else np.atleast_2d(picked)
    for labels in [noisy, index] if clean is None else [noisy, clean, index]:
        if labels is not None and (labels.dtype.kind not in "iu" or not labels.size):
            raise InputError(
                f"{source}: contains {labels.dtype} of shape {labels.shape}; allowed are integers, "
                "one for each sample"
            )
    if noisy.ndim != 2 or (clean is not None and clean.shape != noisy.shape[1:]):
        raise InputError(
            f"{source}: noisy labels of shape {noisy.shape} and clean ones of shape "
            f"{None if clean is None else clean.shape}; allowed are (draws, samples) and (samples,)"
        )
    if picked is not None and (picked.shape, picked.dtype) != (noisy.shape, np.dtype(bool)):
        raise InputError(
            f"{source}: picked is {picked.dtype} of shape {picked.shape}; allowed is bool of "
            f"{noisy.shape}, the shape of noisy"
        )
    data_sha256 = str(arrays["data_sha256"]) if "data_sha256" in arrays else None
    return GivenLabels(source, noisy, clean, picked, index, data_sha256=data_sha256)


# Data set → its pictures' original one, and the sets of annotations with the noise rates of the
# published files. Source: Wei et al., "Learning with Noisy Labels Revisited" (2022,
# https://arxiv.org/abs/2110.12088).
_CIFAR10N = {
    "worse_label": 0.4021, "aggre_label": 0.0901, "random_label1": 0.1723,
    "random_label2": 0.1812, "random_label3": 0.1764,
}  # fmt: skip
_CIFAR100N = {"noise_label": 0.4020}
_HUMAN = {
    "cifar10": ("cifar10", _CIFAR10N),
    "cifar10_n": ("cifar10", _CIFAR10N),
    "cifar100": ("cifar100", _CIFAR100N),
    "cifar100_n": ("cifar100", _CIFAR100N),
}
_ANNOTATED = 50_000  # pictures; a smaller copy is somebody's excerpt, of another rate


def _read_human(config: Config) -> GivenLabels:
    if config.dataset not in _HUMAN:
        raise InputError(
            "--noise_type=human_noise: there are no human labels for "
            f"--dataset={config.dataset}; allowed are {', '.join(_HUMAN)}"
        )
    name, annotations = _HUMAN[config.dataset]
    source = f"--human_labels={config.human_labels}"
    if config.human_labels not in annotations:
        raise InputError(
            f"{source}: not a set of labels for --dataset={config.dataset}; allowed are "
            f"{', '.join(annotations)}"
        )
    try:
        where, noisy, clean = _human_labels(config, name)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    rate, published = (noisy != clean).mean(), annotations[config.human_labels]
    if len(clean) == _ANNOTATED and abs(rate - published) > 0.005 and not config.trust_noise_file:
        raise InputError(
            f"{source}: in {where}, {100 * rate:.2f} % of these labels are not the true ones; "
            f"{100 * published:.2f} % are published; allowed is a copy with those labels, or "
            "--trust_noise_file"
        )
    return GivenLabels(source, noisy[None], clean, None, None)


def _human_labels(config: Config, name: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Where the annotations are, the noisy labels, and the true ones.

    The authors' file comes first; then the TFDS copy of the annotations; then a download.
    """
    annotated = f"{name}_n"
    data_dir = places.data_folder(annotated, config.data_dir)
    manual_dir = places.folder("manual_dir", config.manual_dir) if config.manual_dir else None
    file = cifar_n.find(name, manual_dir, data_dir)
    if file is None and places.is_in(data_dir, annotated):
        labels = data.load_labels(
            annotated,
            ("label", config.human_labels),
            data_dir=config.data_dir,
            manual_dir=config.manual_dir,
            cache_dir=config.cache_dir,
        )
        return f"the copy of {annotated}", labels[config.human_labels], labels["label"]
    file = file or cifar_n.download(name, data_dir)
    labels = cifar_n.read(file)
    if config.human_labels not in labels:
        raise InputError(f"{file}: it has {', '.join(labels)}; {config.human_labels} is missing")
    return str(file), labels[config.human_labels], labels["clean_label"]
