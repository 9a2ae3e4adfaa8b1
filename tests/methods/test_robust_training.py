"""Mixup, ELR, SAM and early stopping: closed forms, then what they make of a training step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.config import methods as method_config
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.methods import robust_training
from jaxnoise.methods.optim import Optimizer
from jaxnoise.training import eval_step as es
from jaxnoise.training import loop

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]], np.float32)
IMAGES = np.random.RandomState(0).uniform(size=(8, 28, 28, 1)).astype(np.float32)
LABELS = np.arange(8, dtype=np.int32)
BATCH = ts.Batch(IMAGES, LABELS)
NONE = ts.Coefficients(*map(np.float32, (0, 0, 0)))


def test_every_method_has_its_defaults():
    assert robust_training.METHODS.keys() == method_config.METHODS.keys()
    for name, method in robust_training.METHODS.items():
        fields = {field.name for field in dataclasses.fields(method)}
        assert fields == method_config.METHODS[name].keys()


# Closed forms


def test_mixture_is_of_two_pictures_and_their_labels():
    mixed, other_labels, share = robust_training.mixture(
        jax.random.key(0), IMAGES, LABELS, alpha=1.0
    )
    assert sorted(other_labels.tolist()) == LABELS.tolist() and 0 < share < 1
    np.testing.assert_allclose(
        mixed, share * IMAGES + (1 - share) * IMAGES[np.asarray(other_labels)], rtol=1e-6
    )


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_have_the_variance_of_the_beta_distribution(alpha):
    keys = jax.random.split(jax.random.key(1), 4000)
    images, labels = jnp.asarray(IMAGES[:1]), jnp.asarray(LABELS[:1])
    share = jax.vmap(lambda key: robust_training.mixture(key, images, labels, alpha=alpha)[2])
    shares = np.asarray(jax.jit(share)(keys))
    variance = 1 / (4 * (2 * alpha + 1))
    # Of 4000 draws: five standard errors of the mean, and a tenth of the variance (over four).
    assert shares.mean() == pytest.approx(0.5, abs=5 * np.sqrt(variance / 4000))
    assert shares.var() == pytest.approx(variance, rel=0.1)


def test_targets_are_the_running_average_of_predictions():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    once = robust_training.elr_targets(np.zeros((2, 3), np.float32), logits=LOGITS, beta=0.7)
    np.testing.assert_allclose(once, 0.3 * p, rtol=1e-5)
    twice = robust_training.elr_targets(once, logits=LOGITS, beta=0.7)
    np.testing.assert_allclose(twice, (0.7 * 0.3 + 0.3) * p, rtol=1e-5)


def test_penalty_by_hand_and_its_gradient():
    """d/dz log(1 − s) = −p (t − s) / (1 − s), s = ⟨t, p⟩, with the targets held."""
    targets = np.array([[0.7, 0.2, 0.1], [0.5, 0.0, 0.0]], np.float32)
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    s = (p * targets).sum(axis=1, keepdims=True)
    penalty = robust_training.elr_penalty(logits=LOGITS, targets=targets)
    np.testing.assert_allclose(penalty, np.log(1 - s)[:, 0], rtol=1e-5)
    gradient = jax.grad(lambda z: robust_training.elr_penalty(logits=z, targets=targets).sum())(
        LOGITS
    )
    np.testing.assert_allclose(gradient, -p * (targets - s) / (1 - s), rtol=1e-4, atol=1e-6)
    through = jax.grad(lambda z: robust_training.elr_targets(targets, logits=z, beta=0.7).sum())(
        LOGITS
    )
    np.testing.assert_array_equal(through, 0)


def test_penalty_is_finite_where_prediction_and_target_are_certain():
    certain = np.array([[1e4, -1e4, -1e4]], np.float32)
    targets = robust_training.elr_targets(np.float32([[1.0, 0.0, 0.0]]), logits=certain, beta=0.7)
    value, gradient = jax.value_and_grad(
        lambda z: robust_training.elr_penalty(logits=z, targets=targets).sum()
    )(certain)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_ascent_goes_rho_along_the_gradient():
    params = {"a": np.ones((2, 2), np.float32), "b": np.zeros(3, np.float32)}
    gradient = {"a": np.full((2, 2), 2.0, np.float32), "b": np.array([0, 3, 0], np.float32)}
    off = robust_training.ascend(params, gradient, rho=0.5)
    expected = jax.tree.map(lambda w, g: w + 0.5 / 5 * g, params, gradient)  # ‖g‖ = 5
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), off, expected)
    zero = jax.tree.map(np.zeros_like, gradient)
    jax.tree.map(
        np.testing.assert_array_equal, robust_training.ascend(params, zero, rho=0.5), params
    )


# A step


def program(method=None):
    return ts.Program(nets.LeNet(10, SpectralNorm()), Optimizer("sgd", constant), method=method)


def constant(step):
    return 0.1


@functools.cache
def start():
    create = functools.partial(
        ts.create_state, program(robust_training.ELR(0.7, 3.0)), image_shape=(28, 28, 1), samples=20
    )
    return jax.jit(create)(jax.random.key(0))


def step(method, batch=BATCH):
    """From the same state: the next one, and the parts of the loss."""
    state = start() if isinstance(method, robust_training.ELR) else start().replace(targets=None)
    one = functools.partial(ts.train_step, program=program(method), with_jacobian=False)
    return jax.jit(one)(state, batch, NONE, jax.random.key(2))


@functools.cache
def plain():
    return step(None)


def gradient_at(params):
    loss = functools.partial(ts.loss_fn, program=program(), with_jacobian=False)
    return jax.jit(jax.grad(loss, has_aux=True))(params, start(), BATCH, NONE, jax.random.key(2))[0]


def assert_close(tree, other):
    # Float32 sums in another order, through batch norm.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), tree, other)


def test_sam_steps_by_the_gradient_uphill_and_keeps_the_statistics_at_the_parameters():
    state, parts = step(robust_training.SAM(rho=0.5))
    gradient = gradient_at(start().params)
    scale = 0.5 / optax.tree.norm(gradient)
    uphill = gradient_at(jax.tree.map(lambda w, g: w + scale * g, start().params, gradient))
    expected = jax.tree.map(lambda w, g: w - 0.1 * g, start().params, uphill)
    assert_close(state.params, expected)
    there = np.concatenate([x.ravel() for x in jax.tree.leaves(state.params)])
    by_plain = np.concatenate([x.ravel() for x in jax.tree.leaves(plain()[0].params)])
    assert np.abs(there - by_plain).max() > 1e-3
    assert_close(state.variables, plain()[0].variables)
    assert_close(parts, plain()[1])


def test_elr_adds_its_penalty_and_remembers_the_samples_of_the_batch():
    index = np.array([3, 1, 0, 7, 5, 2, 19, 4], np.int32)
    state, parts = step(
        robust_training.ELR(beta=0.7, weight=3.0), ts.Batch(IMAGES, LABELS, None, index)
    )
    seen = np.asarray(state.targets).sum(axis=1) > 0
    np.testing.assert_array_equal(np.flatnonzero(seen), np.sort(index))
    targets = np.asarray(state.targets)[index]
    np.testing.assert_allclose(targets.sum(axis=1), 0.3, rtol=1e-5)
    p = targets / 0.3  # the first prediction alone
    penalty = np.log(1 - (p * targets).sum(axis=1)).mean()
    assert float(parts.label_loss) == pytest.approx(
        float(parts.cross_entropy) + 3 * penalty, rel=1e-5
    )
    assert parts.loss == parts.label_loss


def test_mixed_labels_count_by_their_share():
    other = LABELS[::-1].copy()
    _, parts = step(None, ts.Batch(IMAGES, LABELS, None, None, other, np.float32(0.25)))
    _, reverse = step(None, ts.Batch(IMAGES, other, None, None, LABELS, np.float32(0.75)))
    assert float(parts.loss) == pytest.approx(float(reverse.loss), rel=1e-6)
    _, one = step(None, ts.Batch(IMAGES, LABELS, None, None, other, np.float32(1)))
    assert float(one.loss) == pytest.approx(float(plain()[1].loss), rel=1e-6)
    assert float(parts.loss) != pytest.approx(float(one.loss), rel=1e-3)


def test_samples_count_by_their_weight():
    weight = np.array([1, 0, 0, 1, 1, 0, 1, 1], np.float32)
    _, parts = step(None, ts.Batch(IMAGES, LABELS, weight=weight))
    state, whole = plain()
    assert float(parts.cross_entropy) == pytest.approx(float(whole.cross_entropy), rel=1e-6)
    each = np.zeros(8)
    for i in range(8):
        one = np.eye(8, dtype=np.float32)[i]
        each[i] = 8 * step(None, ts.Batch(IMAGES, LABELS, weight=one))[1].label_loss
    assert each.mean() == pytest.approx(float(whole.label_loss), rel=1e-5)
    assert float(parts.label_loss) == pytest.approx((weight * each).mean(), rel=1e-5)
    ones, _ = step(None, ts.Batch(IMAGES, LABELS, weight=np.ones(8, np.float32)))
    assert_close(ones.params, state.params)


def test_truncation_chooses_by_the_best_nets_probabilities_when_it_is_time():
    method = robust_training.Truncation(k=0.25, start_epoch=3, every=2)
    pruning = robust_training.Pruning(
        jnp.float32([1, 0, 1, 1]), -jnp.log(jnp.float32([0.9, 0.3, 0.2, 0.0]))
    )
    for epoch in range(8):
        found = robust_training.pruned(pruning, jnp.int32(epoch), method=method)
        expected = [1, 1, 0, 0] if epoch in (3, 5, 7) else [1, 0, 1, 1]
        np.testing.assert_array_equal(found.kept, expected)
        np.testing.assert_array_equal(found.best_loss, pruning.best_loss)


# Epochs


def test_early_stopping_goes_back_to_the_best_epoch_and_stays(monkeypatch):
    accuracy = jnp.float32([50, 60, 55, 60, 70, 80])
    monkeypatch.setattr(
        loop, "train_epoch",
        lambda state, *_, **__: (state + 1, ts.LossParts(*[jnp.float32(1)] * 6)),
    )  # fmt: skip
    samples = loop.Samples(jnp.zeros(1, jnp.float32), jnp.zeros(1, jnp.int32))
    monkeypatch.setattr(
        loop, "evaluate",
        lambda state, *_, **__: ({"valid_accuracy": accuracy[state - 1]}, samples),
    )  # fmt: skip
    monkeypatch.setattr(es, "after_evaluation", lambda state, *_, **__: state)
    monkeypatch.setattr(loop, "forward_passes", lambda _: 1)
    never = jnp.int32(-1)
    progress = loop.Progress(
        jnp.int32(0), jnp.int32(0), jnp.float32(-1), never, never, samples,
        loop.Suspicion.before(1), samples.predicted,
    )  # fmt: skip
    member = loop.Member(jax.random.key(0), samples.predicted, samples.predicted, NONE)
    pictures = loop.Pictures(*[jnp.zeros((1, 28, 28, 1), jnp.uint8)] * 5)
    stopping = program(robust_training.EarlyStopping(patience=2))
    stopping = dataclasses.replace(stopping, renew_averages=False)  # the states are numbers
    states, told = [], []
    for epoch in range(6):
        progress, metrics = loop.advance(
            progress, member, pictures, jnp.int32(epoch),
            program=stopping, batch_size=1, with_jacobian=False,
        )  # fmt: skip
        states.append(int(progress.state))
        told.append(bool(jnp.isfinite(metrics["step_loss"])))
    # Epoch 2 is the best; two epochs are no better, so at the fifth it is back.
    assert states == [1, 2, 3, 4, 2, 2]
    assert told == [True] * 4 + [False] * 2
    assert (progress.best_epoch, progress.best_valid_accuracy) == (1, 60)


def test_truncation_trains_on_what_the_best_epoch_finds_likely(monkeypatch):
    """The weights of an epoch are those of the best epoch before it, also of a later one."""
    accuracy = jnp.float32([50, 60, 55, 70, 65])
    losses = jnp.float32([[0.1, 0.1], [0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.9, 0.9]])
    seen, kept = [], []

    def train_epoch(state, *_, weights, **__):
        seen.append([int(x) for x in weights])
        return state + 1, ts.LossParts(*[jnp.float32(1)] * 6)

    monkeypatch.setattr(loop, "train_epoch", train_epoch)
    monkeypatch.setattr(
        loop, "evaluate",
        lambda state, *_, **__: (
            {"valid_accuracy": accuracy[state - 1]},
            loop.Samples(losses[state - 1], jnp.zeros(2, jnp.int32)),
        ),
    )  # fmt: skip
    monkeypatch.setattr(es, "after_evaluation", lambda state, *_, **__: state)
    monkeypatch.setattr(loop, "forward_passes", lambda _: 1)
    p = program(robust_training.Truncation(k=0.5, start_epoch=2, every=1))
    p = dataclasses.replace(p, renew_averages=False)  # the states are numbers
    two, ones, never = jnp.zeros(2, jnp.int32), jnp.ones(2, jnp.float32), jnp.int32(-1)
    progress = loop.Progress(
        jnp.int32(0), jnp.int32(0), jnp.float32(-1), never, never, loop.Samples(ones, two),
        loop.Suspicion.before(2), two, robust_training.Pruning(ones, ones),
    )  # fmt: skip
    member = loop.Member(jax.random.key(0), two, two, NONE)
    pictures = loop.Pictures(*[jnp.zeros((2, 28, 28, 1), jnp.uint8)] * 5)
    for epoch in range(5):
        progress, metrics = loop.advance(
            progress, member, pictures, jnp.int32(epoch),
            program=p, batch_size=1, with_jacobian=False,
        )  # fmt: skip
        kept.append(float(metrics["kept"]))
    # All at first; then by epoch 2, the best until epoch 4 is.
    assert seen == [[1, 1], [1, 1], [1, 0], [1, 0], [0, 1]]
    assert kept == [100, 100, 50, 50, 50]
