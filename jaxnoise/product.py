"""A matrix product whose gradients are products in a form that is fast on every backend."""

import jax
from jax import lax


@jax.custom_vjp
def product(weights: jax.Array, columns: jax.Array) -> jax.Array:
    """weights (features, inputs) @ columns (inputs, points) → (features, points).

    XLA:CPU's products are up to 1.4 times as fast where the contracted axis is the last of the left
    operand, and columns @ gradientᵀ is faster than gradient @ columnsᵀ; so the gradients are
    spelled out, and a barrier keeps XLA from turning the latter back. Can be differentiated in
    reverse as often as needed, and not in forward mode.
    """
    return weights @ columns


def _forward(weights, columns):
    return product(weights, columns), (weights, columns)


def _backward(operands, gradient):
    weights, columns = operands
    by_weights = lax.dot_general(columns, gradient, (((1,), (1,)), ((), ())))
    return lax.optimization_barrier(by_weights).T, product(weights.T, gradient)


product.defvjp(_forward, _backward)
