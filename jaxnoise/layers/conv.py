"""Convolution and pooling that stay fast under `vmap` over kernels and inside `lax.scan`.

Activations are (channels, height, width, batch). With the batch as the last axis, every shifted
slice consists of whole contiguous rows, and a convolution is one product of the kernel with the
stacked slices. Products batch well over members (see `train_step`) on every backend. In contrast,
`vmap` of `lax.conv_general_dilated` turns into a grouped convolution, and XLA:CPU compiles a
convolution inside a loop to a naive kernel (https://github.com/jax-ml/jax/issues/12868). For TPUs
there is `by_member`, which benchmarks/README.md compares with the products.
Everything here can be differentiated (in reverse mode) as often as the Jacobian penalty needs.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from jaxnoise.layers import by_member, winograd
from jaxnoise.layers.matmul import matmul

# Largest channels · features for which `convolve` computes four pooling phases. Phases enlarge the
# product by ((k+1)/k)^2 and shrink the columns by k^2*4/(k+1)^2. That is faster while the product
# is small: LeNet's step is 1.4 to 2 times as fast on two CPU cores, AllCNN's is slower.
MAX_PRODUCT_FOR_PHASES = 1024
# With few channels Winograd's maps cost as much as they save.
MIN_CHANNELS_FOR_WINOGRAD = 64

_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


@contextlib.contextmanager
def traced_for(platform: str) -> Iterator[None]:
    """Inside the block, `convolve` has the form for `cpu`, `gpu` or `tpu`, wherever it is traced.

    Outside of one, it has the form for the platform that JAX computes on.
    """
    token = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(token)


def from_images(images: jax.Array) -> jax.Array:
    """Transposes (batch, height, width, channels) to (channels, height, width, batch)."""
    return images.transpose(3, 1, 2, 0)


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    *,
    padding: str,
    stride: int = 1,
    before_pooling: bool = False,
) -> jax.Array:
    """Correlates `x` with `kernel`, which is called convolution in deep learning.

    y[o, i, j, n] = Σ_{a, b, c} kernel[a, b, c, o] · x[c, s i + a, s j + b, n] at stride s

    Args:
      x: (channels, height, width, batch).
      kernel: (k, k, channels, features), k odd.
      padding: `VALID`, or `SAME` for (k − 1)/2 zeros on every side.
      stride: s ≥ 1.
      before_pooling: whether `max_pool` follows. The four outputs of each 2×2 pooling window may
        then be returned as four phases.

    Returns:
      (features, phases, height', width', batch): one phase with all outputs or, before pooling,
      possibly four phases with the outputs at even and odd rows and columns, each of half the
      height and width.
    """
    k, _, channels, features = kernel.shape
    platform = _platform.get() or jax.default_backend()
    margin = (k - 1) // 2 if padding == "SAME" else 0
    if platform == "tpu" and channels * features > MAX_PRODUCT_FOR_PHASES:
        return by_member.convolve(x, kernel, margin=margin, stride=stride)[:, None]
    if margin:
        x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = x.shape[1:3]
    wide = stride == 1 and min(channels, features) >= MIN_CHANNELS_FOR_WINOGRAD
    if k == 3 and wide and x.dtype == jnp.float32 and platform == "cpu":
        return winograd.convolve3x3(x, kernel)[:, None]
    small = stride == 1 and channels * features <= MAX_PRODUCT_FOR_PHASES
    fold = 2 if before_pooling and small and height % 2 == width % 2 == 0 else 1
    windows = _windows(x, k, fold) if stride == 1 else _strided_windows(x, k, stride)
    y = matmul(_phases(kernel, fold), windows.reshape(len(windows), -1))
    return y.reshape(features, fold * fold, *windows.shape[1:])


def _windows(x: jax.Array, k: int, fold: int) -> jax.Array:
    """The pixels under the kernel, for every fold×fold block of outputs (fold 1: every output).

    Returns:
      (s · s · channels, height', width', batch) with s = k + fold − 1: the pixels of s×s windows,
      one window at every fold-th row and column.
    """
    channels, height, width, batch = x.shape
    size, taps = k + fold - 1, -(-k // fold)
    x = x.reshape(channels, height // fold, fold, width // fold, fold, batch)
    x = x.transpose(2, 4, 0, 1, 3, 5)  # (fold, fold, channels, height/fold, width/fold, batch)
    rows, columns = x.shape[3] - size // fold + 1, x.shape[4] - taps + 1
    slices = [
        x[a % fold, :, :, a // fold : a // fold + rows, b : b + columns]
        for a in range(size)
        for b in range(taps)
    ]
    return jnp.concatenate([part.reshape(-1, *part.shape[2:]) for part in slices])


def _strided_windows(x: jax.Array, k: int, stride: int) -> jax.Array:
    """The pixels under the kernel for every stride-th output, as in `_windows`."""
    rows, columns = ((size - k) // stride + 1 for size in x.shape[1:3])
    slices = [
        x[:, a : a + stride * (rows - 1) + 1 : stride, b : b + stride * (columns - 1) + 1 : stride]
        for a in range(k)
        for b in range(k)
    ]
    return jnp.concatenate(slices)


def _phases(kernel: jax.Array, fold: int) -> jax.Array:
    """The kernel at each position inside an s×s window, as rows (features · fold², s² · channels).

    Shifted to fold² positions, a kernel of size k becomes fold² kernels of size s = k + fold − 1.
    """
    k, _, _, features = kernel.shape
    kernel = kernel.transpose(3, 0, 1, 2)
    shifted = [
        jnp.pad(kernel, ((0, 0), (a, fold - 1 - a), (b, fold - 1 - b), (0, 0)))
        for a in range(fold)
        for b in range(fold)
    ]
    return jnp.stack(shifted, axis=1).reshape(features * fold * fold, -1)


def max_pool(y: jax.Array) -> jax.Array:
    """2×2 max-pooling at stride 2 of the result of `convolve`; drops an odd last row or column.

    It maps (features, phases, height, width, batch) to (features, height', width', batch). Of equal
    values, the first gets the gradient.
    """
    features, phases, height, width, batch = y.shape
    if phases == 1:
        rows, columns = height // 2, width // 2
        y = y[:, 0, : 2 * rows, : 2 * columns].reshape(features, rows, 2, columns, 2, batch)
        y = y.transpose(0, 2, 4, 1, 3, 5).reshape(features, 4, rows, columns, batch)
    return _maximum(y)


@jax.custom_vjp
def _maximum(y: jax.Array) -> jax.Array:
    """The maximum over axis 1. (The derivative of `jnp.max` takes another pass, to count ties.)"""
    return y.max(axis=1)


def _maximum_forward(y):
    maximum = _maximum(y)
    return maximum, (y, maximum)


def _maximum_backward(values, gradient):
    y, maximum = values
    taken, first = jnp.zeros(maximum.shape, bool), []
    for i in range(y.shape[1]):
        hit = (y[:, i] == maximum) & ~taken
        first.append(hit)
        taken |= hit
    first = jnp.stack(first, axis=1)
    return (jnp.where(first, gradient[:, None], jnp.zeros((), gradient.dtype)),)


_maximum.defvjp(_maximum_forward, _maximum_backward)
