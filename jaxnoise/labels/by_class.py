"""Class-conditional noise models: the noisy label depends only on the clean one.

All models have one form. A share r of the samples is *picked* for corruption, and a picked sample
of class i gets a label drawn from row i of a row-stochastic matrix M. The transition matrix,
T[i, j] = P(noisy = j | clean = i), is therefore (1 − r)·I + r·M.
"""

from typing import NamedTuple

import numpy as np

from jaxnoise.labels.matrix_file import check_size


class CleanSamples(NamedTuple):
    """The samples to corrupt: all that a noise model may use."""

    labels: np.ndarray  # int32 (N,), clean, in [0, num_classes)
    images: np.ndarray  # uint8 (N, H, W, C)
    num_classes: int  # K


class Draw(NamedTuple):
    """One draw from a noise model."""

    noisy: np.ndarray  # int32 (N,)
    picked: np.ndarray  # bool (N,), chosen for corruption
    transition_matrix: np.ndarray | None  # float64 (K, K); None if the model has none


def transition_matrix(redistribution: np.ndarray, rate: float) -> np.ndarray:
    """T = (1 − rate)·I + rate·M, float64 (K, K)."""
    return (1 - rate) * np.eye(len(redistribution)) + rate * redistribution


def uniform_noise(samples: CleanSamples, rng: np.random.RandomState, *, rate: float) -> Draw:
    """Gives ⌊rate · N⌋ samples, picked without replacement, a label uniform over all K classes.

    All entries of M are 1/K. A picked sample may draw its own class, so the expected share of
    changed labels is rate · (K − 1)/K. Source: Bar et al. 2022, https://proceedings.mlr.press/v151/bar22a.
    """
    clean, _, num_classes = samples
    picked = _pick(len(clean), rate, rng)
    drawn = rng.randint(0, num_classes, len(clean)).astype(np.int32)
    everywhere = np.full((num_classes, num_classes), 1 / num_classes)
    return Draw(np.where(picked, drawn, clean), picked, transition_matrix(everywhere, rate))


def symmetric_noise(samples: CleanSamples, rng: np.random.RandomState, *, rate: float) -> Draw:
    """Gives ⌊rate · N⌋ samples, picked without replacement, a label uniform over the other classes.

    M = (1 − I)/(K − 1), so every picked label changes. Source: van Rooyen et al., "Learning with
    Symmetric Label Noise" (2015, https://arxiv.org/abs/1505.07634), extended to K classes.
    """
    others = 1 - np.eye(samples.num_classes)
    return matrix_noise(samples, rng, rate=rate, matrix=others / others.sum(axis=1, keepdims=True))


def matrix_noise(
    samples: CleanSamples, rng: np.random.RandomState, *, rate: float, matrix: np.ndarray
) -> Draw:
    """Draws the labels of ⌊rate · N⌋ samples, picked without replacement, from M = `matrix`.

    At rate 1 every label is drawn and `matrix` is the transition matrix itself, as in Patrini et
    al. 2017 (https://arxiv.org/abs/1609.03683). A picked sample may draw its own class.

    Raises:
      InputError: `matrix` is not K × K.
    """
    clean, _, num_classes = samples
    check_size(matrix, num_classes, flag="noise_matrix")
    picked = _pick(len(clean), rate, rng)
    drawn = draw_rows(matrix[clean], rng)
    return Draw(np.where(picked, drawn, clean), picked, transition_matrix(matrix, rate))


def flip_noise(
    samples: CleanSamples, rng: np.random.RandomState, *, rate: float, flips: dict[int, int]
) -> Draw:
    """Gives ⌊rate · n_class⌋ samples of each source class that class's target label.

    M[source, target] = 1, and M[i, i] = 1 for all other classes. Source: Patrini et al.,
    "Making Deep Neural Networks Robust to Label Noise" (2017, https://arxiv.org/abs/1609.03683).
    """
    clean, _, num_classes = samples
    noisy, picked = clean.copy(), np.zeros(len(clean), bool)
    for source, target in flips.items():
        members = rng.permutation(np.flatnonzero(clean == source))
        chosen = members[: int(rate * len(members))]
        noisy[chosen], picked[chosen] = target, True
    targets = [flips.get(i, i) for i in range(num_classes)]
    return Draw(noisy, picked, transition_matrix(np.eye(num_classes)[targets], rate))


def pair_noise(samples: CleanSamples, rng: np.random.RandomState, *, rate: float) -> Draw:
    """Gives ⌊rate · n_class⌋ samples of every class the next class's label, cyclically.

    M[i, (i + 1) mod K] = 1. Source: Han et al., "Co-teaching" (2018,
    https://arxiv.org/abs/1804.06872).
    """
    num_classes = samples.num_classes
    flips = {i: (i + 1) % num_classes for i in range(num_classes)}
    return flip_noise(samples, rng, rate=rate, flips=flips)


def draw_rows(distributions: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draws a label from each row of a (N, K) matrix of probabilities: int32 (N,)."""
    cumulative = distributions.cumsum(axis=1)
    # The division makes each row end at exactly 1, above any random number, so that a class of
    # probability 0 is never drawn.
    draws = rng.random_sample((len(distributions), 1)) < cumulative / cumulative[:, -1:]
    return draws.argmax(axis=1).astype(np.int32)


def _pick(samples: int, rate: float, rng: np.random.RandomState) -> np.ndarray:
    """A mask of ⌊rate · samples⌋ samples, picked without replacement."""
    picked = np.zeros(samples, bool)
    picked[rng.permutation(samples)[: int(samples * rate)]] = True
    return picked
