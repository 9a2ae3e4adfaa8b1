"""How much a net can amplify at most, from the norms of its layers and how they are connected.

A map f has the Lipschitz bound L if ‖f(x) − f(y)‖ ≤ L ‖x − y‖ for all x and y, in L2. The bounds of
the values of a net, with respect to its picture, follow from one another:

* the picture itself has the bound 1, a constant 0;
* the output of a layer has ‖A‖ · L(input), where A is the layer's linear map, batch norm's factor
  γ/√(var + ε) included. ReLU, and max-pooling over disjoint windows, have the bound 1;
* a sum a + b has L(a) + L(b). A net of residual sums thus has the sum of the products of norms
  along all paths from the picture to the logits, and a chain of layers has their product;
* c · a has |c| · L(a), a mean of n values 1/√n · L(a), n copies √n · L(a), several values side
  by side √(Σ L²); and nothing changes where values are rearranged or left out.

Sources: Szegedy et al., "Intriguing properties of neural networks" (ICLR 2014,
https://arxiv.org/abs/1312.6199), section 4.3, for the product; Gouk et al., "Regularisation of
neural networks by enforcing Lipschitz continuity" (Machine Learning 2021,
https://arxiv.org/abs/1804.04368), for residual sums.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from jaxnoise.layers.batch_norm import BatchNorm
from jaxnoise.layers.blocks import Conv, ConvBlock, DenseBlock

# Exactly these classes: a subclass may compute something else.
LAYERS = (Conv, ConvBlock, DenseBlock, BatchNorm)
# Of the pictures that a net is traced with: no other axis has this size.
_BATCH = 1009
# Of a traced value: float or (members,). Or the name of the operation that has none.
_Bound = float | np.ndarray | str


class Unbounded(ValueError):
    """The norms of its layers do not bound a net; says why, and names a layer or the logits."""


class Traced(NamedTuple):
    """A net in evaluation mode as a graph of operations, in which every layer is marked."""

    graph: Any  # jax.extend.core.ClosedJaxpr
    inputs: dict[str, tuple[int, ...]]  # shapes, by the names of layers in order of application


def name_of(module: nn.Module) -> str:
    """The place of a layer in its net, such as `layer1_1/conv1`."""
    return "/".join(module.path)


def is_layer(module: nn.Module) -> bool:
    """Whether it is a layer of its own; the batch norm of a block is part of the block."""
    return type(module) in LAYERS and type(module.parent) not in LAYERS


def traced(net: nn.Module, variables: dict[str, Any], image_shape: tuple[int, ...]) -> Traced:
    """The graph of a net that `bound` can bound. It is only traced, which takes a second or two.

    Args:
      variables: params and the other collections, as arrays or their shapes.
      image_shape: (height, width, channels).

    Raises:
      Unbounded: a parameter is not that of a layer in `LAYERS`, a layer is applied more than once
        or inside of another transformation, or `bound` has no rule for what connects them.
    """
    inputs: dict[str, tuple[int, ...]] = {}

    def watch(call, args, kwargs, context):
        if not (context.method_name == "__call__" and is_layer(context.module)):
            return call(*args, **kwargs)
        name = name_of(context.module)
        if name in inputs:
            raise Unbounded(f"{name} is applied more than once")
        if len(args) != 1 or kwargs != {"train": False}:
            raise Unbounded(f"{name} is not applied to one array in evaluation mode")
        inputs[name] = args[0].shape
        _check_shape(args[0].shape, context.module)
        return checkpoint_name(call(checkpoint_name(args[0], f"into {name}"), **kwargs), name)

    def apply(images, variables):
        with nn.intercept_methods(watch):
            return net.apply(variables, images, train=False)

    images = jax.ShapeDtypeStruct((_BATCH, *image_shape), jnp.float32)
    graph = jax.make_jaxpr(apply)(images, variables)
    for path, _ in jax.tree_util.tree_leaves_with_path(variables["params"]):
        of = "/".join(key.key for key in path)
        if not any(of.startswith(f"{name}/") for name in inputs):
            kinds = ", ".join(kind.__name__ for kind in LAYERS)
            raise Unbounded(f"the parameter {of} is not that of a layer ({kinds})")
    found = Traced(graph, inputs)
    bound(found, dict.fromkeys(inputs, 1.0))
    return found


def bound(net: Traced, norms: Mapping[str, float | np.ndarray]) -> np.ndarray:
    """Lipschitz bound of the logits with respect to the picture, the shape of a layer's norm.

    Args:
      norms: of every layer's linear map, by name: float, or (members,).

    Raises:
      Unbounded: see `traced`, which tries this.
    """
    walk, graph = _Walk(norms, net.inputs), net.graph.jaxpr
    constants = [0.0] * (len(graph.invars) - 1)
    (logits,) = walk.through(graph, [1.0, *constants])
    for name in net.inputs:
        if name not in walk.entered:
            raise Unbounded(f"{name} is inside of another transformation")
    values = {f"the input of {name}": walk.entered[name] for name in net.inputs}
    for what, found in (values | {"the logits": logits}).items():
        if isinstance(found, str):
            raise Unbounded(f"{what} cannot be bounded beyond the operation {found}")
    return np.broadcast_to(logits, np.broadcast_shapes(*map(np.shape, norms.values())))


def _check_shape(shape: tuple[int, ...], layer: nn.Module) -> None:
    """Raises Unbounded if a block takes other axes for features or the batch than its own."""
    axes = {DenseBlock: ("inputs",), BatchNorm: ("features", "...")}.get(
        type(layer), ("channels", "height", "width")
    )
    fits = isinstance(layer, BatchNorm) or len(shape) == len(axes) + 1
    if not (fits and shape[-1] == _BATCH):
        given = ", ".join("batch" if size == _BATCH else str(size) for size in shape)
        raise Unbounded(
            f"the input of {name_of(layer)} has the shape ({given}), not ({', '.join(axes)}, batch)"
        )


class _Walk:
    """Through a graph, from the picture to the logits, with the bound of every value."""

    def __init__(self, norms: Mapping[str, float | np.ndarray], inputs: dict[str, tuple[int, ...]]):
        self._norms, self._inputs = norms, inputs
        self.entered: dict[str, _Bound] = {}  # of each layer's input

    def through(self, graph: Any, given: list[_Bound]) -> list[_Bound]:
        """The bounds of the results of a graph, from those of its arguments."""
        bounds = dict(zip(graph.invars, given, strict=True)) | dict.fromkeys(graph.constvars, 0.0)

        def of(value: Any) -> _Bound:
            return 0.0 if hasattr(value, "val") else bounds[value]

        for equation in graph.eqns:
            found = self._results(equation, [of(value) for value in equation.invars])
            bounds.update(zip(equation.outvars, found, strict=True))
        return [of(value) for value in graph.outvars]

    def _results(self, equation: Any, given: list[_Bound]) -> list[_Bound]:
        kind, how = equation.primitive.name, equation.params
        if kind == "name":
            return [self._at_mark(how["name"], equation.outvars[0].aval.shape, given[0])]
        if kind in ("jit", "pjit", "custom_jvp_call"):
            return self.through((how.get("jaxpr") or how["call_jaxpr"]).jaxpr, given)
        unknown = next((bound for bound in given if isinstance(bound, str)), None)
        return [unknown or _through_operation(equation, given)] * len(equation.outvars)

    def _at_mark(self, mark: str, shape: tuple[int, ...], given: _Bound) -> _Bound:
        name = mark.removeprefix("into ")
        if name != mark and shape == self._inputs.get(name):  # another shape: that of many layers
            self.entered[name] = given
        elif name == mark and name in self.entered:
            entered = self.entered[name]
            return entered if isinstance(entered, str) else self._norms[name] * entered
        return given


# Operations that rearrange values, leave some out, or change signs.
_KEEP = ("reshape", "transpose", "squeeze", "slice", "rev", "neg", "convert_element_type")


def _through_operation(equation: Any, given: list[Any]) -> _Bound:
    """The bound of an operation's result from those of its operands, or the operation's name."""
    if all(np.all(bound == 0) for bound in given):
        return 0.0
    kind, result = equation.primitive.name, equation.outvars[0].aval
    sizes = [math.prod(operand.aval.shape) for operand in equation.invars]
    size = math.prod(result.shape)
    if kind in _KEEP and jnp.issubdtype(result.dtype, jnp.floating):  # not rounded to integers
        return given[0]
    if kind == "reduce_sum":
        return given[0] * math.sqrt(sizes[0] / size)
    if kind == "concatenate":
        return np.sqrt(sum(np.square(bound) for bound in given))
    # A smaller operand, say one value for all pixels, is copied: n copies have the norm √n.
    spread = [bound * math.sqrt(size / of) for bound, of in zip(given, sizes, strict=True)]
    if kind == "broadcast_in_dim":
        return spread[0]
    if kind in ("add", "sub"):
        return sum(spread)
    if kind in ("max", "min"):  # ReLU is max(x, 0)
        return np.sqrt(sum(np.square(bound) for bound in spread))
    numbers = [_number(operand) for operand in equation.invars]
    if kind == "mul" and numbers != [None, None]:
        return abs(numbers[0] or numbers[1] or 0.0) * sum(given)
    if kind == "div" and numbers[1]:
        return given[0] / abs(numbers[1])
    return kind


def _number(operand: Any) -> float | None:
    """The value of a scalar literal."""
    value = getattr(operand, "val", None)
    return float(value) if value is not None and np.ndim(value) == 0 else None
