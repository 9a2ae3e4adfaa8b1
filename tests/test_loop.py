import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import loop, nets, optim
from jaxnoise import train_step as ts
from jaxnoise.task import SPLITS
from jaxnoise.trainer import Trainer

# A partial last batch (70 = 2·32 + 6) and a partial last evaluation batch (130 = 128 + 2).
TRAIN, VALID, TEST, BATCH = 70, 35, 25, 32


@functools.cache
def pictures():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, TRAIN + VALID + TEST, dtype=np.int32)
    images = rng.integers(0, 100, (len(labels), 28, 28, 1), dtype=np.uint8)
    images[np.arange(len(labels)), 2 * labels] = 255  # a bright row tells the class
    return loop.Pictures(
        jnp.asarray(images),
        jnp.asarray(labels),
        jnp.asarray(np.repeat(np.arange(3, dtype=np.int32), [TRAIN, VALID, TEST])),
        jnp.zeros((28, 28, 1), jnp.float32),
        jnp.float32(1 / 255),
    )


def member(repeat, wd=0.0, jacob=0.0):
    rng = np.random.default_rng(repeat)
    labels = np.asarray(pictures().labels[:TRAIN]).copy()
    labels[:20] = rng.integers(0, 10, 20)
    return loop.Member(
        loop.member_key(0, repeat),
        labels,
        ts.Coefficients(np.float32(wd), np.float32(jacob), np.float32(0.1)),
    )


@functools.cache
def program():
    schedule = optim.learning_rate_schedule(
        "lenet", learning_rate=None, decay_epochs=None, steps_per_epoch=3
    )
    return ts.Program(nets.LeNet(10, spectral=True), "lenet", schedule, "projection")


@functools.cache
def trainer():
    return Trainer(program(), BATCH, members_at_once=3)


def select(tree, i):
    """One member's part of a tree with a leading member axis."""
    return jax.tree.map(lambda x: x[i], tree)


def train(members, epochs=4, jacob_start_epoch=2):
    run = trainer().epochs(members, pictures(), epochs=epochs, jacob_start_epoch=jacob_start_epoch)
    return [(trainer().gather(groups, len(members)), metrics) for groups, metrics in run]


@functools.cache
def three_members():
    return train([member(0), member(1, wd=0.01, jacob=0.01), member(2)])


def test_a_member_among_others_equals_the_member_alone():
    alone = train([member(1, wd=0.01, jacob=0.01)])
    for (together, metrics), (single, single_metrics) in zip(three_members(), alone, strict=True):
        # Float32 sums in another order, over twelve steps.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3),
            select(together.state, 1),
            select(single.state, 0),
        )
        for name in metrics:
            if name.endswith("loss"):
                np.testing.assert_allclose(
                    metrics[name][1], single_metrics[name][0], rtol=5e-3, atol=5e-3
                )


def test_members_differ_in_initialization_and_order():
    first = select(three_members()[0][0].state.params, 0)
    other = select(three_members()[0][0].state.params, 2)
    assert all(
        np.abs(a - b).max() > 1e-3
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True)
    )


def test_the_same_members_train_to_the_same_bits():
    again = train([member(0), member(1, wd=0.01, jacob=0.01), member(2)])
    for (a, a_metrics), (b, b_metrics) in zip(three_members(), again, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)
        jax.tree.map(np.testing.assert_array_equal, a_metrics, b_metrics)


def test_every_sample_is_seen_once_an_epoch_the_partial_batch_included():
    seen = []

    def step(state, images, labels, coefficients, key, *, program, with_jacobian):
        seen.append(images.shape[0])
        total = jnp.sum(images[:, 0, 0, 0])
        parts = ts.LossParts(total / np.float32(len(labels)), *[jnp.float32(0)] * 4)
        return state.replace(step=state.step + 1), parts

    marked = pictures()._replace(
        images=jnp.broadcast_to(
            jnp.arange(TRAIN + VALID + TEST, dtype=jnp.uint8)[:, None, None, None],
            pictures().images.shape,
        ),
        scale=jnp.float32(1),
    )
    state = ts.TrainState(jnp.int32(0), {}, {}, {})
    real, ts.train_step = ts.train_step, step
    try:
        new, parts = loop.train_epoch(
            state,
            select(loop.stack_members([member(0)]), 0),
            marked,
            jnp.int32(0),
            program=program(),
            batch_size=BATCH,
            with_jacobian=False,
        )
    finally:
        ts.train_step = real
    assert set(seen) == {32, 6} and new.step == 3
    # The mean of the samples' own numbers 0..69: each counted exactly once.
    assert float(parts.loss) == pytest.approx((TRAIN - 1) / 2, rel=1e-6)


def test_evaluation_equals_whole_splits_at_once():
    progress, metrics = three_members()[-1]
    i = 1
    state = jax.tree.map(jnp.asarray, select(progress.state, i))
    all_pictures = pictures()
    logits = jax.jit(functools.partial(program().net.apply, train=False))(
        {"params": state.params, **state.variables},
        all_pictures.preprocess(all_pictures.images),
    )
    log_p = np.asarray(jax.nn.log_softmax(logits))
    true, noisy = np.asarray(all_pictures.labels), member(1).noisy_labels
    for split, labels, name in [
        (0, noisy, "train_noisy"),
        *((j, true, split) for j, split in enumerate(SPLITS)),
    ]:
        of_split = np.flatnonzero(np.asarray(all_pictures.split) == split)
        labels = labels[of_split]
        accuracy = 100 * (log_p[of_split].argmax(axis=1) == labels).mean()
        loss = -log_p[of_split, labels].mean()
        assert metrics[f"{name}_accuracy"][i] == pytest.approx(accuracy, abs=1e-3)
        assert metrics[f"{name}_loss"][i] == pytest.approx(loss, rel=1e-4)
    entropy = -(np.exp(log_p) * log_p).sum(axis=1)[:TRAIN].mean()
    assert metrics["entropy"][i] == pytest.approx(entropy, rel=1e-4)


def test_best_is_the_earliest_best_clean_validation_epoch():
    run = three_members()
    accuracy = np.stack([metrics["valid_accuracy"] for _, metrics in run])
    final = run[-1][0]
    np.testing.assert_array_equal(final.best_epoch, accuracy.argmax(axis=0))
    np.testing.assert_array_equal(final.best_valid_accuracy, accuracy.max(axis=0))
    for i, epoch in enumerate(final.best_epoch):
        jax.tree.map(
            np.testing.assert_array_equal,
            select(final.best_state, i),
            select(run[epoch][0].state, i),
        )


def test_equal_validation_accuracy_keeps_the_earlier_state():
    """With a learning rate of almost 0 nothing changes, so the first epoch must stay the best."""
    schedule = optim.learning_rate_schedule(
        "lenet", learning_rate=1e-12, decay_epochs=None, steps_per_epoch=3
    )
    still = Trainer(
        ts.Program(nets.LeNet(10, spectral=False), "lenet", schedule, "projection"), BATCH
    )
    constant = pictures()._replace(images=jnp.zeros_like(pictures().images))
    run = still.epochs([member(0)], constant, epochs=3, jacob_start_epoch=3)
    accuracies = []
    for groups, metrics in run:  # noqa: B007 the last groups are used below
        accuracies.append(float(metrics["valid_accuracy"][0]))
    assert len(set(accuracies)) == 1
    assert groups[0].best_epoch[0] == 0


def test_the_jacobian_term_starts_at_its_epoch():
    jacobian = [metrics["step_jacobian"] for _, metrics in three_members()]
    np.testing.assert_array_equal(jacobian[:2], 0)
    assert (np.stack(jacobian[2:]) > 0).all()


def test_mean_jacobian_counts_every_picture_once():
    progress, _ = three_members()[-1]
    state = jax.tree.map(jnp.asarray, progress.best_state)
    index = np.arange(TRAIN + VALID + TEST, dtype=np.int32)
    means = trainer().gather(trainer().mean_jacobian([state], pictures(), index), 3)
    one = jax.tree.map(jnp.asarray, select(state, 1))
    images = pictures().preprocess(pictures().images)
    each = jax.jit(functools.partial(ts.jacobian_step, program=program()))(one, images)
    assert float(means[1]) == pytest.approx(float(each.mean()), rel=1e-3)
