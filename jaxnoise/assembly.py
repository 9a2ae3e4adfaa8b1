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
    """The program to compile, its members (one per repeat), and the pictures on the device.

    Args:
      transition_matrices: for --loss=forward, float32 (repeats, K, K); not needed to measure.
    """
    schedule = optim.learning_rate_schedule(
        config.network,
        learning_rate=config.learning_rate,
        decay_epochs=config.lr_decay_epochs,
        steps_per_epoch=-(-len(what.train_index) // config.batch_size),
    )
    program = Program(
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
    coefficients = Coefficients(
        np.float32(config.wd_coef), np.float32(config.jacob_coef), np.float32(config.entropy_coef)
    )
    members = [
        loop.Member(
            loop.member_key(config.seed, repeat),
            labels.noisy,
            valid_labels.noisy,
            coefficients,
            None if transition_matrices is None else transition_matrices[repeat],
        )
        for repeat, (labels, valid_labels) in enumerate(
            zip(what.noisy_labels, what.noisy_valid_labels, strict=True)
        )
    ]
    pictures = loop.Pictures(
        jnp.asarray(what.images),
        jnp.asarray(what.labels),
        jnp.asarray(what.split),
        *map(jnp.asarray, what.preprocessing),
    )
    return program, members, pictures


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
