import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxnoise.config import LOSSES, METHODS, Config
from jaxnoise.losses import cross_entropy
from jaxnoise.methods.bi_tempered import bi_tempered, log_tempered_softmax
from jaxnoise.methods.corrected_losses import forward, label_smoothing
from jaxnoise.methods.robust_losses import Loss, gce, mae, nce_rce, sce

P = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
LOGITS = jnp.asarray(np.log(P) + 5, jnp.float32)
LABELS = jnp.array([1, 2])
MATRIX = jnp.array([[0.9, 0.1, 0.0], [0.0, 0.6, 0.4], [0.2, 0.0, 0.8]], jnp.float32)
BATCH = {"logits": LOGITS, "labels": LABELS}


def random_batch(classes=5, samples=6):
    logits = 2 * jax.random.normal(jax.random.key(0), (samples, classes), jnp.float32)
    return {"logits": logits, "labels": jnp.arange(samples) % classes}


def of_every_label(loss, logits, **hyper):
    """The loss for each of the K labels, (batch, K)."""
    columns = [
        loss(logits=logits, labels=jnp.full(len(logits), label), **hyper)
        for label in range(logits.shape[1])
    ]
    return np.stack(columns, axis=1)


def every_loss(dataset="cifar10"):
    configs = (Config(loss=name, dataset=dataset) for name in LOSSES)
    return [Loss(config.loss, tuple(config.loss_settings.items())) for config in configs]


# Temperatures of 0.8 and 1.2, and of 0.5 and 4.
EVERY_LOSS = [*every_loss(), Loss("bi_tempered", (("t1", 0.5), ("t2", 4.0)))]


def matrix_of(loss, matrix=MATRIX):
    return {"transition_matrix": matrix} if loss.name == "forward" else {}


def named(loss):
    return loss.name


# Values worked out by hand, of the predictions P.


@pytest.mark.parametrize(
    ("name", "hyper", "expected"),
    [
        ("ce", {}, [0.693147, 1.609438]),
        ("mae", {}, [1.0, 1.6]),
        # (1 − √p) / 0.5
        ("gce", {"q": 0.5}, [0.585786, 1.105573]),
        # 0.5 · 0.693147 + 2 · 4 · 0.5; 0.5 · 1.609438 + 2 · 4 · 0.8
        ("sce", {"alpha": 0.5, "beta": 2.0, "log_zero": -4.0}, [4.346574, 7.204719]),
        # log 0.5 / log 0.03 and log 0.2 / log 0.014, plus 0.1 · 2 · (1 − p)
        (
            "nce_rce",
            {"alpha": 1.0, "beta": 0.1, "log_zero": -2.0},
            [0.297672, 0.537040],
        ),
        # 0.7 · 0.693147 + 0.1 · 3.506558; 0.7 · 1.609438 + 0.1 · 4.268698
        ("label_smoothing", {"alpha": 0.3}, [0.835859, 1.553476]),
        # t2 = 1: (1 − √p) / 0.5 − (1 − Σ p^1.5) / 1.5
        ("bi_tempered", {"t1": 0.5, "t2": 1.0}, [0.3, 0.91]),
    ],
)
def test_values_by_hand(name, hyper, expected):
    loss = Loss(name, tuple(hyper.items()))
    if name == "bi_tempered":
        expected = [0.585786, 1.105573] - (1 - (P**1.5).sum(axis=1)) / 1.5
    np.testing.assert_allclose(loss(**BATCH), expected, rtol=2e-5)


@pytest.mark.parametrize(
    ("t1", "t2", "expected"),
    [
        (0.8, 1.2, [1.6931583974, 0.1851403157, 3.3241137668]),
        (0.5, 4.0, [0.5861554144, 0.5113828981, 0.6589474501]),
    ],
)
def test_bi_tempered_is_that_of_an_independent_implementation(t1, t2, expected):
    logits = jnp.array([[-0.5, 0.1, 2.0], [0.1, 1.5, -5.0], [4.0, -3.0, -6.0]])
    loss = bi_tempered(logits=logits, labels=jnp.arange(3), t1=t1, t2=t2)
    np.testing.assert_allclose(loss, expected, rtol=2e-6)


def test_forward_by_hand():
    # (Tᵀp)_1 = 0.1 · 0.2 + 0.6 · 0.5; (Tᵀp)_2 = 0.4 · 0.1 + 0.8 · 0.2
    loss = forward(**BATCH, transition_matrix=MATRIX)
    np.testing.assert_allclose(loss, -np.log([0.32, 0.2]), rtol=1e-5)


# Closed forms.


def test_gce_lies_between_cross_entropy_and_half_of_mae():
    batch = random_batch()
    small = gce(**batch, q=1e-6)  # differs by q/2 · CE²
    np.testing.assert_allclose(small, cross_entropy(**batch), rtol=1e-5)
    np.testing.assert_allclose(gce(**batch, q=1.0), mae(**batch) / 2, rtol=1e-6)


def test_sce_is_cross_entropy_without_beta_and_mae_without_alpha():
    batch = random_batch()
    np.testing.assert_array_equal(
        sce(**batch, alpha=0.5, beta=0.0, log_zero=-4.0), cross_entropy(**batch) / 2
    )
    # "RCE reduces to MAE" at A = −2 (Ma et al. 2020).
    np.testing.assert_allclose(
        sce(**batch, alpha=0.0, beta=1.0, log_zero=-2.0), mae(**batch), rtol=1e-6
    )


def test_no_smoothing_no_noise_and_temperatures_of_one_are_cross_entropy():
    batch, eye = random_batch(), jnp.eye(5, dtype=jnp.float32)
    for same in (
        label_smoothing(**batch, alpha=0.0),
        forward(**batch, transition_matrix=eye),
        bi_tempered(**batch, t1=1.0, t2=1.0),
    ):
        np.testing.assert_allclose(same, cross_entropy(**batch), rtol=1e-6)


def test_smoothing_is_the_loss_expected_under_uniform_noise():
    batch = random_batch()
    expected = 0.7 * cross_entropy(**batch) + 0.3 * of_every_label(
        cross_entropy, batch["logits"]
    ).mean(axis=1)
    np.testing.assert_allclose(label_smoothing(**batch, alpha=0.3), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "hyper", "total"),
    [
        (mae, {}, 8),
        (gce, {"q": 1.0}, 4),
        (sce, {"alpha": 0.0, "beta": 0.5, "log_zero": -4.0}, 8),
        (nce_rce, {"alpha": 3.0, "beta": 0.0, "log_zero": -4.0}, 3),
        (nce_rce, {"alpha": 3.0, "beta": 0.5, "log_zero": -4.0}, 11),
    ],
)
def test_symmetric_losses_have_the_same_sum_over_labels_for_every_prediction(loss, hyper, total):
    """The condition of Ghosh et al. 2017 for tolerance to uniform noise, here with K = 5."""
    sums = of_every_label(loss, random_batch()["logits"], **hyper).sum(axis=1)
    np.testing.assert_allclose(sums, total, rtol=1e-5)


def test_cross_entropy_is_not_symmetric():
    assert np.ptp(of_every_label(cross_entropy, random_batch()["logits"]).sum(axis=1)) > 1


def test_forward_minimizes_at_the_clean_distribution():
    """Over labels drawn from Tᵀp the expected corrected loss has its minimum at p: no gradient."""
    noisy = jnp.asarray(P, jnp.float32) @ MATRIX

    def risk(logits):
        by_label = [
            forward(logits=logits, labels=jnp.full(2, label), transition_matrix=MATRIX)
            for label in range(3)
        ]
        return (noisy * jnp.stack(by_label, axis=1)).sum()

    np.testing.assert_allclose(jax.grad(risk)(LOGITS), 0, atol=1e-6)
    assert np.abs(jax.grad(risk)(2 * LOGITS)).max() > 0.01


# The tempered softmax.


@pytest.mark.parametrize("t", [1.0, 1.0001, 1.2, 2.0, 4.0])
@pytest.mark.parametrize("classes", [2, 100])
def test_tempered_probabilities_sum_to_one(t, classes):
    scales = jnp.repeat(jnp.array([0, 1, 30, 1e4], jnp.float32), 20)[:, None]
    logits = scales * jax.random.normal(jax.random.key(1), (80, classes), jnp.float32)
    p = np.exp(log_tempered_softmax(logits, t))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


def test_tempered_softmax_of_two_classes_has_a_heavy_tail():
    # t = 2: 1/(1 + λ) + 1/(1 + λ + d) = 1, so λ = (√(d² + 4) − d) / 2: p ≈ 1/d, not exp(−d).
    d = np.array([0.0, 1.0, 10.0, 1000.0])
    logits = jnp.asarray(np.stack([np.zeros(4), -d], axis=1), jnp.float32)
    normalization = (np.sqrt(d**2 + 4) - d) / 2
    expected = np.stack([1 / (1 + normalization), 1 / (1 + normalization + d)], axis=1)
    np.testing.assert_allclose(np.exp(log_tempered_softmax(logits, 2.0)), expected, rtol=1e-5)


def test_tempered_softmax_tends_to_softmax():
    logits = random_batch()["logits"]
    np.testing.assert_allclose(
        log_tempered_softmax(logits, 1.001), jax.nn.log_softmax(logits), rtol=0.02, atol=0.001
    )


def test_bi_tempered_is_bounded_below_t1_of_one():
    batch = {"logits": jnp.array([[0, -1e4]], jnp.float32), "labels": jnp.array([1])}
    loss = bi_tempered(**batch, t1=0.5, t2=1.2)
    assert loss <= 1 / (1 - 0.5)
    np.testing.assert_allclose(loss, 2, rtol=1e-3)


@pytest.mark.parametrize(("t1", "t2"), [(0.8, 1.2), (0.5, 4.0), (0.0, 2.0), (1.0, 1.5)])
def test_bi_tempered_gradient_is_that_of_the_paper(t1, t2):
    """∂L/∂z_k = Σ_i (p_i − e_y,i) p_i^(t2 − t1) (δ_ik − escort_k), escort ∝ p^t2."""
    batch = random_batch()
    gradient = jax.jit(
        jax.grad(lambda z: bi_tempered(logits=z, labels=batch["labels"], t1=t1, t2=t2).sum())
    )
    p = np.exp(np.asarray(log_tempered_softmax(batch["logits"], t2), np.float64))
    inner = (p - np.eye(5)[batch["labels"]]) * p ** (t2 - t1)
    escort = p**t2 / (p**t2).sum(axis=1, keepdims=True)
    expected = inner - inner.sum(axis=1, keepdims=True) * escort
    np.testing.assert_allclose(gradient(batch["logits"]), expected, rtol=1e-4, atol=1e-6)


# What holds for every loss.


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=named)
def test_gradients_equal_numerical_differences(loss):
    batch = random_batch(3)
    check_grads(
        jax.jit(lambda z: loss(logits=z, labels=batch["labels"], **matrix_of(loss)).mean()),
        (batch["logits"],),
        order=1,
        modes=["fwd", "rev"],
        eps=1e-3,  # of central differences, which round in float32
        rtol=1e-2,
        atol=1e-3,
    )


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=named)
def test_value_and_gradient_are_finite_at_extreme_logits(loss):
    logits = jnp.array(
        [[1e4, 0, -1e4], [0, 1e4, -1e4], [1e4, 1e4, -1e4], [-1e4, 1e-4, 1e4], [1e4, 1e4, 1e4]],
        jnp.float32,
    ).repeat(3, axis=0)
    labels = jnp.tile(jnp.arange(3), 5)

    @jax.jit
    def values_and_gradients(logits):
        values, pullback = jax.vjp(
            lambda z: loss(logits=z, labels=labels, **matrix_of(loss)), logits
        )
        return values, pullback(jnp.ones_like(values))[0]

    values, gradients = values_and_gradients(logits)
    assert values.shape == (15,) and values.dtype == jnp.float32
    assert np.isfinite(values).all() and (values > -1e-6).all()
    assert np.isfinite(gradients).all()
    # Moving all logits together changes nothing.
    np.testing.assert_allclose(gradients.sum(axis=1), 0, atol=1e-4)


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=named)
def test_members_with_their_own_matrices_are_those_alone(loss):
    """Under jit, vmap(grad), keyed on the loss as the training program is."""
    logits = jax.random.normal(jax.random.key(2), (2, 4, 3), jnp.float32)
    labels = jnp.array([[0, 1, 2, 0], [2, 2, 1, 1]])
    matrices = jnp.stack([MATRIX, jnp.full((3, 3), 1 / 3, jnp.float32)])

    def gradient(loss, z, y, matrix):
        return jax.grad(lambda z: loss(logits=z, labels=y, **matrix_of(loss, matrix)).mean())(z)

    def together(loss, *arrays):
        return jax.vmap(lambda *one: gradient(loss, *one))(*arrays)

    gradients = jax.jit(together, static_argnums=0)(loss, logits, labels, matrices)
    alone = jax.jit(gradient, static_argnums=0)
    for i, of_member in enumerate(gradients):
        expected = alone(loss, logits[i], labels[i], matrices[i])
        np.testing.assert_allclose(of_member, expected, rtol=1e-5, atol=1e-6)


# The table.


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        ("gce", "cifar10", {"q": 0.7}),
        ("sce", "cifar10_n", {"alpha": 0.1, "beta": 1.0, "log_zero": np.log(1e-4)}),
        ("sce", "svhn_cropped", {"alpha": 0.1, "beta": 1.0, "log_zero": np.log(1e-4)}),
        ("sce", "fashion_mnist", {"alpha": 0.01, "beta": 1.0, "log_zero": np.log(1e-4)}),
        ("sce", "digits", {"alpha": 0.01, "beta": 1.0, "log_zero": np.log(1e-4)}),
        ("sce", "cifar100_n", {"alpha": 6.0, "beta": 0.1, "log_zero": np.log(1e-4)}),
        ("nce_rce", "mnist", {"alpha": 1.0, "beta": 10.0, "log_zero": np.log(1e-4)}),
        ("bi_tempered", "cifar100", {"t1": 0.8, "t2": 1.2}),
        ("ce", "mnist", {}),
    ],
)
def test_defaults_by_data_set(name, dataset, expected):
    assert Config(loss=name, dataset=dataset).loss_settings == expected


@pytest.mark.parametrize(
    ("dataset", "noise", "expected"),
    [
        ("cifar10", "uniform_noise", {"beta": 0.7, "weight": 3.0}),
        ("cifar10", "flip_noise", {"beta": 0.9, "weight": 1.0}),
        ("cifar10", "pair_noise", {"beta": 0.7, "weight": 3.0}),
        ("cifar100", "flip_noise", {"beta": 0.9, "weight": 7.0}),
        ("mnist", "flip_noise", {"beta": 0.7, "weight": 3.0}),
    ],
)
def test_defaults_of_elr_are_its_authors_for_each_noise(dataset, noise, expected):
    assert Config(method="elr", dataset=dataset, noise_type=noise).method_settings == expected


def test_defaults_are_allowed_and_each_hyper_parameter_has_a_flag():
    for kind, table in (("loss", LOSSES), ("method", METHODS)):
        for name in table:
            for dataset in ("mnist", "cifar10", "cifar100"):
                config = Config(dataset=dataset, epochs_num=120, **{kind: name})
                settings = getattr(config, f"{kind}_settings")
                flags = {f"{name}_{hyper}": value for hyper, value in settings.items()}
                given = Config(dataset=dataset, epochs_num=120, **{kind: name}, **flags)
                assert getattr(given, f"{kind}_settings") == settings


def test_equal_losses_are_one_key():
    loss = Loss("sce", (("alpha", 1.0), ("beta", 1.0)))
    assert hash(loss) == hash(Loss("sce", (("alpha", 1.0), ("beta", 1.0))))
    assert loss != Loss("sce", (("alpha", 0.5), ("beta", 1.0)))
