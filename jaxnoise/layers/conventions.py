"""What layers start from, and the constants of batch norm: those of the paper, or of PyTorch."""

import dataclasses
import math
from collections.abc import Callable

import flax.linen as nn
import jax

Initializer = nn.initializers.Initializer


@dataclasses.dataclass(frozen=True)
class Conventions:
    """The initial values of a net's parameters, and two constants. Hashable: a field of nets."""

    conv: Initializer  # of convolution kernels
    dense: Initializer  # of dense kernels
    bias: Callable[[int], Initializer]  # of the last layer's bias, given its number of inputs
    shift: float  # first β of batch norm; γ starts at 1
    epsilon: float  # added to batch norm's variance
    momentum: float  # share of batch norm's running averages that a step keeps; in PyTorch 1 − this


def uniform_by_inputs(inputs: int) -> Initializer:
    """Uniform on ± 1/√inputs, as PyTorch initializes biases."""
    bound = 1 / math.sqrt(inputs)
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


def zero(inputs: int) -> Initializer:
    """Zero, whatever the number of inputs is."""
    return nn.initializers.zeros


# Of Bar et al. 2022 and their code: He et al., "Delving Deep into Rectifiers" (ICCV 2015,
# https://arxiv.org/abs/1502.01852), truncated; Glorot and Bengio, "Understanding the difficulty of
# training deep feedforward neural networks" (AISTATS 2010).
PAPER = Conventions(
    conv=nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal"),
    dense=nn.initializers.glorot_uniform(),
    bias=zero,
    shift=0.1,
    epsilon=1e-3,
    momentum=0.99,
)

# The defaults of torch.nn.Conv2d, Linear and BatchNorm2d: kernels are uniform on ± 1/√fan_in
# (https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html).
_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
PYTORCH = Conventions(
    conv=_UNIFORM, dense=_UNIFORM, bias=uniform_by_inputs, shift=0.0, epsilon=1e-5, momentum=0.9
)
