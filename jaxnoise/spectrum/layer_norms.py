"""How much each layer can amplify at most: exact norms of its linear maps.

The norm of the mapping from picture to logits is at most the product of its layers' norms, since
ReLU and max-pooling over disjoint windows are 1-Lipschitz in L2. (Szegedy et al., "Intriguing
properties of neural networks", ICLR 2014, https://arxiv.org/abs/1312.6199, section 4.3.) In
evaluation mode batch norm multiplies each feature by γ/√(var + ε), so it is part of its layer's
linear map.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.sparse.linalg import LinearOperator, svds

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.layers import conv
from jaxnoise.layers.batch_norm import EPSILON, BatchNormReLU

# Of σ²; products in float32 carry no more.
TOLERANCE = 1e-6


class Layer(NamedTuple):
    """The linear map of one layer, as the net uses it in evaluation mode."""

    name: str
    kernel: jax.Array  # float32 (k, k, channels, features) or (inputs, features)
    factor: jax.Array  # float32 (features,): batch norm's γ/√(var + ε), or ones
    padding: str | None  # of a convolution
    input_shape: tuple[int, ...]  # (channels, height, width) or (inputs,)
    output_shape: tuple[int, ...]


def layers(
    net: nn.Module, variables: dict[str, jax.Array], image_shape: tuple[int, ...]
) -> list[Layer]:
    """All layers of one of `nets.NETS`, recorded while it is applied.

    Kernels are those that the layers compute with, so they include any kind of normalization.
    """
    found: list[Layer] = []
    seen = {}

    def watch(call, args, kwargs, context):
        out, module = call(*args, **kwargs), context.module
        if context.method_name == "weights":
            seen["kernel"] = out
        elif isinstance(module, BatchNormReLU):
            of_module = module.variables
            factor = lax.rsqrt(of_module["batch_stats"]["var"] + EPSILON)
            seen["factor"] = factor * of_module["params"].get("scale", jnp.ones_like(factor))
        elif isinstance(module, nets.ConvBlock | nets.DenseBlock):
            kernel = seen.pop("kernel")
            factor = seen.pop("factor", jnp.ones(kernel.shape[-1], kernel.dtype))
            padding = getattr(module, "padding", None)
            shapes = args[0].shape[:-1], out.shape[:-1]
            found.append(Layer(module.name, kernel, factor, padding, *shapes))
        return out

    with nn.intercept_methods(watch):
        net.apply(variables, jnp.zeros((1, *image_shape), jnp.float32), train=False)
    return found


def operator_norm(
    forward: Callable[[np.ndarray], np.ndarray],
    transposed: Callable[[np.ndarray], np.ndarray],
    input_size: int,
    output_size: int,
) -> float:
    """Largest singular value of a linear map A, to about 1e-6 of itself.

    By Lanczos' method on AᵀA (ARPACK): a power iteration that keeps its past vectors, and so needs
    tens of products where that needs hundreds. Source: Golub and Van Loan, "Matrix Computations"
    (2013), section 10.1. It runs on the host: on a CPU, LAPACK's calls inside a compiled loop can
    wait for the loop's threads for ever.

    Args:
      forward: x ↦ A x, of vectors float64 (input_size,); a linear map is its own jvp.
      transposed: y ↦ Aᵀ y, the pullback of its vjp.
    """
    # In float64, whatever the products are in: ARPACK's float32 gives up on equal singular values.
    linear = LinearOperator((output_size, input_size), forward, transposed, dtype=np.float64)
    start = np.random.default_rng(0).normal(size=min(linear.shape))
    return float(svds(linear, k=1, v0=start, tol=TOLERANCE, return_singular_vectors=False)[0])


@functools.partial(jax.jit, static_argnames="padding")
def _convolve(x: jax.Array, kernel: jax.Array, *, padding: str) -> jax.Array:
    """Of one picture (channels, height, width), in float32."""
    with jax.default_matmul_precision("highest"):
        return conv.convolve(x[..., None], kernel, padding=padding)[:, 0, ..., 0]


@functools.partial(jax.jit, static_argnames=("padding", "shape"))
def _pull_back(
    y: jax.Array, kernel: jax.Array, *, padding: str, shape: tuple[int, ...]
) -> jax.Array:
    """The transposed map, to (channels, height, width)."""
    zeros = jnp.zeros(shape, jnp.float32)
    with jax.default_matmul_precision("highest"):
        return jax.vjp(lambda x: _convolve(x, kernel, padding=padding), zeros)[1](y)[0]


def convolution_norm(kernel: np.ndarray, padding: str, shape: tuple[int, ...]) -> float:
    """Operator norm of `conv.convolve` with its real padding on (channels, height, width)."""
    output = jax.eval_shape(
        functools.partial(_convolve, padding=padding), jnp.zeros(shape, jnp.float32), kernel
    ).shape

    def forward(x):
        return np.ravel(_convolve(np.float32(x.reshape(shape)), kernel, padding=padding))

    def transposed(y):
        y = np.float32(y.reshape(output))
        return np.ravel(_pull_back(y, kernel, padding=padding, shape=shape))

    return operator_norm(forward, transposed, math.prod(shape), math.prod(output))


def circular_convolution_norm(kernel: np.ndarray, height: int, width: int) -> float:
    """Exact operator norm of the convolution with the same kernel and circular padding.

    The largest σ of the channels × features matrices Σ_{a,b} kernel[a, b] e^{−2πi(pa/h + qb/w)}
    over all frequencies (p, q). Source: Sedghi, Gupta and Long, "The Singular Values of
    Convolutional Layers" (ICLR 2019, https://arxiv.org/abs/1805.10408).
    """
    transformed = np.fft.fft2(kernel, (height, width), axes=(0, 1))
    return float(np.linalg.norm(transformed, ord=2, axis=(2, 3)).max())


class Norms(NamedTuple):
    """Of every layer in the order of the net, float64 (members, layers) each, and of the net."""

    reshaped: np.ndarray  # σ of the kernel reshaped to (−1, features): what --do_sn divides by
    operator: np.ndarray  # of the linear map with its real padding
    batch_norm: np.ndarray  # largest |γ|/√(var + ε) of its features, 1 where there is none
    layer: np.ndarray  # of linear map and batch norm together; ≤ operator · batch_norm
    upper_bound: np.ndarray  # (members,): product of `layer`, and of the last mean over positions


def norms(
    states: ts.TrainState, *, program: ts.Program, image_shape: tuple[int, ...]
) -> tuple[list[str], Norms]:
    """The layers' names and norms in evaluation mode and float32.

    Args:
      states: of all members, with a leading axis (members,), on the host.
    """
    measured, structure = program.measuring(), []

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
    # A net that ends in a convolution averages over n positions, a map of norm 1/√n.
    positions = math.prod(structure[-1].output_shape[1:])
    bound = whole.prod(axis=1) / math.sqrt(positions)
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
