"""Label noise that depends on the picture, not on its class alone.

Projections and neighbourhoods are made once, for the training part, and hold for the validation
part too. Floating point decides here: another machine may draw a few other labels from the same
seed, which is what noise.npz and its hash are for.
"""

import numpy as np
import scipy.special
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
) -> tuple[Draw, Draw]:
    """Draws each label from a distribution of its own picture x, flattened, in [0, 1].

    With a flip rate q ~ N(rate, 0.1²), truncated to [0, 1], for each sample and a projection W_i,
    (pixels, K) of N(0, 1), for each class i, a sample of class i keeps it with probability 1 − q
    and else gets j ≠ i with probability softmax_{j≠i}(x W_i). Picked are the changed ones; rate 0
    changes nothing. The transition matrix is the mean over the samples of each class.

    Source: Xia et al., "Part-dependent Label Noise: Towards Instance-dependent Label Noise" (2020,
    https://arxiv.org/abs/2006.07836), algorithm 2.
    """
    num_classes = train.num_classes
    parts = (train, valid)
    to_others = [np.zeros((len(part.labels), num_classes)) for part in parts]
    for label in range(num_classes):
        projection = rng.standard_normal((train.images[0].size, num_classes))
        for part, probabilities in zip(parts, to_others, strict=True):
            of_class = part.labels == label
            pixels = part.images[of_class].reshape(-1, len(projection)) / 255
            logits = pixels @ projection
            logits[:, label] = -np.inf
            probabilities[of_class] = scipy.special.softmax(logits, axis=1)
    return (
        _draw_instances(train, to_others[0], rng, rate),
        _draw_instances(valid, to_others[1], valid_rng, rate),
    )


def _draw_instances(
    samples: CleanSamples, to_others: np.ndarray, rng: np.random.RandomState, rate: float
) -> Draw:
    import scipy.stats  # half a second that a start with other noise need not wait for

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
    """Gives whole neighbourhoods of pictures one wrong label each: locally concentrated noise.

    The neighbourhoods are the clusters of k-means, 10 in each class, on the first 32 principal
    components of the training pictures. In random order they are given a label uniform over the
    other classes, until ⌊rate · N⌋ training samples are; of the last one only those nearest to its
    centre. Validation samples within a corrupted neighbourhood get its label, without a draw of
    their own, so their rate is about the same, not exactly.

    After Drory et al., "The Resistance to Label Noise in K-NN and DNN Depends on its Concentration"
    (2018, https://arxiv.org/abs/1803.11410); the neighbourhoods are defined here.
    """
    # One thread: sums over threads have no fixed order, and a last bit can move a sample.
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
    """The clusters of all classes: class, then of train and valid members and their distances."""
    # Half a second that a start with other noise need not wait for.
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
