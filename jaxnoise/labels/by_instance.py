"""Instance-dependent noise models: the noisy label depends on the picture too.

Projections and neighbourhoods are computed once, from the training part, and are used for the
validation part too. The labels depend on floating-point rounding, so another machine may draw a few
different labels from the same seed. That is why a run stores its labels in noise.npz, with a hash.
"""

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from jaxnoise.labels.by_class import CleanSamples, Draw, draw_rows

_FLIP_RATE_STD = 0.1
_CLUSTERS = 10  # per class
_COMPONENTS = 32


def instance_noise(
    train: CleanSamples,
    valid: CleanSamples,
    rng: np.random.RandomState,
    valid_rng: np.random.RandomState,
    *,
    rate: float,
    white: float = 1,
    shared: bool = False,
) -> tuple[Draw, Draw]:
    """Draws each label from a distribution that depends on its picture x, flattened.

    Each sample has a flip rate q ~ N(rate, 0.1²), truncated to [0, 1], and each class i has a
    projection W_i of shape (pixels, K) with entries from N(0, 1). A sample of class i keeps its
    label with probability 1 − q; otherwise it gets label j ≠ i with probability
    softmax_{j≠i}(x W_i). All changed samples count as picked, and no others. Rate 0 changes
    nothing. Row i of the transition matrix is the mean distribution of the samples of class i.

    Source: Xia et al., "Part-dependent Label Noise: Towards Instance-dependent Label Noise" (2020,
    https://arxiv.org/abs/2006.07836), algorithm 2. Their code
    (https://github.com/xiaoboxia/Part-dependent-label-noise) has `white` 255. So has that of Cheng
    et al., "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach" (2021,
    https://arxiv.org/abs/2010.02347, https://github.com/UCSC-REAL/cores), where W is `shared`.

    Args:
      white: the value of the brightest pixel; pixels are in [0, white].
      shared: whether all classes have the same projection.
    """
    to_others = other_labels((train, valid), rng, white=white, shared=shared)
    return (
        _draw_instances(train, to_others[0], rng, rate),
        _draw_instances(valid, to_others[1], valid_rng, rate),
    )


def other_labels(
    parts: Sequence[CleanSamples], rng: np.random.RandomState, *, white: float, shared: bool
) -> list[np.ndarray]:
    """Which wrong label a sample gets if its label changes: softmax_{j≠i}(x W_i).

    Returns:
      float64 (N, K) for each part; rows sum to 1, and the sample's own class i has 0.
    """
    import scipy.special  # here, as below, because other noise does not need it

    num_classes, pixels = parts[0].num_classes, parts[0].images[0].size
    to_others = [np.zeros((len(part.labels), num_classes)) for part in parts]
    for label in range(num_classes):
        if label == 0 or not shared:
            projection = rng.standard_normal((pixels, num_classes))
        for part, probabilities in zip(parts, to_others, strict=True):
            of_class = part.labels == label
            logits = part.images[of_class].reshape(-1, pixels) / (255 / white) @ projection
            logits[:, label] = -np.inf
            probabilities[of_class] = scipy.special.softmax(logits, axis=1)
    return to_others


def _draw_instances(
    samples: CleanSamples, to_others: np.ndarray, rng: np.random.RandomState, rate: float
) -> Draw:
    import scipy.stats  # it takes half a second

    clean, _, num_classes = samples
    flip_rates = np.zeros(len(clean))
    if rate:
        low, high = (0 - rate) / _FLIP_RATE_STD, (1 - rate) / _FLIP_RATE_STD
        flip_rates = scipy.stats.truncnorm.rvs(
            low, high, loc=rate, scale=_FLIP_RATE_STD, size=len(clean), random_state=rng
        )
    own = np.eye(num_classes)[clean]
    distributions = own + flip_rates[:, None] * (to_others - own)
    noisy = draw_rows(distributions, rng)
    matrix = np.eye(num_classes)
    for label in np.unique(clean):
        matrix[label] = distributions[clean == label].mean(axis=0)
    return Draw(noisy, noisy != clean, matrix)


def concentrated_noise(
    train: CleanSamples,
    valid: CleanSamples,
    rng: np.random.RandomState,
    _: np.random.RandomState,
    *,
    rate: float,
) -> tuple[Draw, Draw]:
    """Gives each of some neighbourhoods of pictures one wrong label: locally concentrated noise.

    The neighbourhoods are k-means clusters, 10 in each class, in the space of the first 32
    principal components of the training pictures. In random order, each neighbourhood gets a label
    uniform over the other classes, until ⌊rate · N⌋ training samples are corrupted; of the last
    neighbourhood only the samples nearest to its centre are. Validation samples inside a corrupted
    neighbourhood get its label too and are not drawn separately, so their rate is only about the
    same.

    After Drory et al., "The Resistance to Label Noise in K-NN and DNN Depends on its Concentration"
    (2018, https://arxiv.org/abs/1803.11410); the neighbourhoods are defined here.
    """
    # One thread, because sums over threads have no fixed order and a last bit can move a sample.
    with threadpool_limits(1):
        neighbourhoods = _neighbourhoods(train, valid, rng)
    budget = int(len(train.labels) * rate)
    draws = [
        Draw(part.labels.copy(), np.zeros(len(part.labels), bool), None) for part in (train, valid)
    ]
    for i in rng.permutation(len(neighbourhoods)):
        label, (members, distances), (valid_members, valid_distances) = neighbourhoods[i]
        if not budget:
            break
        wrong = (label + rng.randint(1, train.num_classes)) % train.num_classes
        nearest = np.argsort(distances, kind="stable")[:budget]
        reach = distances[nearest[-1]] if len(nearest) < len(members) else np.inf
        budget -= len(nearest)
        inside = valid_members[valid_distances <= reach]
        for draw, chosen in zip(draws, (members[nearest], inside), strict=True):
            draw.noisy[chosen], draw.picked[chosen] = wrong, True
    return draws[0], draws[1]


def _neighbourhoods(
    train: CleanSamples, valid: CleanSamples, rng: np.random.RandomState
) -> list[tuple[int, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """The clusters of all classes: class, then members and their distances in train and valid."""
    # Imported here because it takes half a second, which other noise does not need.
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    pixels = [
        (part.images.reshape(len(part.labels), -1) / np.float32(255)) for part in (train, valid)
    ]
    pca = PCA(min(_COMPONENTS, *pixels[0].shape), svd_solver="randomized", random_state=rng)
    pca.fit(pixels[0])
    features = [pca.transform(x) for x in pixels]
    clusters = []
    for label in np.unique(train.labels):
        of_class = [np.flatnonzero(part.labels == label) for part in (train, valid)]
        kmeans = KMeans(min(_CLUSTERS, len(of_class[0])), n_init=1, random_state=rng)
        kmeans.fit(features[0][of_class[0]])
        distances = [
            kmeans.transform(x[index]) if len(index) else np.empty((0, kmeans.n_clusters))
            for x, index in zip(features, of_class, strict=True)
        ]
        for cluster in range(kmeans.n_clusters):
            parts = []
            for index, to_centres in zip(of_class, distances, strict=True):
                inside = to_centres.argmin(axis=1) == cluster
                parts.append((index[inside], to_centres[inside, cluster]))
            if len(parts[0][0]):
                clusters.append((int(label), *parts))
    return clusters
