"""Counts of FLOP, bytes and kernels, against what follows by hand from the shapes."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from places import ROOT


@pytest.fixture(scope="module", autouse=True)
def hlo_cost():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
        import hlo_cost

        yield hlo_cost


@pytest.fixture
def kernels(hlo_cost):
    """Those of a function as it stands, before any optimization: one for each operation."""

    def of(function, *arguments):
        text = jax.jit(function).lower(*arguments).compiler_ir("hlo").as_hlo_text()
        return list(hlo_cost.Program(text).kernels())

    return of


def ones(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def test_a_product_multiplies_and_adds_once_for_each_element_of_the_cube(kernels):
    (found,) = kernels(lambda a, b: a @ b, ones(3, 5), ones(5, 7))
    assert found.kind == "products" and found.flops == 2 * 3 * 5 * 7
    assert found.bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)


def test_a_batch_of_products_counts_each(kernels):
    a, b = (ones(4, 3, 3, dtype=jnp.bfloat16) for _ in range(2))
    (found,) = kernels(jnp.matmul, a, b)
    assert (found.flops, found.bytes) == (4 * 2 * 27, 3 * 2 * 36)


def test_loops_multiply(kernels):
    def nested(x):
        def inner(x, _):
            return x @ x, None

        return lax.scan(lambda x, _: (lax.scan(inner, x, None, length=3)[0], None), x, None, 5)[0]

    found = [kernel for kernel in kernels(nested, ones(4, 4)) if kernel.kind == "products"]
    assert [(kernel.times, kernel.loops, kernel.flops) for kernel in found] == [
        (15, (5, 3), 2 * 4**3)
    ]


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_counts_the_weights_that_meet_a_pixel(padding, stride, groups, kernels):
    images, weights = ones(2, 8, 9, 4), ones(3, 3, 4 // groups, 6)

    def convolve(images, weights):
        return lax.conv_general_dilated(
            images, weights, (stride, stride), padding, feature_group_count=groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    (found,) = kernels(convolve, images, weights)
    # With ones everywhere, every result is the number of its terms.
    terms = convolve(*(jnp.ones(x.shape) for x in (images, weights)))
    assert found.kind == "convolutions" and found.flops == 2 * float(terms.sum())


def test_the_gradient_of_a_convolution_is_two_more(kernels):
    def convolve(images, weights):
        return lax.conv_general_dilated(
            images, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    shapes = ones(2, 8, 8, 3), ones(3, 3, 3, 5)
    (forward,) = kernels(convolve, *shapes)
    whole = kernels(jax.grad(lambda *x: (convolve(*x) ** 2).sum(), (0, 1)), *shapes)
    assert sum(kernel.flops for kernel in whole) == 3 * forward.flops


def test_a_slice_reads_and_an_update_writes_only_its_part(kernels):
    rows, index = ones(1000, 8), ones(3, dtype=jnp.int32)
    gathered = kernels(lambda x, i: x.at[i].get(mode="clip"), rows, index)
    assert sum(kernel.bytes for kernel in gathered) < 0.1 * (4 * 1000 * 8)
    (updated,) = kernels(lambda x, y: lax.dynamic_update_slice(x, y, (0, 0)), rows, ones(2, 8))
    assert updated.bytes == 2 * (4 * 2 * 8) + 2 * 4  # and where


def test_what_stays_in_a_core_does_not_count(hlo_cost):
    text = """HloModule m

ENTRY %main (p: f32[8,8]) -> f32[8,8] {
  %p = f32[8,8]{1,0:T(8,128)} parameter(0)
  %near = f32[8,8]{1,0:T(8,128)S(1)} copy(%p)
  ROOT %out = f32[8,8]{1,0:T(8,128)} negate(%near)
}
"""
    assert [kernel.bytes for kernel in hlo_cost.Program(text).kernels()] == [256, 256]


def test_the_room_that_a_library_works_in_is_not_moved(hlo_cost):
    text = """HloModule m

ENTRY %main (a: bf16[4,5], b: bf16[5,3]) -> bf16[4,3] {
  %a = bf16[4,5]{1,0} parameter(0)
  %b = bf16[5,3]{1,0} parameter(1)
  %c = (bf16[4,3]{1,0}, s8[33554432]{0}) custom-call(%a, %b), custom_call_target="__cublas$gemm", \
backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}}}
  ROOT %out = bf16[4,3]{1,0} get-tuple-element(%c), index=0
}
"""
    (found,) = hlo_cost.Program(text).kernels()
    assert found[:3] == ("products", 2 * 4 * 5 * 3, 2 * (4 * 5 + 5 * 3 + 4 * 3))


def test_a_fused_operand_that_is_only_sliced_is_not_read_whole(hlo_cost):
    text = """HloModule m

%fused (p0: f32[1000,8], p1: s32[]) -> f32[1,8] {
  %p0 = f32[1000,8]{1,0} parameter(0)
  %p1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  %part = f32[1,8]{1,0} dynamic-slice(%p0, %p1, %zero), dynamic_slice_sizes={1,8}
  ROOT %out = f32[1,8]{1,0} negate(%part)
}

ENTRY %main (a: f32[1000,8], i: s32[]) -> f32[1,8] {
  %a = f32[1000,8]{1,0} parameter(0)
  %i = s32[] parameter(1)
  ROOT %f = f32[1,8]{1,0} fusion(%a, %i), kind=kLoop, calls=%fused
}
"""
    (found,) = hlo_cost.Program(text).kernels()
    assert (found.kind, found.bytes) == ("fusions", 32 + 4 + 32)


def test_the_cycles_that_a_tpu_s_compiler_expects(hlo_cost):
    text = """HloModule m

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %b = f32[8]{0} negate(%a), backend_config={"window_config":{"estimated_cycles":"1825"}}
  ROOT %c = f32[8]{0} copy(%b)
}
"""
    assert [kernel.cycles for kernel in hlo_cost.Program(text).kernels()] == [1825, 0]


def test_a_loop_of_unknown_length_is_an_error(kernels):
    with pytest.raises(ValueError, match="unknown length"):
        kernels(lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, x), ones(3))


def test_lenet_s_step_has_the_flop_of_its_layers(kernels):
    """In the forward pass: kernels of 6×6 for four pooling phases, at 12² and 4² places."""
    from jaxnoise import nets

    net = nets.LeNet(10, None)
    images = ones(4, 28, 28, 1)
    variables = jax.eval_shape(lambda x: net.init(jax.random.key(0), x, train=False), images)
    found = kernels(lambda v, x: net.apply(v, x, train=False), variables, images)
    first, second = 4 * 6 * 36 * 12**2, 4 * 16 * 6 * 36 * 4**2
    dense = 256 * 120 + 120 * 84 + 84 * 10
    assert sum(kernel.flops for kernel in found) == 2 * 4 * np.float64(first + second + dense)
