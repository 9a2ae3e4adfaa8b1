"""How much each layer can amplify at most: exact norms of its linear maps.

The norm of the mapping from picture to logits is at most the product of its layers' norms, since
ReLU and max-pooling over disjoint windows are 1-Lipschitz in L2. (Szegedy et al., "Intriguing
properties of neural networks", ICLR 2014, https://arxiv.org/abs/1312.6199, section 4.3.) In
evaluation mode batch norm multiplies each feature by γ/√(var + ε), so it is part of its layer's
linear map. All this holds for a chain of the layers in `nets`; see `between_layers`.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.layers.batch_norm import BatchNorm
from jaxnoise.layers.operator_norm import convolution_norm

_LAYERS = (nets.ConvBlock, nets.DenseBlock)
# Of the pictures that a net is traced with: no other axis has this size.
_BATCH = 1009


class Layer(NamedTuple):
    """The linear map of one layer, as the net uses it in evaluation mode."""

    name: str
    kernel: jax.Array  # float32 (k, k, channels, features) or (inputs, features)
    factor: jax.Array  # float32 (features,): batch norm's γ/√(var + ε), or ones
    padding: str | None  # of a convolution
    input_shape: tuple[int, ...]  # (channels, height, width) or (inputs,)


class Unbounded(ValueError):
    """The product of its layers' norms need not bound a net's; says why, and names a layer."""


def between_layers(
    net: nn.Module, variables: dict[str, Any], image_shape: tuple[int, ...]
) -> float:
    """The norm of what lies between the layers of a net, in evaluation mode: 1, or of its means.

    The net must be a chain: each of its parameters is that of a ConvBlock or DenseBlock of `nets`,
    each of these is applied once, the first one to the picture, every other one to the output of
    the one before it, and the last one's output is the logits. Between them, values may be
    rearranged, and averaged: a mean over n values is a map of norm 1/√n. The net is only traced, so
    this takes no time.

    Args:
      variables: params and the other collections, as arrays or their shapes.

    Raises:
      Unbounded: it is not such a chain.
    """
    names: list[str] = []

    def watch(call, args, kwargs, context):
        if type(context.module) not in _LAYERS or context.method_name != "__call__":
            return call(*args, **kwargs)
        name = _name(context.module)
        names.append(name)
        return checkpoint_name(call(*(_into(x, context.module) for x in args), **kwargs), name)

    def apply(variables, images):
        with nn.intercept_methods(watch):
            return net.apply(variables, images, train=False)

    images = jax.ShapeDtypeStruct((_BATCH, *image_shape), jnp.float32)
    traced = jax.make_jaxpr(apply)(variables, images).jaxpr
    for path, _ in jax.tree_util.tree_leaves_with_path(variables["params"]):
        of = "/".join(key.key for key in path)
        if not any(of.startswith(f"{name}/") for name in names):
            raise Unbounded(f"the parameter {of} is not that of a ConvBlock or DenseBlock")
    for name in names:
        if names.count(name) > 1:
            raise Unbounded(f"{name} is applied more than once")
    made_by = {out: equation for equation in traced.eqns for out in equation.outvars}
    marked = {x.params["name"]: x for x in traced.eqns if x.primitive.name == "name"}
    norm, before, source = 1.0, "the picture", traced.invars[-1]
    for name in [*names, None]:
        if name and not (name in marked and f"into {name}" in marked):
            raise Unbounded(f"{name} is inside of another transformation")
        end = marked[f"into {name}"].invars[0] if name else traced.outvars[0]
        found, gain = _followed_back(end, source, made_by)
        if not found:
            what = f"the input of {name} is" if name else "the logits are"
            raise Unbounded(f"{what} not {before} alone, rearranged or averaged")
        norm *= gain
        if name:
            before, source = f"the output of {name}", marked[name].outvars[0]
    return norm


def _name(module: nn.Module) -> str:
    return "/".join(module.path)


def _into(x: jax.Array, module: nn.Module) -> jax.Array:
    """The input of a layer with a mark, after a look at its shape."""
    axes = 4 if isinstance(module, nets.ConvBlock) else 2
    if x.ndim != axes or x.shape[-1] != _BATCH:
        shape = ", ".join("batch" if size == _BATCH else str(size) for size in x.shape)
        raise Unbounded(
            f"the input of {_name(module)} has the shape ({shape}), not "
            f"({'channels, height, width' if axes == 4 else 'inputs'}, batch)"
        )
    return checkpoint_name(x, f"into {_name(module)}")


_REARRANGE = ("reshape", "transpose", "squeeze", "broadcast_in_dim", "convert_element_type")


def _followed_back(end: Any, source: Any, made_by: dict[Any, Any]) -> tuple[bool, float]:
    """Whether a traced value is another one rearranged or averaged, and the norm of that map."""
    norm = 1.0
    while end is not source:
        made = None if hasattr(end, "val") else made_by.get(end)
        if made is None:  # a constant, or an argument: a parameter, or the picture
            return False, norm
        start, *more = made.invars
        kind, sizes = made.primitive.name, [math.prod(x.aval.shape) for x in (start, end)]
        divisor = getattr(more[0], "val", None) if kind == "div" else None
        # Neither a copy to more places nor rounding to integers is a mere rearrangement.
        moved = kind in _REARRANGE and not more and sizes[0] == sizes[1]
        if kind == "reduce_sum":
            norm *= math.sqrt(sizes[0] / sizes[1])
        elif divisor is not None and np.ndim(divisor) == 0:
            norm /= abs(float(divisor))
        elif not (moved and jnp.issubdtype(end.aval.dtype, jnp.floating)):
            return False, norm
        end = start
    return True, norm


def layers(
    net: nn.Module, variables: dict[str, jax.Array], image_shape: tuple[int, ...]
) -> list[Layer]:
    """All layers of a net that is a chain (see `between_layers`), recorded while it is applied.

    Kernels are those that the layers compute with, so they include any kind of normalization.
    """
    found: list[Layer] = []
    seen = {}

    def watch(call, args, kwargs, context):
        out, module = call(*args, **kwargs), context.module
        if context.method_name == "weights":
            seen["kernel"] = out
        elif isinstance(module, BatchNorm):
            of_module = module.variables
            factor = lax.rsqrt(of_module["batch_stats"]["var"] + module.conventions.epsilon)
            seen["factor"] = factor * of_module["params"].get("scale", jnp.ones_like(factor))
        elif isinstance(module, _LAYERS) and context.method_name == "__call__":
            kernel = seen.pop("kernel")
            factor = seen.pop("factor", jnp.ones(kernel.shape[-1], kernel.dtype))
            padding = getattr(module, "padding", None)
            found.append(Layer(_name(module), kernel, factor, padding, args[0].shape[:-1]))
        return out

    with nn.intercept_methods(watch):
        net.apply(variables, jnp.zeros((1, *image_shape), jnp.float32), train=False)
    return found


class Norms(NamedTuple):
    """Of every layer in the order of the net, float64 (members, layers) each, and of the net."""

    reshaped: np.ndarray  # σ of the kernel reshaped to (−1, features): what --do_sn divides by
    operator: np.ndarray  # of the linear map with its real padding
    batch_norm: np.ndarray  # largest |γ|/√(var + ε) of its features, 1 where there is none
    layer: np.ndarray  # of linear map and batch norm together; ≤ operator · batch_norm
    upper_bound: np.ndarray  # (members,): product of `layer`, and of means between and after them


def norms(
    states: ts.TrainState, *, program: ts.Program, image_shape: tuple[int, ...]
) -> tuple[list[str], Norms]:
    """The layers' names and norms in evaluation mode and float32.

    Args:
      states: of all members, with a leading axis (members,), on the host.

    Raises:
      Unbounded: at once, if the net is not a chain of the layers in `nets`.
    """
    measured, structure = program.measuring(), []
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), states)
    between = between_layers(measured.net, {"params": one.params, **one.variables}, image_shape)

    def arrays(state):
        variables = {"params": state.params, **state.variables}
        with measured.matmul_precision():
            found = layers(measured.net, variables, image_shape)
        structure[:] = [layer._replace(kernel=None, factor=None) for layer in found]
        return [(layer.kernel, layer.factor) for layer in found]

    members = len(jax.tree.leaves(states)[0])
    each = jax.device_get(jax.jit(jax.vmap(arrays))(states))
    table = np.array(
        [
            [
                _norms_of(layer, kernels[i], factors[i])
                for layer, (kernels, factors) in zip(structure, each, strict=True)
            ]
            for i in range(members)
        ]
    )
    reshaped, operator, batch_norm, whole = np.moveaxis(table, 2, 0)
    bound = whole.prod(axis=1) * between
    return [layer.name for layer in structure], Norms(reshaped, operator, batch_norm, whole, bound)


def _norms_of(layer: Layer, kernel: np.ndarray, factor: np.ndarray) -> tuple[float, ...]:
    if not (np.isfinite(kernel).all() and np.isfinite(factor).all()):
        return (math.nan,) * 4  # of a member that diverged

    def norm(kernel):
        if layer.padding is None:
            return np.linalg.norm(kernel, ord=2)
        return convolution_norm(kernel, layer.padding, layer.input_shape)

    reshaped = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), ord=2)
    return reshaped, norm(kernel), np.abs(factor).max(), norm(kernel * factor)
