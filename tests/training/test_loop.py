import dataclasses
import functools

import bright_rows
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise import nets
from jaxnoise import train_step as ts
from jaxnoise.config import Config
from jaxnoise.labels.noisy_dataset import SPLITS
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.losses import cross_entropy
from jaxnoise.training import assembly, evaluation, loop
from jaxnoise.training import eval_step as es
from jaxnoise.training.trainer import Trainer

# A partial last batch (70 = 2·32 + 6) and a partial last evaluation batch (130 = 128 + 2).
TRAIN, VALID, TEST, BATCH = 70, 35, 25, 32
pictures = functools.partial(bright_rows.pictures, TRAIN, VALID, TEST)


def member(repeat, wd=0.0, jacob=0.0):
    rng = np.random.default_rng(repeat)
    labels = np.asarray(pictures().labels[:TRAIN]).copy()
    labels[:20] = rng.integers(0, 10, 20)
    valid_labels = np.asarray(pictures().labels[TRAIN : TRAIN + VALID]).copy()
    valid_labels[:10] = rng.integers(0, 10, 10)
    return loop.Member(
        loop.member_key(0, repeat),
        labels,
        valid_labels,
        ts.Coefficients(np.float32(wd), np.float32(jacob), np.float32(0.1)),
    )


@functools.cache
def program():
    return ts.Program(nets.LeNet(10, SpectralNorm()), optimizer())


def optimizer(**settings):
    return assembly.optimizer(Config(net="lenet", **settings), steps_per_epoch=3)


def running(program, **fields):
    """The program with running averages, for states without variables."""
    return dataclasses.replace(program, renew_averages=False, **fields)


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

    def step(state, batch, coefficients, key, *, program, with_jacobian):
        seen.append(batch.images.shape[0])
        total = jnp.sum(batch.images[:, 0, 0, 0])
        parts = ts.LossParts(total / np.float32(len(batch.labels)), *[jnp.float32(0)] * 5)
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


def log_probabilities(states, i):
    """Of all pictures at once, (pictures, classes), by the state of one member."""
    state = jax.tree.map(jnp.asarray, select(states, i))
    logits = whole()({"params": state.params, **state.variables})
    return np.asarray(jax.nn.log_softmax(logits))


@functools.cache
def whole():
    images = pictures().preprocess(pictures().images)
    return jax.jit(lambda variables: program().net.apply(variables, images, train=False))


def test_evaluation_equals_whole_splits_at_once():
    progress, metrics = three_members()[-1]
    i = 1
    log_p = log_probabilities(progress.state, i)
    true = np.asarray(pictures().labels)
    noisy = np.concatenate([member(i).noisy_labels, member(i).noisy_valid_labels])
    for split, labels, name in [
        (0, noisy, "train_noisy"),
        (1, noisy, "valid_noisy"),
        *((j, true, split) for j, split in enumerate(SPLITS)),
    ]:
        of_split = np.flatnonzero(np.asarray(pictures().split) == split)
        labels = labels[of_split]
        accuracy = 100 * (log_p[of_split].argmax(axis=1) == labels).mean()
        loss = -log_p[of_split, labels].mean()
        assert metrics[f"{name}_accuracy"][i] == pytest.approx(accuracy, abs=1e-3)
        assert metrics[f"{name}_loss"][i] == pytest.approx(loss, rel=1e-4)
    entropy = -(np.exp(log_p) * log_p).sum(axis=1)[:TRAIN].mean()
    assert metrics["entropy"][i] == pytest.approx(entropy, rel=1e-4)


def test_every_sample_keeps_its_mean_losses_and_its_last_and_best_predictions():
    run = three_members()
    losses, weights = [], []
    for progress, _ in run:
        log_p = log_probabilities(progress.state, 2)[:TRAIN]
        losses.append(-log_p[np.arange(TRAIN), member(2).noisy_labels])
        # Float32 means of losses of a few nats, against another order of the same products.
        np.testing.assert_allclose(
            progress.samples.loss[2], np.mean(losses, axis=0), rtol=1e-3, atol=1e-4
        )
        weights.append((1 + (log_p.argmax(axis=1) != member(2).noisy_labels).sum()) / TRAIN)
        np.testing.assert_allclose(
            progress.suspicion.score[2], np.average(losses, 0, weights), rtol=1e-3, atol=1e-4
        )
        np.testing.assert_array_equal(progress.samples.predicted[2], log_p.argmax(axis=1))
        at_best = log_probabilities(progress.best_state, 2)[:TRAIN].argmax(axis=1)
        np.testing.assert_array_equal(progress.best_predicted[2], at_best)
    assert np.ptp(weights) > 0.1
    assert len(run) == 4 and progress.samples.predicted.dtype == np.int32
    assert progress.best_predicted.dtype == np.int32
    assert (progress.best_epoch < 3).any()  # so that best and last are not the same everywhere


def predict_brightest(state, images, noisy_labels, true_labels, *, program):
    """In place of `eval_step`: the brightest row of a picture tells the prediction."""
    predicted = jnp.argmax(images[:, ::2, 0, 0][:, :10], axis=1).astype(jnp.int32)
    right, noisy = predicted == true_labels, predicted == noisy_labels
    return predicted, es.Predictions(
        predicted.astype(jnp.float32), noisy.astype(jnp.float32),
        jnp.ones(len(predicted), jnp.float32), right.astype(jnp.float32),
        jnp.zeros(len(predicted), jnp.float32),
    )  # fmt: skip


def memorization(noisy, true, predicted, monkeypatch):
    """The metrics, where the net predicts just so on the training part."""
    monkeypatch.setattr(es, "eval_step", predict_brightest)
    noisy, true, predicted = (np.array(x, np.int32) for x in (noisy, true, predicted))
    images = np.zeros((len(true) + 2, 28, 28, 1), np.uint8)
    images[np.arange(len(images)), 2 * np.append(predicted, [0, 0])] = 255
    few = pictures()._replace(
        images=jnp.asarray(images),
        labels=jnp.asarray(np.append(true, [0, 0]).astype(np.int32)),
        split=jnp.asarray(np.array([0] * len(true) + [1, 2], np.int32)),
    )
    valid = jnp.ones(1, jnp.int32)
    metrics, samples = evaluation.evaluate(None, few, jnp.asarray(noisy), valid, program=program())
    np.testing.assert_array_equal(samples.predicted, predicted)
    np.testing.assert_array_equal(samples.loss, predicted)  # as predict_brightest has it
    assert metrics["valid_accuracy"] == 100 and metrics["valid_noisy_accuracy"] == 0
    return [float(metrics[name]) for name in (
        "changed_as_noisy", "changed_as_true", "changed_as_neither", "unchanged_right",
    )]  # fmt: skip


def test_memorization_counts_by_hand(monkeypatch):
    # Five changed: three as the noisy label, one as the true one, one as neither; two unchanged.
    true, noisy, predicted = [1] * 5 + [2, 3], [4] * 5 + [2, 3], [4, 4, 4, 1, 9, 2, 0]
    shares = memorization(noisy, true, predicted, monkeypatch)
    np.testing.assert_allclose(shares, [60, 20, 20, 50], rtol=1e-6)


def test_memorization_of_no_samples_is_not_a_number(monkeypatch):
    none_changed = memorization([1, 2, 3], [1, 2, 3], [1, 2, 0], monkeypatch)
    np.testing.assert_allclose(none_changed, [np.nan, np.nan, np.nan, 200 / 3], rtol=1e-6)
    all_changed = memorization([4, 5], [1, 2], [4, 0], monkeypatch)
    np.testing.assert_allclose(all_changed, [50, 0, 50, np.nan], rtol=1e-6)


def test_without_validation_pictures_nothing_is_said_of_them_and_the_rest_is_the_same():
    state, one = select(three_members()[0][0].state, 0), member(0)
    rest = np.flatnonzero(np.asarray(pictures().split) != SPLITS.index("valid"))
    few = pictures()._replace(
        **{name: getattr(pictures(), name)[rest] for name in ("images", "labels", "split")}
    )
    none = jnp.zeros(0, jnp.int32)
    whole, samples = evaluation.evaluate(
        state, pictures(), one.noisy_labels, one.noisy_valid_labels, program=program()
    )
    found, again = evaluation.evaluate(state, few, one.noisy_labels, none, program=program())
    assert whole.keys() - found.keys() == {
        f"{split}_{quantity}"
        for split in ("valid", "valid_noisy")
        for quantity in ("loss", "accuracy")
    }
    for name, value in found.items():  # in other batches, so sums are in another order
        np.testing.assert_allclose(value, whole[name], rtol=1e-5)
    np.testing.assert_array_equal(again.predicted, samples.predicted)


def test_without_validation_the_best_state_is_the_newest():
    rest = np.flatnonzero(np.asarray(pictures().split) != SPLITS.index("valid"))
    few = pictures()._replace(
        **{name: getattr(pictures(), name)[rest] for name in ("images", "labels", "split")}
    )
    members = [
        each._replace(noisy_valid_labels=np.zeros(0, np.int32))
        for each in (member(0), member(1, jacob=np.nan))  # which diverges in the third epoch
    ]
    run = trainer().epochs(members, few, epochs=4, jacob_start_epoch=2)
    for epoch, (groups, metrics) in enumerate(run):
        progress = trainer().gather(groups, 2)
        assert not [name for name in metrics if name.startswith("valid")]
        assert (metrics["test_accuracy"][0] >= 0) and np.isnan(metrics["test_accuracy"][1]) == (
            epoch >= 2
        )
        jax.tree.map(np.testing.assert_array_equal, progress.best_state, progress.state)
        np.testing.assert_array_equal(progress.best_predicted, progress.samples.predicted)
        assert progress.best_epoch.tolist() == [epoch, min(epoch, 1)]
        assert progress.diverged_epoch.tolist() == [-1, 2 if epoch >= 2 else -1]


@pytest.mark.parametrize(
    ("validation_labels", "best", "accuracy"), [("clean", 1, 60), ("noisy", 2, 45)]
)
def test_best_follows_the_validation_labels(validation_labels, best, accuracy, monkeypatch):
    clean, noisy = jnp.float32([50, 60, 60]), jnp.float32([40, 30, 45])
    one = select(loop.stack_members([member(0)]), 0)
    samples = evaluation.Samples(jnp.zeros(TRAIN, jnp.float32), jnp.zeros(TRAIN, jnp.int32))
    monkeypatch.setattr(
        loop, "train_epoch",
        lambda state, *_, **__: (state + 1, ts.LossParts(*[jnp.float32(0)] * 6)),
    )  # fmt: skip
    monkeypatch.setattr(
        loop, "evaluate",
        lambda state, *_, **__: (
            {"valid_accuracy": clean[state - 1], "valid_noisy_accuracy": noisy[state - 1]}, samples,
        ),
    )  # fmt: skip
    chosen = running(program(), validation_labels=validation_labels)
    none = jnp.int32(-1)
    progress = loop.Progress(
        jnp.int32(0), jnp.int32(0), jnp.float32(-1), none, none, samples,
        evaluation.Suspicion.before(TRAIN), samples.predicted,
    )  # fmt: skip
    for epoch in range(3):
        progress, _ = loop.advance(
            progress, one, pictures(), jnp.int32(epoch),
            program=chosen, batch_size=BATCH, with_jacobian=False,
        )  # fmt: skip
    assert (progress.best_epoch, progress.best_valid_accuracy) == (best, accuracy)
    assert progress.best_state == best + 1  # the state counts the epochs


def test_a_member_that_diverges_is_frozen_and_the_others_go_on_bit_for_bit():
    """By a coefficient that is not used before the third epoch."""
    run = train([member(0), member(1, wd=0.01, jacob=np.nan), member(2)])
    before = select(three_members()[1][0], 1)
    for epoch, ((found, metrics), (expected, other)) in enumerate(
        zip(run, three_members(), strict=True)
    ):
        for i in (0, 1, 2) if epoch < 2 else (0, 2):
            jax.tree.map(np.testing.assert_array_equal, select(found, i), select(expected, i))
            jax.tree.map(np.testing.assert_array_equal, select(metrics, i), select(other, i))
        if epoch >= 2:
            frozen = select(found, 1)
            assert frozen.diverged_epoch == 2
            frozen = frozen.replace(diverged_epoch=np.int32(-1))
            jax.tree.map(np.testing.assert_array_equal, frozen, before)
            assert np.isnan(list(select(metrics, 1).values())).all()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("one step's loss", np.nan),
        ("one step's loss", np.inf),
        ("params", np.inf),
        ("variables", np.nan),
        ("opt_state", np.nan),
        ("test_loss", np.inf),
    ],
)
def test_whatever_is_not_finite_is_divergence(where, value, monkeypatch):
    def step(state, batch, coefficients, key, *, program, with_jacobian):
        now = epochs_begun == 2 and state.step % 3 == 1
        bad = jnp.where(now, jnp.float32(value), jnp.float32(1))
        if where in ("params", "variables", "opt_state"):
            state = state.replace(**{where: {"x": getattr(state, where)["x"] * bad}})
        parts = ts.LossParts(*[bad if where == "one step's loss" else jnp.float32(1)] * 6)
        return state.replace(step=state.step + 1), parts

    def evaluate(state, *_, **__):
        bad = where == "test_loss" and epochs_begun == 2
        metrics = {
            "valid_accuracy": jnp.float32(50 + epochs_begun),
            "test_loss": jnp.float32(value if bad else 1),
            "changed_as_true": jnp.float32(np.nan),  # of no samples
        }
        return metrics, samples

    monkeypatch.setattr(ts, "train_step", step)
    monkeypatch.setattr(loop, "evaluate", evaluate)
    samples = evaluation.Samples(jnp.ones(TRAIN, jnp.float32), jnp.ones(TRAIN, jnp.int32))
    ones = {"x": jnp.ones(3, jnp.float32)}
    state = ts.TrainState(jnp.int32(0), ones, ones, ones)
    none = jnp.int32(-1)
    progress = loop.Progress(
        state, state, jnp.float32(-1), none, none, samples, evaluation.Suspicion.before(TRAIN),
        samples.predicted,
    )  # fmt: skip
    one = select(loop.stack_members([member(0)]), 0)
    for epoch in range(4):
        epochs_begun = epoch + 1
        before = progress
        progress, metrics = loop.advance(
            progress, one, pictures(), jnp.int32(epoch),
            program=running(program()), batch_size=BATCH, with_jacobian=False,
        )  # fmt: skip
        assert np.isnan(metrics["step_loss"]) == np.isnan(metrics["test_loss"]) == (epoch >= 1)
        assert progress.diverged_epoch == (-1 if epoch == 0 else 1)
        if epoch >= 1:
            jax.tree.map(
                np.testing.assert_array_equal,
                progress,
                before.replace(diverged_epoch=progress.diverged_epoch),
            )
    assert (progress.state.step, progress.best_epoch, progress.best_valid_accuracy) == (3, 0, 51)


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
    still = Trainer(ts.Program(nets.LeNet(10, None), optimizer(learning_rate=1e-12)), BATCH)
    constant = pictures()._replace(images=jnp.zeros_like(pictures().images))
    run = still.epochs([member(0)], constant, epochs=3, jacob_start_epoch=3)
    accuracies = []
    for groups, metrics in run:  # noqa: B007 the last groups are used below
        accuracies.append(float(metrics["valid_accuracy"][0]))
    assert len(set(accuracies)) == 1
    assert groups[0].best_epoch[0] == 0


@functools.cache
def paper():
    norm = SpectralNorm(stop_gradient=False, in_evaluation=True)
    return dataclasses.replace(program(), net=nets.LeNet(10, norm))


def spectral(state):
    return jax.tree.leaves(state.variables["spectral"])


def power_steps(state, count):
    """By the formula, in NumPy: what so many forward passes make of the vectors."""
    moved = []
    for name, layer in state.variables["spectral"].items():
        kernel, u = np.asarray(state.params[name]["kernel"], np.float64), np.asarray(layer["u"])
        matrix = kernel.reshape(-1, kernel.shape[-1])
        for _ in range(count):
            v = matrix @ u
            u = matrix.T @ (v / np.linalg.norm(v))
            u = u / np.linalg.norm(u)
        moved.append(u)
    return moved


def test_evaluation_moves_the_papers_vectors_and_no_others():
    state = jax.jit(functools.partial(loop.start, program=paper()))(member(0), pictures()).state
    assert evaluation.forward_passes(pictures()) > 1
    for p, count in ((paper(), 3), (program(), 0)):
        after = jax.jit(functools.partial(es.after_evaluation, image_shape=(28, 28, 1), program=p))
        moved = after(state, jnp.int32(3))
        for ours, expected in zip(spectral(moved), power_steps(state, count), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
        jax.tree.map(
            np.testing.assert_array_equal,
            (moved.params, moved.variables["batch_stats"]),
            (state.params, state.variables["batch_stats"]),
        )


def test_every_evaluation_batch_sees_the_papers_vectors_moved_once_more(monkeypatch):
    """Presets agree in the first batch, and differ in those after it."""
    batch = TRAIN // 2
    monkeypatch.setattr(evaluation, "EVAL_BATCH", batch)
    one = select(loop.stack_members([member(0)]), 0)
    state = jax.jit(functools.partial(loop.start, program=paper()))(one, pictures()).state
    labels = one.noisy_labels, one.noisy_valid_labels
    ours, default = (
        jax.jit(functools.partial(evaluation.evaluate, program=p))(state, pictures(), *labels)[1]
        for p in (paper(), program())
    )
    np.testing.assert_allclose(ours.loss[:batch], default.loss[:batch], rtol=1e-4)
    assert np.abs(ours.loss[batch:] - default.loss[batch:]).max() > 1e-3

    @jax.jit
    def of_second_batch(state):
        state = es.after_evaluation(state, 1, (28, 28, 1), program=paper())
        images = pictures().preprocess(pictures().images[batch:TRAIN])
        logits = es.logits_step(state, images, program=paper())
        return cross_entropy(logits=logits, labels=one.noisy_labels[batch:])

    np.testing.assert_allclose(ours.loss[batch:], of_second_batch(state), rtol=1e-3, atol=1e-4)


def test_an_epoch_goes_on_from_the_vectors_that_evaluation_left(monkeypatch):
    """The paper's state is kept as measured; the next epoch first makes evaluation's steps."""
    seen = []

    def no_training(state, *_, **__):
        seen.append(state)
        return state, ts.LossParts(*[jnp.float32(0)] * 6)

    monkeypatch.setattr(loop, "train_epoch", no_training)
    one = select(loop.stack_members([member(0)]), 0)
    progress = first = loop.start(one, pictures(), program=paper())
    for epoch in range(2):
        progress, _ = loop.advance(
            progress, one, pictures(), jnp.int32(epoch),
            program=paper(), batch_size=BATCH, with_jacobian=False,
        )  # fmt: skip
    jax.tree.map(np.testing.assert_array_equal, spectral(seen[0]), spectral(first.state))
    passes = evaluation.forward_passes(pictures())
    for ours, expected in zip(spectral(seen[1]), power_steps(first.state, passes), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


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
    each = jax.jit(functools.partial(es.jacobian_step, program=program()))(one, images)
    assert float(means[1]) == pytest.approx(float(each.mean()), rel=1e-3)


def test_logits_are_those_of_the_pictures_asked_for():
    progress, _ = three_members()[-1]
    index = np.arange(TRAIN + VALID + TEST, dtype=np.int32)[::-1].copy()  # a partial last batch
    state = jax.tree.map(jnp.asarray, progress.state)
    logits = trainer().gather(trainer().logits([state], pictures(), index), 3)
    assert logits.shape == (3, TRAIN + VALID + TEST, 10)
    for i in range(3):
        log_p = jax.nn.log_softmax(jnp.asarray(logits[i]))
        np.testing.assert_allclose(
            log_p, log_probabilities(progress.state, i)[::-1], rtol=1e-3, atol=1e-3
        )


class Dropping(nn.Module):
    """A net of plain Flax layers with dropout, as a user may write it."""

    num_classes: int
    spectral: None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.relu(nn.Dense(20)(images.reshape(len(images), -1)))
        return nn.Dense(self.num_classes)(nn.Dropout(0.5, deterministic=not train)(x))


def test_dropout_is_drawn_anew_in_every_step_and_only_in_training():
    p = running(ts.Program(Dropping(10), optimizer(learning_rate=1e-12)))
    state = jax.jit(lambda key: ts.create_state(p, key, (28, 28, 1)))(jax.random.key(0))
    epoch = jax.jit(
        functools.partial(loop.train_epoch, program=p, batch_size=TRAIN, with_jacobian=False)
    )
    losses = []
    for step in (0, 1, 0):  # nothing is learned, so only the dropped units differ
        start = state.replace(step=jnp.int32(step))
        losses.append(float(epoch(start, member(0), pictures(), jnp.int32(0))[1].loss))
    assert losses[0] == losses[2] and abs(losses[0] - losses[1]) > 1e-4
    other = epoch(state, member(1)._replace(noisy_labels=member(0).noisy_labels), pictures(), 0)
    assert float(other[1].loss) != losses[0]
    one, again = (es.logits_step(state, jnp.ones((2, 28, 28, 1)), program=p) for _ in range(2))
    np.testing.assert_array_equal(one, again)


def test_a_run_with_dropout_goes_on_bit_for_bit():
    p = running(ts.Program(Dropping(10), optimizer()))
    run = Trainer(p, BATCH, members_at_once=2)

    def members():
        return [member(0), member(1)]

    def go(**how):
        return run.epochs(members(), pictures(), jacob_start_epoch=4, **how)

    *_, (groups, _) = go(epochs=4)
    *_, (middle, _) = go(epochs=2)
    saved = run.spread(run.gather(middle, 2), members(), pictures())
    *_, (resumed, _) = go(epochs=4, first_epoch=2, progress=saved)
    whole, parts = (run.gather(each, 2).state.params for each in (groups, resumed))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
