"""Labels: noise models, transition matrices, labels from files and people, noisy data sets.

The wing turns clean labels, their pictures and the settings of the noise into the labels to train
on, with a record of which labels were picked and changed. Every draw is seeded. Nothing here loads
JAX.

May import: noise_files, config, data, datasets.
"""

__all__ = [
    "by_instance",
    "reading",
    "noise",
    "noisy_dataset",
    "transition",
]
