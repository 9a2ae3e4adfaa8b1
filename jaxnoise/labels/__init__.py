"""Labels: noise models, transition matrices, labels from files and people, noisy data sets.

Takes clean labels, their pictures and the settings of the noise; gives the labels to train on, and
what was done to them. Every draw is seeded; nothing here loads JAX.

May import: config, data, datasets.
"""

__all__ = [
    "given",
    "noise",
    "noisy_dataset",
    "transition",
]
