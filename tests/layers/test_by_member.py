"""The form of a convolution for TPUs, run on what is there: as XLA's own, and as products."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnoise.layers import by_member, conv

MEMBERS = 3


def arrays(*, side, channels, features, k, batch=4):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (MEMBERS, channels, side, side, batch), jnp.float32)
    return x, jax.random.normal(keys[1], (MEMBERS, k, k, channels, features), jnp.float32)


def reference(x, kernel, *, margin, stride):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), [(margin, margin)] * 2,
        dimension_numbers=("CHWN", "HWIO", "CHWN"),
    )  # fmt: skip


# (side, channels, features, k, margin, stride)
CASES = [
    (8, 5, 7, 3, 1, 1),
    (8, 5, 7, 3, 1, 2),
    (9, 4, 3, 5, 0, 1),
    (7, 4, 6, 1, 0, 2),
    (8, 3, 4, 3, 1, 3),
]


def penalty(convolve):
    """Something whose gradient has second derivatives, by both arrays."""

    def of(x, kernel):
        def value(x):
            return jnp.tanh(convolve(x, kernel)).sum()

        return (jax.grad(value)(x) ** 2).sum() + value(x)

    return of


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_of_every_order_are_xla_s(case):
    side, channels, features, k, margin, stride = case
    x, kernel = arrays(side=side, channels=channels, features=features, k=k)
    ours, theirs = (
        functools.partial(convolve, margin=margin, stride=stride)
        for convolve in (by_member.convolve, reference)
    )
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(jax.vmap(ours)(x, kernel), jax.vmap(theirs)(x, kernel), **close)
    np.testing.assert_allclose(ours(x[0], kernel[0]), theirs(x[0], kernel[0]), **close)
    found, expected = (
        jax.vmap(jax.grad(penalty(convolve), (0, 1)))(x, kernel) for convolve in (ours, theirs)
    )
    for one, other in zip(found, expected, strict=True):
        # Float32 sums of products of a few hundred.
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * jnp.abs(other).max())


@pytest.mark.parametrize("axes", [(0, None), (None, 0)])
def test_only_one_of_both_may_have_the_axis(axes):
    x, kernel = arrays(side=6, channels=3, features=4, k=3)
    x, kernel = (of if axis == 0 else of[0] for of, axis in zip((x, kernel), axes, strict=True))
    how = {"margin": 1, "stride": 1}
    found, expected = (
        jax.vmap(jax.grad(penalty(functools.partial(of, **how)), (0, 1)), axes)(x, kernel)
        for of in (by_member.convolve, reference)
    )
    for one, other in zip(found, expected, strict=True):
        # Float32 sums of products of a few hundred.
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * jnp.abs(other).max())


def test_no_convolution_is_grouped_and_each_is_there_once():
    """The program of three members is that of one with loops, in first and second derivatives."""
    x, kernel = arrays(side=8, channels=5, features=7, k=3)
    convolve = functools.partial(by_member.convolve, margin=1, stride=1)
    gradient = jax.grad(penalty(convolve), (0, 1))
    one = jax.jit(gradient).lower(x[0], kernel[0]).as_text()
    all_of_them = jax.jit(jax.vmap(gradient)).lower(x, kernel).as_text()
    assert "feature_group_count = 1" in all_of_them and "batch_group_count = 1" in all_of_them
    for count in ("feature_group_count", "batch_group_count"):
        assert all_of_them.count(count) == all_of_them.count(f"{count} = 1")
    assert all_of_them.count("stablehlo.convolution") == one.count("stablehlo.convolution")


def test_every_convolution_has_the_precision_of_the_program():
    x, kernel = arrays(side=6, channels=3, features=4, k=3)
    convolve = functools.partial(by_member.convolve, margin=1, stride=1)
    with jax.default_matmul_precision("highest"):
        gradient = jax.vmap(jax.grad(penalty(convolve), (0, 1)))
        lines = jax.jit(gradient).lower(x, kernel).as_text().split("\n")
    found = [line for line in lines if "stablehlo.convolution" in line]
    assert found and all(line.count("precision HIGHEST") == 2 for line in found)


@pytest.mark.parametrize("how", [{"padding": "SAME"}, {"padding": "VALID"},
                                 {"padding": "SAME", "stride": 2}])  # fmt: skip
def test_the_form_for_a_tpu_computes_what_the_products_do(how):
    x, kernel = arrays(side=6, channels=40, features=40, k=3, batch=2)
    found, lowered = {}, {}
    for platform in ("gpu", "tpu"):
        # A function of its own for each, as JAX keeps what it has traced.
        function = jax.jit(jax.vmap(lambda x, kernel: conv.convolve(x, kernel, **how)))
        with conv.traced_for(platform):
            lowered[platform] = function.lower(x, kernel)
        found[platform] = lowered[platform].compile()(x, kernel)
    np.testing.assert_allclose(found["tpu"], found["gpu"], rtol=1e-4, atol=1e-4)
    assert "stablehlo.convolution" in lowered["tpu"].as_text()
    assert "stablehlo.convolution" not in lowered["gpu"].as_text()


def test_small_convolutions_are_products_on_a_tpu_too():
    x, kernel = arrays(side=12, channels=6, features=16, k=5)
    with conv.traced_for("tpu"):
        text = jax.jit(
            lambda x, kernel: conv.convolve(x, kernel, padding="VALID", before_pooling=True)
        ).lower(x[0], kernel[0]).as_text()  # fmt: skip
    assert "stablehlo.convolution" not in text
