"""Exact norms of linear maps, above all of convolutions, as layers apply them to one picture."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.sparse.linalg import LinearOperator, svds

# Of σ²; products in float32 carry no more.
TOLERANCE = 1e-6


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


@functools.partial(jax.jit, static_argnames=("padding", "stride"))
def _convolve(x: jax.Array, kernel: jax.Array, *, padding: str, stride: int) -> jax.Array:
    """`conv.convolve` of one picture (channels, height, width), in float32.

    By XLA's own convolution: here there are no members, and of a single small picture with many
    channels, Winograd's form would transform the kernel for far longer than it convolves.
    """
    margin = (len(kernel) - 1) // 2 if padding == "SAME" else 0
    return lax.conv_general_dilated(
        x[None], kernel, (stride, stride), [(margin, margin)] * 2,
        dimension_numbers=("NCHW", "HWIO", "NCHW"), precision=lax.Precision.HIGHEST,
    )[0]  # fmt: skip


@functools.partial(jax.jit, static_argnames=("padding", "stride", "shape"))
def _pull_back(
    y: jax.Array, kernel: jax.Array, *, padding: str, stride: int, shape: tuple[int, ...]
) -> jax.Array:
    """The transposed map, to (channels, height, width)."""
    convolve = functools.partial(_convolve, kernel=kernel, padding=padding, stride=stride)
    zeros = jnp.zeros(shape, jnp.float32)
    return jax.vjp(convolve, zeros)[1](y)[0]


def convolution_norm(
    kernel: np.ndarray, padding: str, shape: tuple[int, ...], stride: int = 1
) -> float:
    """Operator norm of `conv.convolve` with its real padding on (channels, height, width).

    A 1×1 kernel acts on each pixel alone, or on every stride-th one, so that its matrix (channels,
    features) has the same norm; Lanczos' method would take minutes, because every singular value
    of the convolution is there once for each pixel.
    """
    if kernel.shape[:2] == (1, 1):
        return float(np.linalg.norm(kernel[0, 0], ord=2))
    kernel = jnp.asarray(kernel)  # once on the device, and not in every product
    how = {"padding": padding, "stride": stride}
    output = jax.eval_shape(
        functools.partial(_convolve, **how), jnp.zeros(shape, jnp.float32), kernel
    ).shape

    def forward(x):
        return np.ravel(_convolve(np.float32(x.reshape(shape)), kernel, **how))

    def transposed(y):
        y = np.float32(y.reshape(output))
        return np.ravel(_pull_back(y, kernel, shape=shape, **how))

    return operator_norm(forward, transposed, math.prod(shape), math.prod(output))


def circular_convolution_norm(kernel: np.ndarray, height: int, width: int) -> float:
    """Exact operator norm of the convolution with the same kernel and circular padding.

    The largest σ of the channels × features matrices Σ_{a,b} kernel[a, b] e^{−2πi(pa/h + qb/w)}
    over all frequencies (p, q). Source: Sedghi, Gupta and Long, "The Singular Values of
    Convolutional Layers" (ICLR 2019, https://arxiv.org/abs/1805.10408).
    """
    transformed = np.fft.fft2(kernel, (height, width), axes=(0, 1))
    return float(np.linalg.norm(transformed, ord=2, axis=(2, 3)).max())
