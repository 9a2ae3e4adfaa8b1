"""Assembly of what is trained, from settings and labels: program, members, shared pictures."""

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxnoise import data, extending, nets
from jaxnoise.config import NOISE_FLAGS, Config, InputError
from jaxnoise.labels.noisy_dataset import NoisyDataset, SplitDataset
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.methods import robust_training
from jaxnoise.methods.augmentation import Augmentation
from jaxnoise.methods.optim import Optimizer
from jaxnoise.methods.robust_losses import Loss
from jaxnoise.methods.schedules import Schedule
from jaxnoise.train_step import Coefficients, Program
from jaxnoise.training import loop
from jaxnoise.training.trainer import Trainer


class Engine(NamedTuple):
    """All that trains and measures the members of one program; compiled when first needed."""

    program: Program
    trainer: Trainer
    pictures: loop.Pictures  # on the device, shared by all members


def engine(config: Config, dataset: SplitDataset) -> Engine:
    """Builds the engine that serves all runs whose settings have the same `program_key`."""
    made = program(config, dataset)
    trainer = Trainer(
        made,
        config.batch_size,
        stages=stages(config),
        members_at_once=config.members_at_once,
        programs=data.cache_folder(config.cache_dir) / "programs",
    )
    return Engine(made, trainer, pictures(dataset))


def jacob_start(config: Config) -> int:
    """The first epoch with the Jacobian term, from 0; the number of epochs if none has it."""
    return config.jacob_start_epoch if config.jacob_coef > 0 else config.epochs_num


def stages(config: Config) -> tuple[bool, ...]:
    """The kinds of epochs of a run, in order: whether they have the Jacobian term."""
    start = jacob_start(config)
    return (False,) * (start > 0) + (True,) * (start < config.epochs_num)


# Flags that change the members, not the program that they run in; a recipe is a name for others.
_TRACED = (
    *NOISE_FLAGS, "wd_coef", "jacob_coef", "entropy_coef", "seed", "total_repeats",
    "forward_matrix", "forward_file", "jacob_samples", "recipe",
)  # fmt: skip


def program_settings(config: Config) -> dict[str, Any]:
    """The settings that are part of the program; the others are traced."""
    static = {name: x for name, x in config.result_settings.items() if name not in _TRACED}
    static["user_code"] = config.user_code and config.user.sha256[:16]
    # A switched-off Jacobian term is left out of the program, which makes it faster.
    return static | {"jacobian_term": config.jacob_coef > 0}


def program_key(config: Config) -> tuple:
    """A key that is equal for settings whose runs can share a program and its pictures."""
    return tuple(program_settings(config).items())


def by_program(configs: Iterable[Config]) -> list[list[Config]]:
    """Groups settings by program; groups are in the order of their first settings.

    Members of a program can differ in everything that is traced: labels, coefficients, seeds,
    matrices.
    """
    groups: dict[tuple, list[Config]] = {}
    for config in configs:
        groups.setdefault(program_key(config), []).append(config)
    return list(groups.values())


def program(config: Config, dataset: SplitDataset) -> Program:
    """Builds the program to compile; neither labels nor coefficients are part of it."""
    net = _net(config, dataset.num_classes)
    side = min(dataset.images.shape[1:3])
    if "cutout" in (config.augment or "") and config.cutout_size >= side:
        raise InputError(
            f"--cutout_size={config.cutout_size}: allowed here is less than {side}, the images' "
            "height or width"
        )
    return Program(
        net,
        optimizer(config, steps_per_epoch=-(-len(dataset.train_index) // config.batch_size)),
        config.jacob_mode,
        config.precision,
        config.validation_labels,
        Loss(
            config.loss,
            tuple(config.loss_settings.items()),
            extending.defined(config, "loss"),
        ),
        robust_training.METHODS[config.method](**config.method_settings) if config.method else None,
        Augmentation.named(config.augment, config.cutout_size),
        renew_averages=config.preset != "paper" and config.bn_momentum is None,
        ema_decay=config.ema_decay,
    )


def _net(config: Config, num_classes: int) -> nn.Module:
    cls = extending.defined(config, "net") or nets.NETS[config.network]
    fields = {field.name for field in dataclasses.fields(cls)}
    if "num_classes" not in fields:
        raise InputError(f"--net={config.network}: requires a field num_classes")
    if "train" not in inspect.signature(cls.__call__).parameters:
        raise InputError(f"--net={config.network}: its __call__ requires the keyword train")
    given = {"spectral": _spectral_norm(config), "dtype": nets.DTYPES[config.precision]}
    net = cls(
        num_classes=num_classes,
        **{name: x for name, x in given.items() if name in fields},
        **config.options("net"),
    )
    for name, setting, is_set in (
        ("spectral", "--do_sn", config.do_sn),
        ("dtype", f"--precision={config.precision}", config.precision == "bf16"),
        ("conventions", f"--bn_momentum={config.bn_momentum}", config.bn_momentum is not None),
    ):
        if is_set and name not in fields:
            raise InputError(
                f"{setting}: does not reach --net={config.network}, which has no field `{name}`; "
                "allowed is to leave it out, or to change the net"
            )
    if config.bn_momentum is None:
        return net
    return net.clone(conventions=dataclasses.replace(net.conventions, momentum=config.bn_momentum))


def optimizer(config: Config, *, steps_per_epoch: int) -> Optimizer:
    """The optimizer of the members of a run; their weight decay is traced."""
    training = config.training_settings
    schedule = Schedule(
        training["schedule"],
        training["learning_rate"],
        config.epochs_num,
        training.get("lr_decay_epochs", 0),
        tuple(training.get("lr_milestones", ())),
        config.lr_gamma,
        config.lr_min,
        config.warmup_epochs,
    )
    return Optimizer(
        "sgd" if training["optimizer"] == "sgd" else "adam",
        schedule.of_step(steps_per_epoch),
        config.momentum,
        config.nesterov,
        decoupled=config.decoupled_decay,
        decays_all=config.wd_on == "all",
        clip_norm=config.clip_norm,
    )


def members(
    config: Config, dataset: NoisyDataset, transition_matrices: np.ndarray | None = None
) -> list[loop.Member]:
    """Builds a member for each repeat.

    Args:
      transition_matrices: for --loss=forward, float32 (repeats, K, K); not needed for measurements.
    """
    return [
        loop.Member(
            loop.member_key(config.seed, repeat),
            labels.noisy,
            valid_labels.noisy,
            coefficients(config),
            None if transition_matrices is None else transition_matrices[repeat],
        )
        for repeat, (labels, valid_labels) in enumerate(
            zip(dataset.noisy_labels, dataset.noisy_valid_labels, strict=True)
        )
    ]


def coefficients(config: Config) -> Coefficients:
    """The coefficients of the members of a run."""
    return Coefficients(
        np.float32(config.wd_coef), np.float32(config.jacob_coef), np.float32(config.entropy_coef)
    )


def pictures(dataset: SplitDataset) -> loop.Pictures:
    """Puts the pictures, which all members share, on the device."""
    return loop.Pictures(
        jnp.asarray(dataset.images),
        jnp.asarray(dataset.labels),
        jnp.asarray(dataset.split),
        *map(jnp.asarray, dataset.preprocessing),
    )


def _spectral_norm(config: Config) -> SpectralNorm | None:
    if not config.do_sn:
        return None
    paper = config.preset == "paper"
    return SpectralNorm(
        config.sn_mode,
        config.sn_cap,
        config.sn_iterations,
        stop_gradient=not paper,
        in_evaluation=paper,
    )
