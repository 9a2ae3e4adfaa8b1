"""Label noise: pure functions of clean labels and a seed."""

from typing import NamedTuple

import numpy as np

from jaxnoise.config import InputError

# Source class → target class. MNIST and CIFAR-100: Bar et al. 2022; CIFAR-10: Patrini et al. 2017
# (https://arxiv.org/abs/1609.03683); Fashion-MNIST: Zhang and Sabuncu 2018
# (https://arxiv.org/abs/1805.07836).
_MNIST_FLIPS = {1: 7, 2: 3, 3: 2, 4: 9, 5: 6, 6: 5, 7: 1, 9: 4}
FLIP_MAPS: dict[str, dict[int, int]] = {
    "mnist": _MNIST_FLIPS,
    "digits": _MNIST_FLIPS,
    # bird → airplane, cat ↔ dog, deer → horse, truck → automobile
    "cifar10": {2: 0, 3: 5, 4: 7, 5: 3, 9: 1},
    # Each class to the next within its block of five, the fifth to the first.
    "cifar100": {i: i // 5 * 5 + (i + 1) % 5 for i in range(100)},
    # ankle boot → sneaker, sneaker → sandal, pullover → shirt, coat ↔ dress
    "fashion_mnist": {9: 7, 7: 5, 2: 6, 4: 3, 3: 4},
}


class NoisyLabels(NamedTuple):
    """Labels after corruption, and what was done to them; every field has shape (samples,)."""

    noisy: np.ndarray  # int32, the labels to train on
    clean: np.ndarray  # int32, the labels before
    picked: np.ndarray  # bool, chosen for corruption
    changed: np.ndarray  # bool, noisy != clean: a picked sample may keep its label

    def summary(self) -> dict[str, int | float]:
        """How many labels were picked and changed, and the true rate: changed / all, in [0, 1]."""
        return {
            "picked": int(self.picked.sum()),
            "changed": int(self.changed.sum()),
            "true_rate": round(float(self.changed.mean()), 6),
        }


def corrupt(
    labels: np.ndarray,
    *,
    noise_type: str,
    noise_rate: float,
    num_classes: int,
    dataset: str,
    seed: int | tuple[int, ...],
) -> NoisyLabels:
    """Corrupts labels by the named noise model.

    Args:
      labels: int (samples,), clean, in [0, num_classes).
      noise_type: `uniform_noise` or `flip_noise`.
      noise_rate: in [0, 1].
      num_classes: K.
      dataset: names the map of `flip_noise`.
      seed: of the generator.

    Raises:
      InputError: no flip map is known for the data set.
    """
    clean = np.asarray(labels, np.int32)
    # RandomState: the only NumPy generator whose stream is frozen across versions (NEP 19).
    rng = np.random.RandomState(seed)
    if noise_type == "uniform_noise":
        noisy, picked = uniform_noise(clean, noise_rate, num_classes, rng)
    else:
        noisy, picked = flip_noise(clean, noise_rate, flip_map(dataset), rng)
    return NoisyLabels(noisy, clean, picked, noisy != clean)


def flip_map(dataset: str) -> dict[int, int]:
    """Source class → target class of `flip_noise`; raises InputError if none is known."""
    if dataset not in FLIP_MAPS:
        raise InputError(
            f"--noise_type=flip_noise: no flip map is known for --dataset={dataset}; "
            f"allowed are {', '.join(sorted(FLIP_MAPS))}"
        )
    return FLIP_MAPS[dataset]


def uniform_noise(
    clean: np.ndarray, rate: float, num_classes: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Gives ⌊rate · N⌋ samples, picked without replacement, a label uniform over all K classes.

    A picked sample's own class is included, so the expected share of changed labels is
    rate · (K − 1)/K. Source: Bar et al. 2022.

    Returns:
      noisy labels, int32 (N,), and which samples were picked, bool (N,).
    """
    picked = np.zeros(len(clean), bool)
    picked[rng.permutation(len(clean))[: int(len(clean) * rate)]] = True
    drawn = rng.randint(0, num_classes, len(clean)).astype(np.int32)
    return np.where(picked, drawn, clean), picked


def flip_noise(
    clean: np.ndarray, rate: float, flips: dict[int, int], rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Gives ⌊rate · n_class⌋ samples of each source class that class's target label.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise" (CVPR 2017,
    https://arxiv.org/abs/1609.03683).

    Returns:
      noisy labels, int32 (N,), and which samples were picked, bool (N,).
    """
    noisy, picked = clean.copy(), np.zeros(len(clean), bool)
    for source, target in flips.items():
        members = rng.permutation(np.flatnonzero(clean == source))
        chosen = members[: int(rate * len(members))]
        noisy[chosen], picked[chosen] = target, True
    return noisy, picked
