"""The transition matrix of forward correction: of the noise itself, estimated, or from a file.

T[i, j] = P(noisy = j | clean = i).
"""

import numpy as np

from jaxnoise.config import InputError
from jaxnoise.labels import matrix_file
from jaxnoise.labels.noise import NoisyLabels


def of_draw(labels: NoisyLabels, num_classes: int) -> np.ndarray:
    """The true matrix of one draw of the noise, float32 (K, K).

    It is the noise model's own matrix where it has one, else the shares counted in these labels. A
    class without samples, of which nothing is known, keeps its label.
    """
    matrix = labels.transition_matrix
    if matrix is None:
        matrix = labels.realized_matrix(num_classes)
    unknown = np.isnan(matrix).any(axis=1, keepdims=True)
    return np.where(unknown, np.eye(num_classes), matrix).astype(np.float32)


def estimate(probabilities: np.ndarray, *, percentile: float | None = None) -> np.ndarray:
    """The matrix as a net trained on the noisy labels sees it, by anchor points.

    The anchor of class i is the sample that is most surely of it, x_i = argmax_x p_i(x), and
    T[i, j] = p_j(x_i). Not to take an outlier, the anchor is the sample at a percentile of p_i, by
    default the 97th as in the paper; with more than 33 classes 3 % are more than a class, and it is
    the maximum, as the authors' code has it for CIFAR-100. Source: Patrini et al., "Making Deep
    Neural Networks Robust to Label Noise" (CVPR 2017, https://arxiv.org/abs/1609.03683).

    Args:
      probabilities: float (n, K), of any pictures of the noisy distribution; rows sum to 1.
      percentile: in [0, 100]; 100 is the maximum.

    Returns:
      float32 (K, K), rows sum to 1.

    Raises:
      ValueError: a probability is not finite: the net diverged.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("the transition matrix cannot be estimated: probabilities not finite")
    samples, num_classes = probabilities.shape
    if percentile is None:
        percentile = 97 if num_classes <= 33 else 100
    rank = int(percentile / 100 * (samples - 1))
    anchors = np.argsort(probabilities, axis=0, kind="stable")[rank]
    rows = probabilities[anchors].astype(np.float64)
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


def read(path: str, *, flag: str, num_classes: int) -> np.ndarray:
    """Reads a matrix from a file .npy or .csv: float32 (K, K).

    Raises:
      InputError: as `matrix_file.read_matrix`, or it is not of K classes.
    """
    matrix = matrix_file.read_matrix(path, flag=flag)
    matrix_file.check_size(matrix, num_classes, flag=flag)
    return matrix.astype(np.float32)


def check_labels(matrix: np.ndarray, labels: np.ndarray, *, flag: str) -> None:
    """Refuses a matrix by which a label that occurs is impossible: its loss would be infinite.

    Args:
      labels: int (n,), noisy, in [0, K).

    Raises:
      InputError: column j is 0 and a label is j.
    """
    impossible = np.setdiff1d(labels, np.flatnonzero(matrix.any(axis=0)))
    if len(impossible):
        raise InputError(
            f"--{flag}: column {impossible[0]} is 0, but there are samples labelled "
            f"{impossible[0]}; allowed is a matrix by which all labels that occur are possible"
        )
