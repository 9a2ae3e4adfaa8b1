"""The networks: their names, and how each of them is trained unless flags say otherwise."""

from typing import NamedTuple


class Network(NamedTuple):
    """A network's class and the defaults of its training."""

    module: str  # the name of its class in `jaxnoise.nets`
    optimizer: str  # "sgd" (with momentum 0.9) or "adam"
    learning_rate: float
    schedule: str  # of the learning rate, a value of --schedule
    lr_decay_epochs: int | None = None  # for the schedules that have it


# To add a network, define its class in `jaxnoise.nets` and add a line here. Those of lenet and
# allcnn are of Bar et al. 2022. The others have the rate of their PyTorch code (0.02 and momentum
# 0.9: Liu et al. 2020 and DivideMix's code; 0.01: Ma et al. 2020) and a cosine over the whole run,
# as Ma et al. 2020 use it, because their milestones are made for runs of 100 epochs and more.
NETWORKS: dict[str, Network] = {
    "lenet": Network("LeNet", "sgd", 0.01, "step", 15),
    "allcnn": Network("AllCNN", "adam", 0.001, "step", 10),
    "cnn8": Network("CNN8", "sgd", 0.01, "cosine"),
    "resnet18": Network("ResNet18", "sgd", 0.02, "cosine"),
    "resnet34": Network("ResNet34", "sgd", 0.02, "cosine"),
    "preact_resnet18": Network("PreActResNet18", "sgd", 0.02, "cosine"),
    "wrn28_10": Network("WRN28x10", "sgd", 0.02, "cosine"),
}
