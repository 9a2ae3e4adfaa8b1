"""Noise model of a known spatial frequency: wrong labels follow a wave through picture space.

It allows to measure on real pictures what `circle` measures on a circle: how long a net
takes to fit each frequency, and how much of it a regularizer leaves (`wave_response` draws this).
As in `by_instance`, rounding on another machine may move a few labels.
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from jaxnoise.labels.by_class import CleanSamples, Draw, transition_matrix


class Wave(NamedTuple):
    """sin(2π f v·x / s + φ) of a picture x, flattened, in [0, 1]."""

    direction: np.ndarray  # v, float64 (pixels,), of length 1
    scale: float  # s, a distance: standard deviation along v from the class means
    frequency: float  # f, in cycles per s; f / s is in cycles per unit distance
    phase: float  # φ, radians

    def __call__(self, samples: CleanSamples) -> np.ndarray:
        """The wave at every sample, float64 (N,) in [−1, 1]."""
        along = _pixels(samples).astype(np.float64) @ self.direction
        return np.sin(2 * np.pi * self.frequency * along / self.scale + self.phase)


def wave_noise(
    train: CleanSamples,
    valid: CleanSamples,
    rng: np.random.RandomState,
    _: np.random.RandomState,
    *,
    rate: float,
    frequency: float,
) -> tuple[Draw, Draw]:
    """Gives ⌊rate · n_class⌋ samples of each class, at a wave's crests, the next class's label.

    The wave is sin(2π f v·x / s + φ) with φ uniform. v is the first principal component of the
    training pictures' deviations from their class means, the direction in which pictures of one
    class vary most. (A random direction has 1/pixels of the variance, so two pictures hardly differ
    along it.) s is the standard deviation along v. Whatever f is, every class therefore has the
    same rate and the same wrong label; f determines only where the wrong labels lie, in stripes of
    width about rate · s / f. For f → ∞ the model becomes `by_class.pair_noise`. Validation samples
    are not drawn separately: they get the next class's label where the wave is as high as at the
    corrupted training samples, so their rate is only about the same.

    The transition matrix is that of pair noise, which is right for the mean over each class.

    Args:
      frequency: f > 0, in cycles per s.
    """
    # One thread, because sums over threads have no fixed order and a last bit can move a sample.
    with threadpool_limits(1):
        direction, scale = widest_within_classes(train)
        wave = Wave(direction, scale, frequency, rng.uniform(0, 2 * np.pi))
        heights = [wave(part) for part in (train, valid)]
    picked = [np.zeros(len(part.labels), bool) for part in (train, valid)]
    for label in np.unique(train.labels):
        members = np.flatnonzero(train.labels == label)
        highest = members[np.argsort(-heights[0][members], kind="stable")]
        highest = highest[: int(rate * len(members))]
        if len(highest):
            picked[0][highest] = True
            picked[1] |= (valid.labels == label) & (heights[1] >= heights[0][highest[-1]])
    num_classes = train.num_classes
    pairs = np.roll(np.eye(num_classes), 1, axis=1)
    return tuple(
        Draw(
            np.where(chosen, (part.labels + 1) % num_classes, part.labels).astype(np.int32),
            chosen,
            transition_matrix(pairs, rate),
        )
        for part, chosen in zip((train, valid), picked, strict=True)
    )


def widest_within_classes(samples: CleanSamples) -> tuple[np.ndarray, float]:
    """v and s: first principal component of deviations from class means, deviation along it.

    v is float64 (pixels,) of length 1, and its entry largest in size is positive. If the pictures
    do not differ within classes, v is 0 and s is 1.
    """
    from scipy.sparse.linalg import svds  # slow to import, and other noise does not need it

    deviations = _pixels(samples)
    for label in np.unique(samples.labels):
        of_class = samples.labels == label
        deviations[of_class] -= deviations[of_class].mean(axis=0)
    if not deviations.any():
        return np.zeros(deviations.shape[1]), 1.0
    start = np.ones(min(deviations.shape), np.float32)
    direction = svds(deviations, k=1, v0=start)[2][0].astype(np.float64)
    direction *= np.sign(direction[np.abs(direction).argmax()]) / np.linalg.norm(direction)
    return direction, float((deviations.astype(np.float64) @ direction).std()) or 1.0


def _pixels(samples: CleanSamples) -> np.ndarray:
    """The pictures, flattened: float32 (N, pixels) in [0, 1]."""
    return samples.images.reshape(len(samples.labels), -1) / np.float32(255)
