"""Transition matrices for forward correction: from the noise itself, estimated, or from a file.

T[i, j] = P(noisy = j | clean = i).
"""

import numpy as np

from jaxnoise.config import InputError
from jaxnoise.labels import matrix_file
from jaxnoise.labels.noise import NoisyLabels


def of_draw(labels: NoisyLabels, num_classes: int) -> np.ndarray:
    """The true matrix of one draw of the noise, float32 (K, K).

    It is the matrix of the noise model if there is one, else the shares counted in these labels. A
    class without samples has no counted shares; its row is that of the identity.
    """
    matrix = labels.transition_matrix
    if matrix is None:
        matrix = labels.realized_matrix(num_classes)
    unknown = np.isnan(matrix).any(axis=1, keepdims=True)
    return np.where(unknown, np.eye(num_classes), matrix).astype(np.float32)


def estimate(probabilities: np.ndarray, *, percentile: float | None = None) -> np.ndarray:
    """Estimates the matrix from the predictions of a net trained on the noisy labels.

    The anchor point of class i is the sample that the net most surely assigns to it,
    x_i = argmax_x p_i(x), and T[i, j] = p_j(x_i). To avoid outliers, the sample at a percentile of
    p_i is used instead of the maximum, by default the 97th as in the paper. With more than 33
    classes the default is the maximum, because 3 % of the samples are more than a class; the
    authors' code also uses the maximum for CIFAR-100. Source: Patrini et al., "Making Deep Neural
    Networks Robust to Label Noise" (CVPR 2017, https://arxiv.org/abs/1609.03683).

    Args:
      probabilities: float (n, K), predictions on pictures of the noisy distribution; rows sum to 1.
      percentile: in [0, 100]; 100 is the maximum. None for the default.

    Returns:
      float32 (K, K), rows sum to 1.

    Raises:
      ValueError: a probability is not finite, because the net diverged.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("the transition matrix cannot be estimated: probabilities are not finite")
    samples, num_classes = probabilities.shape
    if percentile is None:
        percentile = 97 if num_classes <= 33 else 100
    rank = int(percentile / 100 * (samples - 1))
    anchors = np.argsort(probabilities, axis=0, kind="stable")[rank]
    rows = probabilities[anchors].astype(np.float64)
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


def read(path: str, *, flag: str, num_classes: int) -> np.ndarray:
    """Reads a matrix from a .npy or .csv file: float32 (K, K).

    Raises:
      InputError: as in `matrix_file.read_matrix`, or the matrix is not K × K.
    """
    matrix = matrix_file.read_matrix(path, flag=flag)
    matrix_file.check_size(matrix, num_classes, flag=flag)
    return matrix.astype(np.float32)


def check_labels(matrix: np.ndarray, labels: np.ndarray, *, flag: str) -> None:
    """Refuses a matrix that makes an occurring label impossible, as its loss would be infinite.

    Args:
      labels: int (n,), noisy, in [0, K).

    Raises:
      InputError: column j is 0, and some label is j.
    """
    impossible = np.setdiff1d(labels, np.flatnonzero(matrix.any(axis=0)))
    if len(impossible):
        raise InputError(
            f"--{flag}: column {impossible[0]} is 0, but some samples are labelled "
            f"{impossible[0]}; allowed is a matrix that makes every occurring label possible"
        )
