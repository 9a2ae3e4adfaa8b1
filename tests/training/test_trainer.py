"""Groups, devices and chunks change where members run, and nothing else."""

import functools
import json
import os
import re
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from places import ROOT

from jaxnoise import train_step as ts
from jaxnoise.methods.optim import Optimizer
from jaxnoise.training import loop
from jaxnoise.training.compiled import Compiled
from jaxnoise.training.evaluation import Pictures
from jaxnoise.training.trainer import Trainer

# A partial last batch and a partial last evaluation batch.
TRAIN, REST, BATCH, EPOCHS = 70, 80, 32, 3


class Small(nn.Module):
    """Quick to compile, quick to learn."""

    num_classes: int = 3
    spectral: None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


@functools.cache
def pictures():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, TRAIN + REST, dtype=np.int32)
    images = rng.integers(0, 100, (len(labels), 4, 4, 1), dtype=np.uint8)
    images[np.arange(len(labels)), labels] = 255
    split = np.repeat(np.arange(3, dtype=np.int32), [TRAIN, REST // 2, REST // 2])
    return Pictures(images, labels, split, np.zeros((4, 4, 1), np.float32), np.float32(1 / 255))


def members(count):
    return [
        loop.Member(
            loop.member_key(0, i),
            np.r_[np.roll(pictures().labels[:10], i), pictures().labels[10:TRAIN]],
            pictures().labels[TRAIN : TRAIN + REST // 2],
            ts.Coefficients(np.float32(1e-3 * i), np.float32(0.1), np.float32(0.1)),
        )
        for i in range(count)
    ]


@functools.cache
def program(net=Small()):  # noqa: B008 frozen
    return ts.Program(net, Optimizer("sgd", optax.constant_schedule(0.1)))


def train(count, *, jacob_start_epoch=EPOCHS, **how):
    """The metrics of all epochs, mean_jacobian, and in how many groups the members ran."""
    trainer = Trainer(program(), BATCH, **how)
    rows = []
    for groups, metrics in trainer.epochs(  # noqa: B007 the last groups are used below
        members(count), pictures(), epochs=EPOCHS, jacob_start_epoch=jacob_start_epoch
    ):
        rows.append(metrics)
    index = np.arange(TRAIN, dtype=np.int32)
    jacobian = trainer.mean_jacobian([group.best_state for group in groups], pictures(), index)
    rows.append({"jacobian": trainer.gather(jacobian, count)})
    return [{name: np.asarray(x).tolist() for name, x in row.items()} for row in rows], len(groups)


@functools.cache
def one_program():
    rows, groups = train(5, members_at_once=5)
    assert groups == 1
    return rows


def assert_same(rows, expected):
    """Within float tolerance, and for every accuracy within one picture."""
    for row, expected_row in zip(rows, expected, strict=True):
        assert row.keys() == expected_row.keys()
        for name, values in row.items():
            atol = 100 / (REST // 2) + 1e-3 if name.endswith("accuracy") else 1e-4
            np.testing.assert_allclose(
                values, expected_row[name], rtol=1e-3, atol=atol, err_msg=name
            )


def test_nets_evaluated_again_in_groups_are_what_they_were_while_training():
    """Also where the last member fills the last group."""
    trainer = Trainer(program(), BATCH, members_at_once=2)
    for groups, metrics in trainer.epochs(  # noqa: B007 those of the last epoch are used below
        members(3), pictures(), epochs=2, jacob_start_epoch=2
    ):
        last = [group.state for group in groups]
    states = trainer.gather(last, 3)
    spread = trainer.spread(states, members(3), pictures())
    assert len(spread) == len(groups) == 2
    evaluated, samples = trainer.gather(trainer.evaluate(spread, members(3), pictures()), 3)
    assert samples.predicted.shape == samples.loss.shape == (3, TRAIN)
    again = {name: values.tolist() for name, values in evaluated.items()}
    assert_same([again], [{name: metrics[name] for name in again}])


def test_members_learn_and_differ():
    """So that being the same says something."""
    last = one_program()[EPOCHS - 1]
    assert min(last["valid_accuracy"]) > 60
    assert len(set(last["step_loss"])) == 5


@pytest.mark.parametrize(("members_at_once", "groups"), [(0, 5), (2, 3)])
def test_groups_of_any_size_give_the_same_numbers(members_at_once, groups):
    """Groups that do not divide the members are filled up, and what fills them is dropped."""
    if members_at_once == 0 and jax.default_backend() != "cpu":
        groups = 1
    rows, count = train(5, members_at_once=members_at_once)
    assert count == groups
    assert_same(rows, one_program())


@pytest.mark.parametrize("members_at_once", [1, 3])
def test_a_member_that_diverges_changes_no_other_in_groups_of_any_size(members_at_once):
    trainer = Trainer(program(), BATCH, members_at_once=members_at_once)

    def run(entropy):
        crowd = members(5)
        crowd[3] = crowd[3]._replace(coefficients=ts.Coefficients(0.0, 0.1, np.float32(entropy)))
        how = {"epochs": EPOCHS, "jacob_start_epoch": EPOCHS}
        for groups, metrics in trainer.epochs(crowd, pictures(), **how):  # noqa: B007
            pass
        return trainer.gather(groups, 5), metrics

    (well, expected), (progress, metrics) = run(0.1), run(np.nan)
    assert progress.diverged_epoch.tolist() == [-1, -1, -1, 0, -1]
    others = [0, 1, 2, 4]
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(np.asarray(a)[others], np.asarray(b)[others]),
        (progress, metrics),
        (well, expected),
    )
    # It has not trained: no best epoch, and the net it began with.
    assert progress.best_epoch[3] == -1 and progress.state.step.tolist() == [9, 9, 9, 0, 9]
    start = loop.start(members(5)[3], pictures(), program=program())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[3], b, rtol=1e-6),  # compiled otherwise
        progress.state.params,
        start.state.params,
    )


def test_members_that_do_not_fit_run_in_chunks():
    trainer = Trainer(program(), BATCH, members_at_once=5, memory_bytes=10**12)
    real, needs = trainer._largest.memory, []
    trainer._largest.memory = lambda *arguments: needs.append(real(*arguments)) or needs[0]
    next(trainer.epochs(members(5), pictures(), epochs=1, jacob_start_epoch=1))
    rows, groups = train(5, members_at_once=5, memory_bytes=needs[0])  # a tenth is kept free
    assert groups > 1
    assert_same(rows, one_program())


def test_where_not_even_one_member_fits_they_run_one_by_one():
    trainer = Trainer(program(), BATCH, members_at_once=5, memory_bytes=1)
    groups, _ = next(trainer.epochs(members(5), pictures(), epochs=1, jacob_start_epoch=1))
    assert len(groups) == 5


def collectives():
    """The instructions of an epoch by which devices exchange something, or wait for each other."""
    trainer = Trainer(program(), BATCH, members_at_once=5)
    text = trainer.epoch_program(members(5), pictures()).as_text()
    return re.findall(r" ((?:all|collective)-[\w-]+|reduce-scatter|send|recv)\(", text)


def test_forced_host_devices_give_the_same_numbers_and_never_wait():
    """Five members over three devices, two each, the last one twice; in one group and in two."""
    code = (
        "import sys, json; sys.path[:0] = sys.argv[1:]\n"
        "import test_trainer, jax\n"
        "assert len(jax.devices()) == 3 and test_trainer.collectives() == []\n"
        "print(json.dumps([test_trainer.train(5), test_trainer.train(5, members_at_once=3)]))"
    )
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=3"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "tests" / "training"), str(ROOT / "tests")],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for (rows, groups), expected in zip(json.loads(done.stdout), (1, 2), strict=True):
        assert groups == expected
        assert_same(rows, one_program())


def test_every_program_is_traced_and_compiled_once():
    """One to start, one for epochs without and one with the Jacobian term, whatever the members."""
    traced, compiled = [], []

    def count(event, _, fun_name=None, **__):
        name = (fun_name or "").removeprefix("jit(").removesuffix(")")
        if name in ("start", "advance", "mean_jacobian"):
            if event.endswith("jaxpr_trace_duration"):
                traced.append(name)
            elif event.endswith("backend_compile_duration"):
                compiled.append(name)

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        train(5, jacob_start_epoch=1)
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert sorted(traced) == sorted(compiled) == ["advance", "advance", "mean_jacobian", "start"]


class Failing(Small):
    @nn.compact
    def __call__(self, images, *, train):
        if train:
            raise FloatingPointError("of the net")
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


def test_a_program_is_said_to_be_compiled_before_it_is(caplog, monkeypatch):
    def told():
        return [record.getMessage() for record in caplog.records]

    compile, seen = jax.stages.Lowered.compile, []
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self: seen.append(told()) or compile(self)
    )
    caplog.set_level("INFO", "jaxnoise")
    mesh = Trainer(program(), BATCH)._mesh
    size = mesh.size
    named, silent = (Compiled(lambda x: x + 1, mesh, name=name) for name in ("a sum", None))
    silent(np.zeros((size, 3), np.float32))
    for shape in ((size, 3), (size, 3), (size, 4)):
        named(np.zeros(shape, np.float32))
    assert seen == [[], ["Compiling a sum …"], ["Compiling a sum …"] * 2] and told() == seen[-1]


def test_an_error_in_a_worker_reaches_the_caller():
    trainer = Trainer(program(Failing()), BATCH)
    with pytest.raises(FloatingPointError, match="of the net"):
        next(trainer.epochs(members(3), pictures(), epochs=2, jacob_start_epoch=2))


def test_an_epoch_not_asked_for_is_dropped():
    """A caller may stop early; no thread lives on."""
    trainer = Trainer(program(), BATCH)
    epochs = trainer.epochs(members(3), pictures(), epochs=1000, jacob_start_epoch=1000)
    next(epochs)
    epochs.close()
    _, metrics = next(trainer.epochs(members(3), pictures(), epochs=1, jacob_start_epoch=1))
    assert jnp.isfinite(metrics["step_loss"]).all()
