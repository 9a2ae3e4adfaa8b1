"""What each layer can amplify at most: exact norms of its linear maps, of one member.

The norm of the mapping from picture to logits is at most the product of its layers' norms, since
ReLU and max-pooling over disjoint windows are 1-Lipschitz in L2. (Szegedy et al., "Intriguing
properties of neural networks", ICLR 2014, https://arxiv.org/abs/1312.6199, section 4.3.) In
evaluation mode batch norm multiplies each feature by γ/√(var + ε), so it is part of its layer's
linear map.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxnoise import conv, nets
from jaxnoise import train_step as ts
from jaxnoise.normalization import EPSILON, BatchNormReLU

# Vectors iterated together: the error falls by (σ_9/σ_1)² an iteration, not by (σ_2/σ_1)².
BLOCK = 8
MAX_ITERATIONS = 500
# Of σ², from one iteration to the next; float32 would not settle to less.
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
    """All layers of one of `nets.NETS`, seen while it is applied.

    Kernels are those that the layers compute with, so any kind of normalization is in them.
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


def power_iteration(
    linear: Callable[[jax.Array], jax.Array], input_shape: tuple[int, ...]
) -> jax.Array:
    """Largest singular value of a linear map A, by block power iteration on AᵀA.

    Q ← orthonormal basis of AᵀA Q;  σ² = largest eigenvalue of Qᵀ AᵀA Q, from below.
    A linear map is its own jvp, and the pullback of its vjp is Aᵀ. Source: Golub and Van Loan,
    "Matrix Computations" (2013), section 8.2.4.

    Args:
      linear: maps (*input_shape, n) to (..., n), column by column.

    Returns:
      float32 (); NaN if the map is not finite.
    """
    size = math.prod(input_shape)
    width = min(BLOCK, size)

    def iterate(carry):
        i, basis, square, _ = carry
        image, pullback = jax.vjp(linear, basis.reshape(*input_shape, width))
        (back,) = pullback(image)
        image, back = image.reshape(-1, width), back.reshape(-1, width)
        largest = jnp.linalg.eigvalsh(image.T @ image)[-1]
        basis, _ = jnp.linalg.qr(back)
        return i + 1, basis, largest, jnp.abs(largest - square)

    def goes_on(carry):
        i, _, square, change = carry
        return (i < MAX_ITERATIONS) & (change > TOLERANCE * square)  # false for NaN

    basis, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (size, width), jnp.float32))
    start = iterate((0, basis, jnp.float32(0), jnp.float32(0)))
    return jnp.sqrt(lax.while_loop(goes_on, iterate, start)[2])


def convolution_norm(kernel: jax.Array, padding: str, input_shape: tuple[int, ...]) -> jax.Array:
    """Operator norm of `conv.convolve` with its real padding on (channels, height, width)."""
    return power_iteration(
        lambda x: conv.convolve(x, kernel, padding=padding)[:, 0], tuple(input_shape)
    )


def circular_convolution_norm(kernel: jax.Array, height: int, width: int) -> jax.Array:
    """Exact operator norm of the convolution of the same kernel with circular padding.

    The largest σ of the channels × features matrices Σ_{a,b} kernel[a, b] e^{−2πi(pa/h + qb/w)}
    over all frequencies (p, q). Source: Sedghi, Gupta and Long, "The Singular Values of
    Convolutional Layers" (ICLR 2019, https://arxiv.org/abs/1805.10408).
    """
    transformed = jnp.fft.fft2(kernel, (height, width), axes=(0, 1))
    return jnp.linalg.norm(transformed, ord=2, axis=(2, 3)).max()


class Norms(NamedTuple):
    """Of every layer in the order of the net, float32 (layers,) each, and of the whole net."""

    reshaped: jax.Array  # σ of the kernel reshaped to (−1, features): what --do_sn divides by
    operator: jax.Array  # of the linear map with its real padding
    batch_norm: jax.Array  # largest |γ|/√(var + ε) of its features, 1 where there is none
    layer: jax.Array  # of linear map and batch norm together; ≤ operator · batch_norm
    upper_bound: jax.Array  # float32 (): product of `layer`, and of the final mean over positions


def norms(state: ts.TrainState, *, program: ts.Program, image_shape: tuple[int, ...]) -> Norms:
    """Of all layers in evaluation mode and float32."""
    measured = program.measuring()
    with measured.matmul_precision():
        found = layers(measured.net, {"params": state.params, **state.variables}, image_shape)
        rows = [_norms_of(layer) for layer in found]
    reshaped, operator, batch_norm, layer = map(jnp.stack, zip(*rows, strict=True))
    # A net that ends in a convolution averages over n positions, a map of norm 1/√n.
    positions = math.prod(found[-1].output_shape[1:])
    return Norms(reshaped, operator, batch_norm, layer, layer.prod() / math.sqrt(positions))


def layer_names(program: ts.Program, image_shape: tuple[int, ...]) -> list[str]:
    """In the order of `norms`."""
    names: list[str] = []

    def look():
        state = ts.create_state(program, jax.random.key(0), image_shape)
        found = layers(program.net, {"params": state.params, **state.variables}, image_shape)
        names.extend(layer.name for layer in found)

    jax.eval_shape(look)
    return names


def _norms_of(layer: Layer) -> tuple[jax.Array, ...]:
    kernel = layer.kernel
    both = jnp.stack([kernel, kernel * layer.factor.reshape(*[1] * (kernel.ndim - 1), -1)])
    reshaped = _largest(kernel.reshape(-1, kernel.shape[-1]))
    if layer.padding is None:
        operator, whole = _largest(both)
    else:
        operator, whole = jax.vmap(
            lambda kernel: convolution_norm(kernel, layer.padding, layer.input_shape)
        )(both)
    return reshaped, operator, jnp.abs(layer.factor).max(), whole


def _largest(matrices: jax.Array) -> jax.Array:
    return jnp.linalg.norm(matrices, ord=2, axis=(-2, -1))
