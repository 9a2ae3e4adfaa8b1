"""Methods for noisy labels: robust losses, mixup, ELR, SAM, early stopping; the optimizers.

Takes logits, labels and hyper-parameters; gives losses per example, and what a training step needs
besides. `jaxnoise.train_step` puts them together.

May import: losses.
"""

__all__ = [
    "optim",
    "robust_losses",
    "robust_training",
]
