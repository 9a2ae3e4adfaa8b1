"""Layers: convolution, matrix products, batch norm and spectral normalization, for `jaxnoise.nets`.

They map arrays to arrays. All of them stay fast under `vmap` over kernels and inside `lax.scan`,
and can be differentiated twice.

May import: nothing of jaxnoise.
"""

__all__ = [
    "batch_norm",
    "conv",
    "matmul",
    "operator_norm",
    "spectral_norm",
]
