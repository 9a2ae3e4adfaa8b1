"""Label noise of a known spatial frequency: which labels are wrong follows a wave through pictures.

With it one can ask of real pictures what `frequency_response` asks of a circle: how long a net
takes to fit each frequency, and what a regularizer leaves of it (`wave_response` draws that). As
with `noise_instances`, another machine's rounding may move a few labels.
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from jaxnoise.labels.by_class import CleanSamples, Draw, transition_matrix


class Wave(NamedTuple):
    """sin(2π f v·x / s + φ) of a picture x, flattened, in [0, 1]."""

    direction: np.ndarray  # v, float64 (pixels,), of length 1
    scale: float  # s, distance: the pictures' deviation from their class's mean along v
    frequency: float  # f, in cycles per s; f / s is in cycles per unit distance
    phase: float  # φ, radians

    def __call__(self, samples: CleanSamples) -> np.ndarray:
        """Of every sample, float64 (N,) in [−1, 1]."""
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
    """Gives the ⌊rate · n_class⌋ samples of each class at the crests of a wave the next class.

    The wave is sin(2π f v·x / s + φ) with φ uniform. v is the first principal component of the
    training pictures' deviations from the mean of their class, because along it pictures of one
    class are spread widest (a random direction has 1/pixels of the variance, so that two pictures
    hardly differ along it), and s their standard deviation along v. So whatever f is, every class
    has the same rate and the same wrong label; what f decides is where the wrong labels lie, in
    stripes of about rate · s / f. For f → ∞ it is `noise_models.pair_noise`. Validation samples
    get the next class where the wave is as high as at the training samples that do, without a draw
    of their own, so their rate is about the same, not exactly.

    The transition matrix is pair noise's, which is that of each class's mean.

    Args:
      frequency: f > 0, in cycles per s.
    """
    # One thread: sums over threads have no fixed order, and a last bit can move a sample.
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

    v is float64 (pixels,) of length 1, its largest entry positive; 0 with s = 1 where pictures do
    not differ within classes.
    """
    from scipy.sparse.linalg import svds  # which a start with other noise need not wait for

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
    """float32 (N, pixels) in [0, 1]."""
    return samples.images.reshape(len(samples.labels), -1) / np.float32(255)
