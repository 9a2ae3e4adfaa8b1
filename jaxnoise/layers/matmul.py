"""A matrix product whose gradients are products in a form that is fast on every backend."""

import jax
from jax import lax


@jax.custom_vjp
def matmul(weights: jax.Array, columns: jax.Array) -> jax.Array:
    """weights (features, inputs) @ columns (inputs, points) → (features, points).

    XLA:CPU's products are up to 1.4 times as fast where the contracted axis is the last of the left
    operand and the left one has more rows; so the gradients are spelled out, and a barrier keeps
    XLA from turning a transposed one back. Can be differentiated in reverse as often as needed, and
    not in forward mode.
    """
    return weights @ columns


def _forward(weights, columns):
    return matmul(weights, columns), (weights, columns)


def _backward(operands, gradient):
    weights, columns = operands
    if len(columns) > len(gradient):
        by_weights = lax.optimization_barrier(_over_points(columns, gradient)).T
    else:
        by_weights = _over_points(gradient, columns)
    return by_weights, matmul(weights.T, gradient)


def _over_points(left, right):
    """left (m, points) @ right (n, points)ᵀ."""
    return lax.dot_general(left, right, (((1,), (1,)), ((), ())))


matmul.defvjp(_forward, _backward)
