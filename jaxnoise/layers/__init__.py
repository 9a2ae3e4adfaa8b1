"""Layers: convolutions, batch norm, spectral normalization and blocks of them, for `jaxnoise.nets`.

They map arrays to arrays. All of them stay fast under `vmap` over kernels and inside `lax.scan`,
and can be differentiated twice.

May import: nothing of jaxnoise.
"""

__all__ = [
    "batch_norm",
    "blocks",
    "conv",
    "conventions",
    "lipschitz",
    "operator_norm",
    "plain",
    "residual",
    "spectral_norm",
]
