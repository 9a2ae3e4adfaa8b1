"""Convolution and pooling that stay fast under `vmap` over kernels and inside `lax.scan`.

Activations are (channels, height, width, batch): with the batch innermost every shifted slice is
made of whole contiguous rows, and a convolution is one product of the kernel with the stacked
slices. Products batch well over members on every backend, while `vmap` of
`lax.conv_general_dilated` turns into a grouped convolution, and XLA:CPU compiles a convolution
inside a loop to a naive kernel (https://github.com/jax-ml/jax/issues/12868). Everything here is
made of slices, stacks and products, so it can be differentiated as often as the Jacobian penalty
asks for.
"""

import jax
import jax.numpy as jnp

# Pooling phases enlarge the product by ((k+1)/k)^2 and shrink the columns by k^2*4/(k+1)^2. That
# pays while the product is small: 1.4 to 2 times the LeNet step on two CPU cores, a loss for
# AllCNN.
MAX_PRODUCT_FOR_PHASES = 1024


def from_images(images: jax.Array) -> jax.Array:
    """(batch, height, width, channels) to this module's (channels, height, width, batch)."""
    return images.transpose(3, 1, 2, 0)


def convolve(
    x: jax.Array, kernel: jax.Array, *, padding: str, before_pooling: bool = False
) -> jax.Array:
    """Correlates `x` with `kernel` at stride 1, as deep learning calls convolution.

    y[o, i, j, n] = Σ_{a, b, c} kernel[a, b, c, o] · x[c, i + a, j + b, n]

    Args:
      x: (channels, height, width, batch).
      kernel: (k, k, channels, features), k odd.
      padding: `VALID`, or `SAME` for (k − 1)/2 zeros on every side.
      before_pooling: whether `max_pool` follows: the four outputs of each 2×2 pooling window may
      then
        come as four phases.

    Returns:
      (phases, features, height', width', batch): one phase holding all outputs, or, before pooling,
      four that hold the outputs at even/odd rows and columns, each at half the height and width.
    """
    k, _, channels, features = kernel.shape
    if padding == "SAME":
        margin = (k - 1) // 2
        x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = x.shape[1:3]
    if (
        before_pooling
        and channels * features <= MAX_PRODUCT_FOR_PHASES
        and height % 2 == width % 2 == 0
    ):
        return _convolve_phases(x, kernel)
    return _product(_windows(x, k), kernel)[None]


def max_pool(y: jax.Array) -> jax.Array:
    """2×2 maximum at stride 2 of what `convolve` returned; an odd last row or column is dropped."""
    phases, features, height, width, batch = y.shape
    if phases == 4:
        return y.max(axis=0)
    y = y[0, :, : height // 2 * 2, : width // 2 * 2]
    return y.reshape(features, height // 2, 2, width // 2, 2, batch).max(axis=(2, 4))


def _windows(x: jax.Array, k: int) -> jax.Array:
    """All k×k windows: (..., height, width, batch) to (k·k, ..., height', width', batch)."""
    height, width = x.shape[-3] - k + 1, x.shape[-2] - k + 1
    slices = [x[..., a : a + height, b : b + width, :] for a in range(k) for b in range(k)]
    return jnp.stack(slices)


def _product(windows: jax.Array, kernel: jax.Array) -> jax.Array:
    """Contracts windows (..., height, width, batch) with a kernel (..., features)."""
    features, spatial = kernel.shape[-1], windows.shape[-3:]
    columns = windows.reshape(-1, spatial[0] * spatial[1] * spatial[2])
    return (kernel.reshape(-1, features).T @ columns).reshape(features, *spatial)


def _convolve_phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The outputs of each 2×2 window as four phases, from one product at half the resolution.

    The kernel, shifted to each of the four positions of the window, is four kernels of size k + 1
    at stride 2; over pictures folded to half size (even/odd rows and columns as channels) that is a
    convolution of size (k + 1)/2 at stride 1.
    """
    k, _, channels, features = kernel.shape
    half = (k + 1) // 2
    shifted = jnp.stack(
        [jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in (0, 1) for b in (0, 1)],
        axis=-2,
    )  # (k + 1, k + 1, channels, 4, features)
    folded_kernel = shifted.reshape(half, 2, half, 2, channels, 4 * features)
    folded_kernel = folded_kernel.transpose(0, 2, 1, 3, 4, 5)
    _, height, width, batch = x.shape
    folded = x.reshape(channels, height // 2, 2, width // 2, 2, batch).transpose(2, 4, 0, 1, 3, 5)
    y = _product(_windows(folded, half), folded_kernel)
    return y.reshape(4, features, *y.shape[1:])
