"""The settings of the network and its training."""

import dataclasses
from typing import Any

from jaxnoise.config import recipes
from jaxnoise.config.flags import InputError, check, defaults, numbers
from jaxnoise.config.flags import flag as _flag
from jaxnoise.config.networks import NETWORKS, Network

OPTIMIZERS = ("sgd", "adam", "adamw")
# For each schedule of the learning rate, the flags that only some schedules have.
SCHEDULES: dict[str, tuple[str, ...]] = {
    "step": ("lr_decay_epochs", "lr_gamma"),
    "milestones": ("lr_milestones", "lr_gamma"),
    "cosine": ("lr_min",),
    "cosine_restarts": ("lr_decay_epochs", "lr_min"),
    "constant": (),
}


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The part of `Config` about the network, its optimizer and its final measurements."""

    recipe: str | None = _flag(
        None,
        "Train as a publication does: cifar_n, elr, elr_asym, badlabels, sce or apl set net, "
        "preprocessing, optimizer and schedule, and their data set; docs/recipes.md has their "
        "sources. Flags that are given win.",
        choices=recipes.NAMES,
    )
    net: str | None = _flag(
        None,
        "Network: lenet, allcnn, cnn8 (eight layers), resnet18, resnet34, preact_resnet18 and "
        "wrn28_10 (all with a 3x3 first layer). The default depends on the data set: allcnn for "
        "cifar10, cifar100, cifar10_n, cifar100_n and svhn_cropped, else lenet.",
        choices=tuple(NETWORKS),
    )
    net_options: str | None = _flag(
        None, 'Hyper-parameters of a net of --user_code, as in "width=64 depth=3".'
    )

    epochs_num: int = _flag(30, "Number of epochs that each repeat trains for.", low=1)
    total_repeats: int = _flag(
        5,
        "Number of repeats: trainings that differ in initialization and batch order.",
        low=1,
        high=10_000,
    )
    batch_size: int = _flag(32, "Training samples per step.", low=1)
    augment: str | None = _flag(
        None,
        "Random changes of every training image, drawn anew for each repeat and step: crop (out of "
        "the image with a black margin of 4 pixels), crop_flip (and a horizontal flip with "
        "probability 1/2), cutout (erases a square), crop_flip_cutout. All measurements are made "
        "without.",
        choices=("crop", "crop_flip", "cutout", "crop_flip_cutout"),
    )
    cutout_size: int = _flag(16, "Height and width of cutout's square, in pixels.", low=1, high=256)
    optimizer: str | None = _flag(
        None,
        "Optimizer: sgd (with momentum), adam, or adamw (adam with decoupled weight decay). The "
        "default depends on the net: adam for allcnn, else sgd.",
        choices=OPTIMIZERS,
    )
    momentum: float = _flag(0.9, "Momentum of --optimizer=sgd.", low=0.0, high=0.9999)
    nesterov: bool = _flag(False, "Use Nesterov's momentum with --optimizer=sgd.")
    learning_rate: float | None = _flag(
        None,
        "Initial learning rate. The default depends on the net: 0.01 for lenet and cnn8, 0.001 for "
        "allcnn, 0.02 for the residual nets.",
        low=0.0,
        open_range=True,
    )
    schedule: str | None = _flag(
        None,
        "Schedule of the learning rate: step (decays every --lr_decay_epochs), milestones (decays "
        "at --lr_milestones), cosine (from the initial rate to --lr_min at the end), "
        "cosine_restarts (the same in cycles of --lr_decay_epochs), constant. It moves after whole "
        "epochs. The default depends on the net: step for lenet and allcnn, else cosine.",
        choices=tuple(SCHEDULES),
    )
    lr_decay_epochs: int | None = _flag(
        None,
        "Epochs between the decays of --schedule=step, and of a cycle of cosine_restarts. The "
        "default for step depends on the net: 15 for lenet, 10 for allcnn.",
        low=1,
    )
    lr_milestones: str | None = _flag(
        None,
        "Epochs, counted from 0 and separated by commas, that begin with a decay of "
        "--schedule=milestones.",
        listed=True,
    )
    lr_gamma: float = _flag(
        0.1,
        "Factor of each decay of the learning rate, for --schedule=step and milestones.",
        low=0.0,
        high=1.0,
        open_range=True,
    )
    lr_min: float = _flag(
        0.0, "Learning rate at the end of --schedule=cosine, and of each restart's cycle.", low=0.0
    )
    warmup_epochs: int = _flag(
        0,
        "Number of epochs at the start in which the learning rate rises linearly, step by step, to "
        "what the schedule says.",
        low=0,
    )
    clip_norm: float | None = _flag(
        None,
        "Largest norm of a gradient, over all parameters and without coupled weight decay; longer "
        "ones are scaled to it. Default: no limit.",
        low=0.0,
        open_range=True,
    )
    ema_decay: float | None = _flag(
        None,
        "Keep an exponential moving average of the weights too, and evaluate it beside the last "
        "weights: after each step, average = D * average + (1 - D) * weights, from the initial "
        "weights on. It spans about 1/(1 - D) steps. Default: no average.",
        low=0.0,
        high=1.0,
        open_range=True,
    )
    bn_momentum: float | None = _flag(
        None,
        "Evaluate batch norm with running averages of the training batches, of which each step "
        "keeps this share (0.9 is PyTorch's momentum 0.1). Default: averages taken anew from the "
        "training images after each epoch.",
        low=0.0,
        high=0.9999,
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

    def check_training(self) -> None:
        """Rejects flags of augmentation, optimizer and schedule that would do nothing."""
        recipe = recipes.named(self.recipe, self.user)
        if recipe and recipe.nets and self.network not in recipe.nets:
            raise InputError(
                f"--net={self.network} with --recipe={self.recipe}: allowed are "
                f"{', '.join(recipe.nets)}, which it is made for"
            )
        training, network = self.training_settings, self._defaults_of_net
        optimizer, schedule = training["optimizer"], training["schedule"]
        default = defaults(self)
        if self.cutout_size != default["cutout_size"] and "cutout" not in (self.augment or ""):
            raise InputError(f"--cutout_size={self.cutout_size}: requires --augment=cutout or "
                             "crop_flip_cutout")  # fmt: skip
        for name in ("momentum", "nesterov"):
            value = getattr(self, name)
            if value != default[name] and optimizer != "sgd":
                raise InputError(
                    f"--{name}={value} with --optimizer={optimizer}: allowed only with "
                    "--optimizer=sgd"
                )
        if self.nesterov and not self.momentum:
            raise InputError("--nesterov with --momentum=0: allowed is (0, 0.9999]")
        if self.learning_rate is None and (optimizer == "sgd") != (network.optimizer == "sgd"):
            raise InputError(
                f"--optimizer={optimizer} with --net={self.network}: requires --learning_rate, "
                f"whose default {network.learning_rate:g} is made for {network.optimizer}"
            )
        rate = training["learning_rate"]
        for name in ("lr_decay_epochs", "lr_milestones", "lr_gamma", "lr_min"):
            value = getattr(self, name)
            if value != default[name] and name not in SCHEDULES[schedule]:
                allowed = ", ".join(x for x, has in SCHEDULES.items() if name in has)
                raise InputError(
                    f"--{name}={value} with --schedule={schedule}: allowed only with --schedule="
                    f"{allowed}"
                )
            if name in SCHEDULES[schedule] and training[name] is None:
                raise InputError(f"--schedule={schedule}: requires --{name}")
        if schedule == "milestones":
            self._check_milestones(training["lr_milestones"])
        if self.lr_min >= rate:
            raise InputError(f"--lr_min={self.lr_min:g}: allowed is less than the initial learning "
                             f"rate, {rate:g}")  # fmt: skip
        if self.warmup_epochs >= self.epochs_num:
            raise InputError(
                f"--warmup_epochs={self.warmup_epochs} with --epochs_num={self.epochs_num}: "
                f"allowed here: 0 to {self.epochs_num - 1}"
            )

    def _check_milestones(self, milestones: list[int]) -> None:
        given = f"--lr_milestones={self.lr_milestones} with --epochs_num={self.epochs_num}"
        if any(a >= b for a, b in zip(milestones, milestones[1:], strict=False)):
            raise InputError(f"{given}: allowed are rising epochs")
        if milestones[0] < 1 or milestones[-1] >= self.epochs_num:
            last = self.epochs_num - 1
            epochs = f"are epochs from 1 to {last}" if last else "is none in a single epoch"
            raise InputError(f"{given}: allowed {epochs}, or another --schedule")

    @property
    def training_settings(self) -> dict[str, Any]:
        """Optimizer and schedule with the defaults of the network; flags that do nothing left out.

        The milestones are a list.
        """
        network = self._defaults_of_net
        optimizer = self.optimizer or network.optimizer
        schedule = self.schedule or network.schedule
        settings: dict[str, Any] = {
            "optimizer": optimizer,
            "learning_rate": self.learning_rate or network.learning_rate,
            "schedule": schedule,
        }
        if optimizer == "sgd":
            settings |= {"momentum": self.momentum, "nesterov": self.nesterov}
        settings |= {name: getattr(self, name) for name in SCHEDULES[schedule]}
        if settings.get("lr_decay_epochs", 0) is None and schedule == network.schedule:
            settings["lr_decay_epochs"] = network.lr_decay_epochs
        if self.lr_milestones is not None and schedule == "milestones":
            settings["lr_milestones"] = list(numbers("lr_milestones", self.lr_milestones, int))
        return settings

    @property
    def _defaults_of_net(self) -> Network:
        """How the network is trained unless flags say otherwise."""
        if self.network in NETWORKS:
            return NETWORKS[self.network]
        given = self.definition("net").arguments
        told = f"--user_code={self.user.path}: {self.network}"
        fields = {field.name: field for field in dataclasses.fields(self)}
        for name, value in given.items():
            if name not in (allowed := Network._fields[1:]):
                raise InputError(f"{told}: {name}: allowed are {', '.join(allowed)}")
            try:
                check(fields[name], value)
            except InputError as error:
                raise InputError(f"{told}: {str(error).removeprefix('--')}") from error
        return NETWORKS["resnet18"]._replace(module=self.network, **given)
