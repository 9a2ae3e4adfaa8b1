"""The settings of the network and its training."""

import dataclasses

from jaxnoise.config.flags import flag as _flag


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The part of `Config` about the network, its optimizer and its final measurements."""

    net: str | None = _flag(
        None,
        "Network. The default depends on the data set: allcnn for cifar10, cifar100, cifar10_n, "
        "cifar100_n and svhn_cropped, else lenet.",
        choices=("lenet", "allcnn"),
    )

    epochs_num: int = _flag(30, "Number of epochs that each repeat trains for.", low=1)
    total_repeats: int = _flag(
        5,
        "Number of repeats: trainings that differ in initialization and batch order.",
        low=1,
        high=10_000,
    )
    batch_size: int = _flag(32, "Training samples per step.", low=1)
    learning_rate: float | None = _flag(
        None,
        "Initial learning rate. The default depends on the net: 0.01 for lenet (SGD with momentum "
        "0.9), 0.001 for allcnn (Adam).",
        low=0.0,
        open_range=True,
    )
    lr_decay_epochs: int | None = _flag(
        None,
        "Divide the learning rate by ten every this many epochs. The default depends on the net: "
        "15 for lenet, 10 for allcnn.",
        low=1,
    )
    seed: int = _flag(0, "Seed of initialization and batch order.", low=0)
    precision: str = _flag(
        "float32",
        "Arithmetic: float32, tf32 (rounds the factors of products, where the hardware supports "
        "it) or bf16 (computes in bfloat16). Parameters, statistics, spectral norms, losses and "
        "measurements always stay float32.",
        choices=("float32", "tf32", "bf16"),
    )
    jacob_samples: int = _flag(
        2000,
        "Number of images per split, evenly spaced, for the final Jacobian norms; 0 = all.",
        low=0,
    )
