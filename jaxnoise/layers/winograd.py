"""3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3).

Every 4×4 tile of outputs is computed from a 6×6 tile of inputs with 36 multiplications instead of
144, at the price of three small linear maps. All of it is written as products, so its derivatives
are products too, with the same savings. In float32, results differ from direct convolution by up to
2e-5 of the largest value; lower precisions lose too much. Source: Lavin and Gray, "Fast Algorithms
for Convolutional Neural Networks" (CVPR 2016, https://arxiv.org/abs/1509.09308), section 4.2.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoise.layers.matmul import matmul

TILE, WINDOW = 4, 6

# Bᵀ, G and Aᵀ of the paper: one-dimensional maps of inputs, kernel and outputs.
_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_OUTPUT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


def convolve3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Correlates `x` with `kernel`, without padding.

    Args:
      x: float32 (channels, height, width, batch).
      kernel: float32 (3, 3, channels, features).

    Returns:
      float32 (features, height − 2, width − 2, batch).
    """
    # Else XLA computes what makes `x`, as batch norm does, anew for every window of a pixel.
    x = jax.lax.optimization_barrier(x)
    channels, height, width, batch = x.shape
    features = kernel.shape[-1]
    rows, columns = -(-(height - 2) // TILE), -(-(width - 2) // TILE)  # of tiles
    missing = [TILE * n + 2 - size for n, size in ((rows, height), (columns, width))]
    x = jnp.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
    windows = jnp.stack([
        x[:, a : a + TILE * (rows - 1) + 1 : TILE, b : b + TILE * (columns - 1) + 1 : TILE]
        for a in range(WINDOW)
        for b in range(WINDOW)
    ])  # fmt: skip
    inputs = _transform(_INPUT, windows).reshape(WINDOW**2, channels, -1)
    kernels = _transform(_KERNEL, kernel.reshape(9, channels, features))
    products = jax.vmap(matmul)(kernels.transpose(0, 2, 1), inputs)
    y = _transform(_OUTPUT, products).reshape(TILE, TILE, features, rows, columns, batch)
    y = y.transpose(2, 3, 0, 4, 1, 5).reshape(features, TILE * rows, TILE * columns, batch)
    return y[:, : height - 2, : width - 2]


def _transform(matrix: np.ndarray, tiles: jax.Array) -> jax.Array:
    """M t Mᵀ for every tile t: maps (m · m, ...) to (n · n, ...) if M is n×m."""
    both = jnp.asarray(np.kron(matrix, matrix), tiles.dtype)
    return matmul(both, tiles.reshape(len(tiles), -1)).reshape(-1, *tiles.shape[1:])
