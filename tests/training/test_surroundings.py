"""What numbers depend on besides flags: pinned, undone, or recorded."""

import contextlib
import functools
import logging
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise.config import Config
from jaxnoise.labels import noisy_dataset
from jaxnoise.training import assembly, loop, surroundings
from jaxnoise.training.compiled import Compiled

TINY = {
    "dataset": "digits", "train_size": 60, "test_size": 20, "noise_rate": 0.4, "do_sn": True,
    "total_repeats": 1, "epochs_num": 1, "jacob_samples": 2,
}  # fmt: skip


ODD = {
    "jax_default_prng_impl": "rbg",
    "jax_random_seed_offset": 7,
    "jax_threefry_partitionable": False,
    "jax_enable_x64": True,
    "jax_default_matmul_precision": "bfloat16",
    "jax_softmax_custom_jvp": True,
    "jax_disable_jit": True,
}


@contextlib.contextmanager
def odd_settings():
    """JAX with other settings than its defaults, in all threads."""
    before = {name: getattr(jax.config, name) for name in ODD}
    try:
        for name, value in ODD.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@pytest.fixture
def odd_jax():
    with odd_settings():
        yield


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_key_is_jax_s_own(seed):
    ours, theirs = surroundings.key(seed), jax.random.key(seed)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(jax.random.key_data(ours), jax.random.key_data(theirs))


def test_key_depends_on_no_setting_of_jax(odd_jax):
    assert jax.random.key_impl(surroundings.key(3)) == "threefry2x32"
    assert jax.random.key_data(surroundings.key(3)).tolist() == [0, 3]
    assert jax.random.key_data(loop.member_key(0, 1)).dtype == np.uint32


def one_device():
    return jax.make_mesh((1,), ("members",), axis_types=(jax.sharding.AxisType.Auto,))


def _numbers(key):
    noise = jax.random.normal(key, (5, 3))
    return noise, jax.nn.softmax(noise), (noise @ noise.T).sum()


def test_compiled_programs_do_not_depend_on_jax_s_settings(odd_jax):
    """The same function, compiled without pins, gives other numbers under them."""
    numbers = Compiled(_numbers, one_device())(surroundings.key(0)[None])
    odd = jax.vmap(_numbers)(surroundings.key(0)[None])
    with surroundings.pinned():
        expected = jax.vmap(_numbers)(surroundings.key(0)[None])
    for ours, plain, theirs in zip(numbers, expected, odd, strict=True):
        assert ours.dtype == np.float32 and theirs.dtype == np.float64
        np.testing.assert_allclose(ours, plain, rtol=1e-6)
        assert not np.allclose(ours, theirs)


def test_nets_start_with_the_same_bits():
    def start():
        config = Config(**TINY)
        dataset = noisy_dataset.load(config)
        program, _, pictures = assembly.engine(config, dataset)
        members = loop.stack_members(assembly.members(config, dataset))
        return Compiled(functools.partial(loop.start, program=program), one_device(), shared=1)(
            members, pictures
        )

    with odd_settings():
        odd = start()
    for ours, plain in zip(jax.tree.leaves(odd), jax.tree.leaves(start()), strict=True):
        assert ours.dtype == plain.dtype
        np.testing.assert_array_equal(ours, plain)


def test_command_undoes_variables_and_says_so(monkeypatch, caplog):
    """Only what a variable set: a library's own setting stays."""
    before = jax.config.jax_numpy_rank_promotion
    monkeypatch.setenv("JAX_DISABLE_JIT", "1")
    jax.config.update("jax_disable_jit", True)  # as JAX does when it is imported
    try:
        with caplog.at_level(logging.WARNING, "jaxnoise"):
            surroundings.undo_variables()
        assert not jax.config.jax_disable_jit
        assert caplog.messages == ["JAX_DISABLE_JIT=1 is ignored: jaxnoise sets it to False"]
        assert jax.config.jax_numpy_rank_promotion == before
    finally:
        jax.config.update("jax_disable_jit", False)


def test_variable_that_says_what_holds_anyway_is_no_news(monkeypatch, caplog):
    monkeypatch.setenv("JAX_ENABLE_X64", "0")
    with caplog.at_level(logging.WARNING, "jaxnoise"):
        surroundings.undo_variables()
    assert not caplog.messages


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ({"XLA_FLAGS": " --xla_b=1  --xla_a=2"}, {"XLA_FLAGS": "--xla_a=2 --xla_b=1"}),
        ({"XLA_FLAGS": "--xla_dump_to=/tmp --xla_force_host_platform_device_count=2"}, {}),
        ({"NVIDIA_TF32_OVERRIDE": "0"}, {"NVIDIA_TF32_OVERRIDE": "0"}),
        ({"LIBTPU_INIT_ARGS": "--xla_x=1"}, {"LIBTPU_INIT_ARGS": "--xla_x=1"}),
        ({"JAX_OPTIMIZATION_LEVEL": "O0"}, {"JAX_OPTIMIZATION_LEVEL": "O0"}),
        ({"JAX_UNHEARD_OF": "1"}, {"JAX_UNHEARD_OF": "1"}),
        ({"JAX_ENABLE_X64": "1", "JAX_DISABLE_JIT": "1", "JAX_PLATFORMS": "cpu"}, {}),
        ({"JAX_COMPILATION_CACHE_DIR": "/tmp", "JAX_LOG_COMPILES": "1", "HOME": "/x"}, {}),
        ({"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"}, {}),
    ],
)
def test_variables_that_can_change_numbers_are_recorded(monkeypatch, given, recorded):
    monkeypatch.setattr(os, "environ", given)
    assert surroundings.variables() == recorded


def test_changes_in_words():
    before = {"code": {"a": "f=1 g=2", "b": "h=3"}, "environment": {"XLA_FLAGS": "--x"}}
    assert surroundings.changes(before, before) == []
    now = {"code": {"a": "f=9 k=2", "c": "h=4"}, "environment": {"NPY_X": "1"}}
    assert surroundings.changes(before, now) == [
        "by other code in a",
        "without NPY_X=1",
        "with XLA_FLAGS=--x, which is not set now",
    ]
    assert surroundings.changes({}, now) == ["by an earlier version, which did not record its code"]


def test_engine_members_and_keys_are_float32_under_x64(odd_jax):
    """What is made outside of compiled programs too."""
    config = Config(**TINY)
    dataset = noisy_dataset.load(config)
    made = assembly.members(config, dataset), assembly.engine(config, dataset).pictures
    for leaf in jax.tree.leaves(made):
        assert jnp.asarray(leaf).dtype not in (np.int64, np.float64)
