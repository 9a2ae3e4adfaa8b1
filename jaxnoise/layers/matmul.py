"""Matrix product with gradients that are fast on every backend."""

import jax
from jax import lax


@jax.custom_vjp
def matmul(weights: jax.Array, columns: jax.Array) -> jax.Array:
    """weights (features, inputs) @ columns (inputs, points) → (features, points).

    Products of XLA:CPU are up to 1.4 times as fast if the contracted axis is the last one of the
    left operand and the left operand has more rows. The gradients are therefore written out in that
    form, and a barrier keeps XLA from undoing a transposition. The product can be differentiated in
    reverse mode as often as needed, but not in forward mode.
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
