"""XLA's own convolution, one member after the other under `vmap`: the form for TPUs.

`vmap` of a convolution over kernels is a grouped convolution, which TPUs compile for minutes and
run slowly. Here it is a loop over the members, whose body is compiled once, whatever their number.

The three maps below are bilinear, and each is what the others' derivatives consist of. So all can
be differentiated (in reverse mode) as often as the Jacobian penalty needs, and every convolution of
every derivative is such a loop. With ⟨·, ·⟩ the sum of products, y a gradient by the output:

    ⟨y, convolve(x, k)⟩ = ⟨by_input(y, k), x⟩ = ⟨by_kernel(x, y), k⟩
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import lax
from jax.custom_batching import custom_vmap


class Geometry(NamedTuple):
    """What is known of a convolution but its arrays."""

    shape: tuple[int, ...]  # of the input: (channels, height, width, batch)
    size: int  # k, of the kernel (k, k, channels, features)
    features: int
    margin: int  # zeros on every side
    stride: int


def convolve(x: jax.Array, kernel: jax.Array, *, margin: int, stride: int) -> jax.Array:
    """`conv.convolve` with zeros on every side: (features, height', width', batch).

    Args:
      x: (channels, height, width, batch).
      kernel: (k, k, channels, features).
    """
    size, _, _, features = kernel.shape
    return _convolve(Geometry(x.shape, size, features, margin, stride), x, kernel)


def _plain(of: Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (of.stride, of.stride),
        [(of.margin, of.margin)] * 2,
        dimension_numbers=("CHWN", "HWIO", "CHWN"),
    )


def _plain_by_input(of: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    x = jax.ShapeDtypeStruct(of.shape, kernel.dtype)
    return jax.linear_transpose(lambda x: _plain(of, x, kernel), x)(y)[0]


def _plain_by_kernel(of: Geometry, x: jax.Array, y: jax.Array) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((of.size, of.size, of.shape[0], of.features), x.dtype)
    return jax.linear_transpose(lambda kernel: _plain(of, x, kernel), kernel)(y)[0]


def _looped(plain: Callable, of: Geometry, a: jax.Array, b: jax.Array) -> jax.Array:
    """A map of two arrays which under `vmap` is a loop, over those of them that have the axis."""

    @custom_vmap
    def mapped(a, b):
        return plain(of, a, b)

    @mapped.def_vmap
    def _(axis_size, batched, a, b):
        if all(batched):
            return lax.map(lambda each: _looped(plain, of, *each), (a, b)), True
        if batched[0]:
            return lax.map(lambda each: _looped(plain, of, each, b), a), True
        return lax.map(lambda each: _looped(plain, of, a, each), b), True

    return mapped(a, b)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(of: Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _looped(_plain, of, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _by_input(of: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    return _looped(_plain_by_input, of, y, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _by_kernel(of: Geometry, x: jax.Array, y: jax.Array) -> jax.Array:
    return _looped(_plain_by_kernel, of, x, y)


def _forward(function: Callable) -> Callable:
    # The function itself, not what is inside it, so that this can be differentiated again.
    return lambda of, a, b: (function(of, a, b), (a, b))


_convolve.defvjp(
    _forward(_convolve),
    lambda of, arrays, y: (_by_input(of, y, arrays[1]), _by_kernel(of, arrays[0], y)),
)
_by_input.defvjp(
    _forward(_by_input),
    lambda of, arrays, x: (_convolve(of, x, arrays[1]), _by_kernel(of, x, arrays[0])),
)
_by_kernel.defvjp(
    _forward(_by_kernel),
    lambda of, arrays, kernel: (
        _by_input(of, arrays[1], kernel),
        _convolve(of, arrays[0], kernel),
    ),
)
