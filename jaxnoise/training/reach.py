"""Whether what is meant for every net reaches a run's: a setting that would not is an error.

Weight decay goes by the names of parameters, spectral normalization and bfloat16 are up to the
layers. A net of one's own may have other names and layers.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxnoise.config import Config, InputError
from jaxnoise.train_step import TrainState
from jaxnoise.training import evaluation
from jaxnoise.training.assembly import Engine

_PRODUCTS = ("dot_general", "conv_general_dilated")


def check(config: Config, engine: Engine, state: TrainState) -> None:
    """Raises InputError if a setting of the run does not reach a weight of its net.

    Weights are the parameters with two axes or more.

    Args:
      state: of a member, or its shapes.
    """
    net, images = engine.program.net, engine.pictures.images[:2].astype(jnp.float32)
    variables = {"params": state.params, **state.variables}
    if config.definition("net"):  # tracing ours would take a second at every start
        logits = jax.eval_shape(lambda v: net.apply(v, images, train=False), variables)
        if logits.shape != (len(images), net.num_classes):
            raise InputError(
                f"--net={config.network}: returns {list(logits.shape)} for {len(images)} images; "
                f"allowed are logits {[len(images), net.num_classes]}"
            )
    leaves = jax.tree_util.tree_leaves_with_path(state.params)
    weights = [path for path, leaf in leaves if leaf.ndim > 1]
    if config.wd_coef > 0:
        mask = jax.tree_util.tree_leaves_with_path(engine.program.optimizer.decayed(state.params))
        _refuse(
            config,
            f"--wd_coef={config.wd_coef:g}",
            [path for path, decays in mask if path in weights and not decays],
            "weight decay acts on parameters with the name kernel or scale",
        )
    if config.do_sn:
        normalized = {
            path[:-1]
            for path, _ in jax.tree_util.tree_leaves_with_path(state.variables.get("spectral", {}))
        }
        _refuse(
            config,
            "--do_sn",
            [path for path in weights if path[:-1] not in normalized],
            "Conv, ConvBlock and DenseBlock of jaxnoise.nets normalize their kernels, other layers "
            "do not",
        )
    if config.precision == "bf16":
        jaxpr = jax.make_jaxpr(lambda v, x: net.apply(v, x, train=False))(variables, images)
        if not any(x.aval.dtype == jnp.bfloat16 for x in _factors(jaxpr.jaxpr)):
            raise InputError(
                f"--precision=bf16: no product of --net={config.network} is computed in bfloat16; "
                "allowed is float32, or a net that passes its dtype to its layers"
            )


def keeps_running_averages(engine: Engine, state: TrainState) -> bool:
    """Whether batch norm, in a layer or more, is evaluated with running averages, which lag.

    They stay in a layer that does not offer the moments that `evaluation.renewed` takes.
    """
    program, stats = engine.program, state.variables.get("batch_stats", {})
    if not program.renew_averages or not stats:
        return bool(stats)
    images = engine.pictures.images[:2].astype(jnp.float32)
    moments = jax.eval_shape(
        functools.partial(evaluation.batch_moments, program=program), state, images
    )
    return jax.tree.structure(moments) != jax.tree.structure(stats)


def _refuse(config: Config, setting: str, unreached: list[tuple], rule: str) -> None:
    if unreached:
        names = ", ".join(
            jax.tree_util.keystr(path, simple=True, separator="/") for path in unreached
        )
        raise InputError(
            f"{setting}: does not reach {names} of --net={config.network}: {rule}; allowed is to "
            "leave it out, or to change the net"
        )


def _factors(jaxpr: Any) -> Iterator[Any]:
    """The factors of all matrix products and convolutions, inside loops and calls too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in _PRODUCTS:
            yield from equation.invars
    for inner in core.subjaxprs(jaxpr):
        yield from _factors(inner)
