"""Methods for noisy labels: robust losses, mixup, ELR, SAM, early stopping; and the optimizers.

The wing turns logits, labels and hyper-parameters into losses per example, and holds the other
parts of a training step. `jaxnoise.train_step` puts them together.

May import: losses.
"""

__all__ = [
    "augmentation",
    "optim",
    "robust_losses",
    "robust_training",
    "schedules",
]
