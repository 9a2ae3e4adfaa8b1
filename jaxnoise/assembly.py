"""From settings and labels to what is trained: the program, its members, the shared pictures."""

import jax.numpy as jnp
import numpy as np

from jaxnoise import loop, methods, nets, optim, task
from jaxnoise.config import Config
from jaxnoise.robust_losses import Loss
from jaxnoise.spectral_norm import SpectralNorm
from jaxnoise.train_step import Coefficients, Program


def assemble(
    config: Config, what: task.Task, transition_matrices: np.ndarray | None = None
) -> tuple[Program, list[loop.Member], loop.Pictures]:
    """All three, of one run."""
    return program(config, what), members(config, what, transition_matrices), pictures(what)


def program(config: Config, what: task.Task | task.Splits) -> Program:
    """The program to compile; neither labels nor coefficients are part of it."""
    schedule = optim.learning_rate_schedule(
        config.network,
        learning_rate=config.learning_rate,
        decay_epochs=config.lr_decay_epochs,
        steps_per_epoch=-(-len(what.train_index) // config.batch_size),
    )
    return Program(
        nets.NETS[config.network](
            what.num_classes, _spectral_norm(config), nets.DTYPES[config.precision]
        ),
        config.network,
        schedule,
        config.jacob_mode,
        config.precision,
        config.validation_labels,
        config.wd_mode,
        Loss(config.loss, tuple(config.loss_settings.items())),
        methods.METHODS[config.method](**config.method_settings) if config.method else None,
    )


def members(
    config: Config, what: task.Task, transition_matrices: np.ndarray | None = None
) -> list[loop.Member]:
    """A member for each repeat.

    Args:
      transition_matrices: for --loss=forward, float32 (repeats, K, K); not needed to measure.
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
            zip(what.noisy_labels, what.noisy_valid_labels, strict=True)
        )
    ]


def coefficients(config: Config) -> Coefficients:
    """Those of its members."""
    return Coefficients(
        np.float32(config.wd_coef), np.float32(config.jacob_coef), np.float32(config.entropy_coef)
    )


def pictures(what: task.Task | task.Splits) -> loop.Pictures:
    """The pictures on the device, which all members share."""
    return loop.Pictures(
        jnp.asarray(what.images),
        jnp.asarray(what.labels),
        jnp.asarray(what.split),
        *map(jnp.asarray, what.preprocessing),
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
