"""How much each layer can amplify at most, and so the whole net: exact norms of its linear maps.

In evaluation mode batch norm multiplies each feature by γ/√(var + ε), so it is part of the linear
map of the block that it belongs to, or is a layer of its own. How the norms of all layers bound
that of the mapping from picture to logits stands in `lipschitz`.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from threadpoolctl import threadpool_limits

from jaxnoise import train_step as ts
from jaxnoise.layers import lipschitz
from jaxnoise.layers.batch_norm import BatchNorm
from jaxnoise.layers.operator_norm import convolution_norm


class Layer(NamedTuple):
    """The linear map of one layer, as the net uses it in evaluation mode."""

    name: str
    kernel: jax.Array | None  # float32 (k, k, channels, features), (inputs, features); or none
    factor: jax.Array  # float32 (features,): batch norm's γ/√(var + ε), or ones
    padding: str | None  # of a convolution
    stride: int
    input_shape: tuple[int, ...]  # (channels, height, width) or (inputs,)


def layers(
    net: nn.Module, variables: dict[str, jax.Array], image_shape: tuple[int, ...]
) -> list[Layer]:
    """All layers of a net (see `lipschitz.traced`), recorded while it is applied.

    Kernels are those that the layers compute with, so they include any kind of normalization.
    """
    found: list[Layer] = []
    seen = {}

    def watch(call, args, kwargs, context):
        out, module = call(*args, **kwargs), context.module
        if context.method_name == "weights":
            seen["kernel"] = out
        if context.method_name != "__call__":
            return out
        if isinstance(module, BatchNorm):
            of_module = module.variables
            factor = lax.rsqrt(of_module["batch_stats"]["var"] + module.conventions.epsilon)
            seen["factor"] = factor * of_module["params"].get("scale", jnp.ones_like(factor))
        if lipschitz.is_layer(module):
            kernel, factor = seen.pop("kernel", None), seen.pop("factor", None)
            found.append(
                Layer(
                    lipschitz.name_of(module),
                    kernel,
                    jnp.ones(kernel.shape[-1], kernel.dtype) if factor is None else factor,
                    getattr(module, "padding", None),
                    getattr(module, "stride", 1),
                    args[0].shape[:-1],
                )
            )
        return out

    with nn.intercept_methods(watch):
        net.apply(variables, jnp.zeros((1, *image_shape), jnp.float32), train=False)
    return found


class Norms(NamedTuple):
    """Of every layer in the order of the net, float64 (members, layers) each, and of the net."""

    reshaped: np.ndarray  # σ of the kernel reshaped to (−1, features): what --do_sn divides by
    operator: np.ndarray  # of the linear map with its real padding and stride
    batch_norm: np.ndarray  # largest |γ|/√(var + ε) of its features, 1 where there is none
    layer: np.ndarray  # of linear map and batch norm together; ≤ operator · batch_norm
    upper_bound: np.ndarray  # (members,): of the net, from `layer` by `lipschitz.bound`


def norms(
    states: ts.TrainState, *, program: ts.Program, image_shape: tuple[int, ...]
) -> tuple[list[str], Norms]:
    """The layers' names and norms in evaluation mode and float32.

    A batch norm that is a layer of its own has no kernel: `reshaped` and `operator` are NaN.

    Args:
      states: of all members, with a leading axis (members,), on the host.

    Raises:
      lipschitz.Unbounded: at once, if the norms of the layers do not bound the net.
    """
    measured, structure = program.measuring(), []
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), states)
    variables = {"params": one.params, **one.variables}
    traced = lipschitz.traced(measured.net, variables, image_shape)

    def arrays(state):
        variables = {"params": state.params, **state.variables}
        with measured.matmul_precision():
            found = layers(measured.net, variables, image_shape)
        structure[:] = [layer._replace(kernel=None, factor=None) for layer in found]
        return [(layer.kernel, layer.factor) for layer in found]

    members = len(jax.tree.leaves(states)[0])
    each = jax.device_get(jax.jit(jax.vmap(arrays))(states))
    # Threads of BLAS and of XLA, whose work alternates, would wait for each other's cores.
    with threadpool_limits(1, user_api="blas"):
        table = np.array(
            [
                [
                    _norms_of(layer, None if kernels is None else kernels[i], factors[i])
                    for layer, (kernels, factors) in zip(structure, each, strict=True)
                ]
                for i in range(members)
            ]
        )
    names = [layer.name for layer in structure]
    by_kind = np.moveaxis(table, 2, 0)
    whole = dict(zip(names, by_kind[-1].T, strict=True))
    return names, Norms(*by_kind, lipschitz.bound(traced, whole))


def _norms_of(layer: Layer, kernel: np.ndarray | None, factor: np.ndarray) -> tuple[float, ...]:
    """`Norms` of one member's layer but for the bound."""
    largest = float(np.abs(factor).max())
    if kernel is None:
        return math.nan, math.nan, largest, largest
    if not (np.isfinite(kernel).all() and np.isfinite(factor).all()):
        return (math.nan,) * 4  # of a member that diverged

    def norm(kernel):
        if layer.padding is None:
            return np.linalg.norm(kernel, ord=2)
        return convolution_norm(kernel, layer.padding, layer.input_shape, layer.stride)

    reshaped = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), ord=2)
    return reshaped, norm(kernel), largest, norm(kernel * factor)
