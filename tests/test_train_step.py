import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise import losses, nets
from jaxnoise import train_step as ts
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.methods.optim import Optimizer
from jaxnoise.methods.schedules import Schedule
from jaxnoise.training import eval_step as es

CLASSES = 10


@functools.cache
def optimizer(rate, **how):
    return Optimizer("sgd", optax.constant_schedule(rate), **how)


def program(*, spectral=None, jacob_mode="projection", rate=0.01, precision="float32", **how):
    net = nets.LeNet(CLASSES, spectral, nets.DTYPES[precision])
    return ts.Program(net, optimizer(rate, **how), jacob_mode, precision)


def coefficients(wd=0.0, jacob=0.0, entropy=0.0):
    return ts.Coefficients(*map(jnp.float32, (wd, jacob, entropy)))


IMAGES = np.random.RandomState(0).uniform(size=(8, 28, 28, 1)).astype(np.float32)
LABELS = np.arange(8, dtype=np.int32)
BATCH = ts.Batch(IMAGES, LABELS)


def start(program):
    return jax.jit(lambda key: ts.create_state(program, key, (28, 28, 1)))(jax.random.key(0))


@functools.partial(jax.jit, static_argnames=("program", "with_jacobian"))
def value_gradient_and_parts(state, coefficients, *, program, with_jacobian=False):
    (value, (parts, variables, _)), gradient = jax.value_and_grad(ts.loss_fn, has_aux=True)(
        state.params,
        state,
        BATCH,
        coefficients,
        jax.random.key(2),
        program=program,
        with_jacobian=with_jacobian,
    )
    return value, gradient, parts, variables


def test_without_coefficients_the_loss_is_exactly_cross_entropy():
    p = program()
    state = start(p)
    value, gradient, parts, _ = value_gradient_and_parts(state, coefficients(), program=p)

    @jax.jit
    def plain(params):
        logits, _ = p.net.apply(
            {"params": params, **state.variables},
            IMAGES,
            train=True,
            mutable=list(state.variables),
        )
        return losses.cross_entropy(logits=logits, labels=LABELS).mean()

    expected, expected_gradient = jax.value_and_grad(plain)(state.params)
    assert value == parts.loss == parts.label_loss
    # The same mean in another program, and for comparison, may be summed in another order.
    np.testing.assert_allclose([parts.cross_entropy, expected], value, rtol=1e-6)
    # Zero times the entropy's gradient adds nothing, but makes XLA sum in another order.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient,
        expected_gradient,
    )


@pytest.mark.parametrize("jacob_mode", ["projection", "exact"])
def test_the_loss_is_the_weighted_sum_of_its_parts(jacob_mode):
    p = program(jacob_mode=jacob_mode)
    state, weights = start(p), coefficients(wd=0.3, jacob=0.02, entropy=0.5)
    value, _, parts, _ = value_gradient_and_parts(state, weights, program=p, with_jacobian=True)
    without_decay = parts.cross_entropy + 0.5 * parts.entropy + 0.02 * parts.jacobian
    assert float(value) == pytest.approx(float(without_decay), rel=1e-5)
    assert float(parts.loss) == pytest.approx(
        float(without_decay + 0.3 * parts.weight_decay), rel=1e-5
    )
    assert parts.jacobian > 0 and 0 < parts.entropy <= np.log(CLASSES)
    kernels = [
        np.square(x).sum()
        for path, x in jax.tree_util.tree_leaves_with_path(state.params)
        if path[-1].key in ("kernel", "scale")
    ]
    assert float(parts.weight_decay) == pytest.approx(0.5 * sum(kernels), rel=1e-5)


def test_jacobian_of_the_step_equals_jacrev_of_the_net_in_training_mode():
    p = program(jacob_mode="exact", spectral=SpectralNorm())
    state = start(p)
    _, _, parts, variables = value_gradient_and_parts(
        state, coefficients(jacob=1.0), program=p, with_jacobian=True
    )

    def summed(images):
        logits, _ = p.net.apply(
            {"params": state.params, **state.variables},
            images,
            train=True,
            mutable=list(state.variables),
        )
        return logits.sum(axis=0)

    rows = jax.jit(jax.jacrev(summed))(IMAGES)
    expected = np.square(rows).sum(axis=(0, 2, 3, 4)).mean()
    assert float(parts.jacobian) == pytest.approx(float(expected), rel=1e-3)
    # The Jacobian shares the forward pass: one power iteration, as without it.
    _, _, _, plain_variables = value_gradient_and_parts(state, coefficients(), program=p)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        variables,
        plain_variables,
    )


def test_one_step_with_weight_decay_is_the_step_on_half_the_squared_norm():
    p, wd = program(rate=0.1), 0.05
    state = start(p)
    step = jax.jit(functools.partial(ts.train_step, program=p, with_jacobian=False))
    new, _ = step(state, BATCH, coefficients(wd=wd), jax.random.key(2))
    _, gradient, _, _ = value_gradient_and_parts(state, coefficients(), program=p)
    expected = jax.tree.map(
        lambda w, g, on: w - 0.1 * (g + wd * w if on else g),
        state.params,
        gradient,
        program().optimizer.decayed(state.params),
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), new.params, expected
    )
    assert new.step == 1


def test_decoupled_weight_decay_is_logged_but_no_part_of_the_loss():
    decoupled, wd = program(decoupled=True, rate=0.1), 0.05
    state = start(decoupled)
    step = jax.jit(functools.partial(ts.train_step, program=decoupled, with_jacobian=False))
    new, parts = step(state, BATCH, coefficients(wd=wd, entropy=0.5), jax.random.key(2))
    assert float(parts.loss) == pytest.approx(
        float(parts.cross_entropy + 0.5 * parts.entropy), rel=1e-6
    )
    plain, plain_parts = step(state, BATCH, coefficients(entropy=0.5), jax.random.key(2))
    assert parts.weight_decay == plain_parts.weight_decay > 0
    # Another coefficient leaves momentum alone, and the weights are less by lr · wd · w.
    jax.tree.map(np.testing.assert_array_equal, new.opt_state, plain.opt_state)
    jax.tree.map(
        lambda after, without, w, on: np.testing.assert_allclose(
            after, without - 0.1 * wd * w if on else without, rtol=1e-5, atol=1e-7
        ),
        new.params,
        plain.params,
        state.params,
        decoupled.optimizer.decayed(state.params),
    )


def test_bf16_computes_near_float32_and_keeps_what_must_be_exact_in_float32():
    exact, rounded = (
        program(spectral=SpectralNorm()),
        program(spectral=SpectralNorm(), precision="bf16"),
    )
    state = start(exact)
    results = [value_gradient_and_parts(state, coefficients(), program=p) for p in (exact, rounded)]
    assert {x.dtype for x in jax.tree.leaves(results)} == {np.dtype(np.float32)}
    (value, gradient, _, variables), (value_16, gradient_16, _, variables_16) = results
    # bfloat16 has 8 bits of significand: relative steps of 1/128, a few of them per layer.
    assert value != value_16 and float(value_16) == pytest.approx(float(value), rel=0.02)
    all_of, all_of_16 = (np.concatenate([x.ravel() for x in jax.tree.leaves(g)])
                         for g in (gradient, gradient_16))  # fmt: skip
    # More than rounding alone: a unit near its kink, or two nearly equal in a window, may switch.
    assert np.linalg.norm(all_of - all_of_16) < 0.2 * np.linalg.norm(all_of)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        variables["spectral"],
        variables_16["spectral"],
    )
    # The measurement is made in float32 for both.
    measured = [jax.jit(functools.partial(es.jacobian_step, program=p))(state, IMAGES)
                for p in (exact, rounded)]  # fmt: skip
    np.testing.assert_array_equal(*measured)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", "HIGHEST"), ("tf32", "HIGH"), ("bf16", "DEFAULT")],
)
def test_products_ask_for_the_precision_promised(precision, expected):
    """What devices make of it is theirs: TF32 on NVIDIA GPUs, three bfloat16 passes on TPUs."""
    p = program(precision=precision)
    step = functools.partial(ts.train_step, program=p, with_jacobian=True)
    state = jax.eval_shape(lambda: start(p))
    lowered = jax.jit(step).lower(state, BATCH, coefficients(), jax.random.key(2))
    precisions = re.findall(
        r"stablehlo.dot_general.*precision = \[(\w+), (\w+)\]", lowered.as_text()
    )
    found = {name for pair in precisions for name in pair} or {"DEFAULT"}
    assert found == {expected}


def test_separable_toy_set_is_learned_without_error():
    """One bright patch per class: training accuracy 100 % and loss near 0."""
    images = np.zeros((8, 28, 28, 1), np.float32)
    for label in range(8):
        row, column = divmod(label, 3)
        images[label, 9 * row : 9 * row + 8, 9 * column : 9 * column + 8] = 1
    images, labels, p = jnp.asarray(images), LABELS, program()
    step = jax.jit(functools.partial(ts.train_step, program=p, with_jacobian=False))
    state = start(p)
    for _ in range(150):
        state, parts = step(state, ts.Batch(images, labels), coefficients(), jax.random.key(0))
    assert parts.cross_entropy < 0.05
    predicted, predictions = jax.jit(functools.partial(es.eval_step, program=p))(
        state, images, (labels + 1) % 8, labels
    )
    np.testing.assert_array_equal(predicted, labels)
    np.testing.assert_array_equal(predictions.true_correct, 1)
    np.testing.assert_array_equal(predictions.noisy_correct, 0)
    assert (predictions.noisy_loss > predictions.true_loss).all()


def test_jacobian_measurement_equals_jacrev_in_evaluation_mode():
    p = program(spectral=SpectralNorm())
    state = start(p)
    measured = jax.jit(functools.partial(es.jacobian_step, program=p))(state, IMAGES)

    def logits(image):
        variables = {"params": state.params, **state.variables}
        return p.net.apply(variables, image[None], train=False)[0]

    rows = jax.jit(jax.vmap(jax.jacrev(logits)))(IMAGES)
    np.testing.assert_allclose(measured, np.square(rows).sum(axis=(1, 2, 3, 4)), rtol=1e-3)


class OneHiddenLayer(nn.Module):
    """A net of the library's layers that is small enough for a second implementation."""

    num_classes: int
    spectral: None = None

    @nn.compact
    def __call__(self, images, *, train):
        x = images.reshape(len(images), -1).T
        x = nets.DenseBlock(4, None, name="hidden")(x, train=train)
        return nets.DenseBlock(self.num_classes, None, last=True, name="out")(x, train=train).T


def test_ten_steps_are_those_of_a_second_implementation():
    """SGD with momentum, weight decay, batch norm and a drop of the rate, in NumPy by hand."""
    rng = np.random.RandomState(3)
    batches = rng.uniform(size=(10, 8, 2, 3, 1)), rng.randint(3, size=(10, 8))
    decay, momentum, epsilon = 0.01, 0.9, 1e-3
    net = OneHiddenLayer(3)
    rate = Schedule("step", 0.2, 4, decay_epochs=2).of_step(steps_per_epoch=3)
    p = ts.Program(net, Optimizer("sgd", rate))
    state = jax.jit(lambda key: ts.create_state(p, key, (2, 3, 1)))(jax.random.key(0))
    step = jax.jit(functools.partial(ts.train_step, program=p, with_jacobian=False))

    first = jax.tree.map(np.float64, state.params)
    names = ("hidden/kernel", "hidden/bn/scale", "hidden/bn/bias", "out/kernel", "out/bias")
    w = {name: functools.reduce(dict.get, name.split("/"), first).copy() for name in names}
    velocity = {name: np.zeros_like(x) for name, x in w.items()}
    mean, var = np.zeros(4), np.ones(4)
    for i, (images, labels) in enumerate(zip(*batches, strict=True)):
        batch = ts.Batch(jnp.float32(images), jnp.int32(labels))
        state, _ = step(state, batch, coefficients(wd=decay), jax.random.key(i))

        x = images.reshape(8, -1)
        y = x @ w["hidden/kernel"]
        deviation = np.sqrt(y.var(0) + epsilon)
        normal = (y - y.mean(0)) / deviation
        z = w["hidden/bn/scale"] * normal + w["hidden/bn/bias"]
        logits = np.maximum(z, 0) @ w["out/kernel"] + w["out/bias"]
        share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        g_logits = (share - np.eye(3)[labels]) / 8
        g_z = (g_logits @ w["out/kernel"].T) * (z > 0)
        g_normal = g_z * w["hidden/bn/scale"]
        inner = g_normal - g_normal.mean(0) - normal * (g_normal * normal).mean(0)
        gradient = {
            "hidden/kernel": x.T @ (inner / deviation),
            "hidden/bn/scale": (g_z * normal).sum(0),
            "hidden/bn/bias": g_z.sum(0),
            "out/kernel": np.maximum(z, 0).T @ g_logits,
            "out/bias": g_logits.sum(0),
        }
        mean, var = 0.99 * mean + 0.01 * y.mean(0), 0.99 * var + 0.01 * y.var(0)
        for name in names:
            decayed = decay * w[name] if name.endswith(("kernel", "scale")) else 0
            velocity[name] = gradient[name] + decayed + momentum * velocity[name]
            w[name] -= (0.2 if i < 6 else 0.02) * velocity[name]
    for name in names:
        found = functools.reduce(dict.get, name.split("/"), state.params)
        np.testing.assert_allclose(found, w[name], rtol=2e-5, atol=2e-6, err_msg=name)
