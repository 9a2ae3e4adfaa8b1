"""A net as plain arrays, to rebuild it without jaxnoise: kernels as applied, names in PyTorch.

PyTorch's names are those of the published code of residual nets
(https://github.com/kuangliu/pytorch-cifar): `layer1.0.conv1.weight`, `shortcut.0`, `bn1`. Batch
norms of one block, and of a chain of layers, are bn1, bn2, … in the order of application.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnoise.layers.batch_norm import BatchNorm
from jaxnoise.layers.blocks import Conv, ConvBlock, DenseBlock
from jaxnoise.layers.lipschitz import LAYERS, is_layer, name_of

_LEAVES = {
    "kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean",
    "var": "running_var",
}  # fmt: skip
_PYTORCH_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}  # of a kernel, by its rank


class Named(NamedTuple):
    """What an array is called in PyTorch, and which of its axes come there in which order."""

    pytorch: str | None  # None: not of a layer that jaxnoise knows
    axes: tuple[int, ...] | None


class Plain(NamedTuple):
    """One net in evaluation mode."""

    # By collection and path in Flax, as in `params/conv1/kernel` and `batch_stats/conv1/bn/mean`.
    arrays: dict[str, np.ndarray]
    names: dict[str, Named]  # of every array
    layers: dict[str, dict[str, Any]]  # in order of application: kind, stride, ε and so on
    flatten: str | None  # the order in which the first dense layer takes a feature map; None: none


def plain(net: nn.Module, variables: Mapping[str, Any], image_shape: tuple[int, ...]) -> Plain:
    """The arrays of one net, with kernels as its layers apply them in evaluation mode.

    With spectral normalization these are the normalized ones, and the vectors u are left out.
    Arrays of layers other than jaxnoise's are as they are, and have no names in PyTorch.

    Args:
      variables: params and the other collections, of one member.
      image_shape: (height, width, channels).
    """
    layers: dict[str, dict[str, Any]] = {}

    def record(variables):
        kernels, features, flat = {}, [None], []

        def watch(call, args, kwargs, context):
            module, is_call = context.module, context.method_name == "__call__"
            if is_call and type(module) in LAYERS:
                layers[name_of(module)] = _described(module)
                if isinstance(module, DenseBlock) and features[0] is not None:
                    flat.append(_agree(args[0], features[0]))
            out = call(*args, **kwargs)
            if context.method_name == "weights" and isinstance(module, Conv | DenseBlock):
                kernels[name_of(module)] = out
            if is_call and is_layer(module):
                features[0] = out
            return out

        pixels = jnp.linspace(-1, 1, int(np.prod(image_shape)), dtype=jnp.float32)
        with nn.intercept_methods(watch):
            net.apply(variables, pixels.reshape(1, *image_shape), train=False)
        return kernels, jnp.stack(flat).any() if flat else jnp.asarray(False)

    with jax.default_matmul_precision("highest"):
        kernels, flat = jax.device_get(jax.jit(record)(dict(variables)))
    arrays = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(dict(variables)):
        collection, *modules, name = (key.key for key in path)
        of = "/".join(modules)
        if (collection, name) == ("params", "kernel") and of in kernels:
            arrays[f"params/{of}/kernel"] = kernels[of]
        elif not (collection == "spectral" and of in kernels):
            arrays["/".join((collection, *modules, name))] = np.asarray(leaf)
    return Plain(arrays, _names(arrays, layers), layers, "CHW" if flat else None)


def _described(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, BatchNorm):
        of = {"epsilon": module.conventions.epsilon, "scale": module.use_scale, "relu": module.relu}
        return {"kind": "batch_norm", **of}
    if isinstance(module, DenseBlock):
        return {"kind": "dense", "bias": module.last}
    padding = (module.size - 1) // 2 if module.padding == "SAME" else 0
    # After batch norm and ReLU, 2×2.
    pool = isinstance(module, ConvBlock) and module.pool
    return {"kind": "conv", "stride": module.stride, "padding": padding, "max_pool": pool}


def _agree(x: jax.Array, features: jax.Array) -> jax.Array:
    """Whether x (inputs, batch) is a feature map (C, H, W, batch), flattened in that order."""
    if features.ndim != 4 or features.shape[0] == x.shape[0] or features.size != x.size:
        return jnp.asarray(False)
    return (features.reshape(x.shape) == x).all()


def _names(arrays: Mapping[str, np.ndarray], layers: Mapping[str, Any]) -> dict[str, Named]:
    modules = _modules(layers)
    found = {}
    for path, array in arrays.items():
        _, *within, leaf = path.split("/")
        module = modules.get("/".join(within))
        if module is None:
            found[path] = Named(None, None)
        else:
            axes = _PYTORCH_AXES[array.ndim] if leaf == "kernel" else tuple(range(array.ndim))
            found[path] = Named(f"{module}.{_LEAVES[leaf]}", axes)
    given = [each.pytorch for each in found.values() if each.pytorch]
    if len(set(given)) < len(given):  # of a net of one's own, with names that clash: better none
        return dict.fromkeys(found, Named(None, None))
    return found


def _modules(layers: Mapping[str, Any]) -> dict[str, str]:
    """The module in PyTorch of each layer; the batch norm of a block stands beside the block."""
    numbered: list[list[str]] = []  # a batch norm each: the block or net in which it is numbered
    found = {}
    for name, layer in layers.items():
        *scope, last = name.split("/")
        if layer["kind"] != "batch_norm":
            parts = [*scope, last, *["0"] * (last == "shortcut")]
        elif scope[-1:] == ["shortcut"]:
            parts = [*scope, "1"]
        elif not scope:
            parts = [last]
        else:
            beside = scope[:-1] if "/".join(scope) in layers else scope
            numbered.append(beside)
            parts = [*beside, f"bn{numbered.count(beside)}"]
        found[name] = ".".join(map(_numbered, parts))
    return found


def _numbered(module: str) -> str:
    """`layer2_1`, the first block of a stage, is `layer2.0` in PyTorch."""
    stage = re.fullmatch(r"(layer\d+)_(\d+)", module)
    return f"{stage[1]}.{int(stage[2]) - 1}" if stage else module
