"""Stratified split of samples into two parts, the same in every run with the same seed."""

import numpy as np

from jaxnoise.config import InputError, counted


def stratified(
    labels: np.ndarray, *, ratio: float, num_classes: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Splits samples class by class: of each class ⌊ratio · n_class⌋ go to the validation part.

    These are the first ones of a shuffled order, which depends on the seed. Both parts are returned
    in that order, so a prefix of a part is a random subset of it.

    Args:
      labels: int (N,) in [0, num_classes).
      ratio: in [0, 1); 0 is for no validation part, anything else for one of at least a sample.
      num_classes: K.
      seed: of the order; not the seed of a run (--split_seed, not --seed).

    Returns:
      train_index and valid_index, int64, disjoint; together they are all of 0..N−1.

    Raises:
      InputError: one of the parts would be empty, unless it is the validation part of ratio 0.
    """
    # RandomState: the only NumPy generator whose stream is frozen across versions (NEP 19).
    order = np.random.RandomState(seed).permutation(len(labels))
    is_valid = np.zeros(len(labels), bool)
    for label in range(num_classes):
        of_class = np.flatnonzero(labels[order] == label)
        is_valid[of_class[: int(ratio * len(of_class))]] = True
    train_index, valid_index = order[~is_valid], order[is_valid]
    if not len(train_index) or (ratio and not len(valid_index)):
        raise InputError(
            f"--validation_ratio={ratio} leaves {counted(len(train_index), 'sample')} for training "
            f"and {len(valid_index)} for validation; allowed are ratios that leave at least 1 for "
            "each, and 0, which sets none aside"
        )
    return train_index, valid_index
