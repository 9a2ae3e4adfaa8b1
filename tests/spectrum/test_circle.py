"""The closed form against the net, and its parts by hand."""

import jax
import numpy as np
import pytest

from jaxnoise import frequency_response as command
from jaxnoise.spectrum import circle as fr
from jaxnoise.spectrum.circle import Regularizer, eigenvalues, half_time, kernel, train

SMALL = dict(k=(1, 2, 3), points=32, width=1024, steps=400)
K = np.array(SMALL["k"])


def test_kernel_by_hand():
    # u = 1: κ₀ = κ₁ = 1; u = 0 at the opposite point: κ₁ = 1/π.
    np.testing.assert_allclose(kernel(np.array([0.0, np.pi])), [2, 1 / np.pi], atol=1e-7)


def test_kernel_is_the_mean_over_random_units():
    rng = np.random.default_rng(0)
    weights, out = rng.normal(size=(3, 400_000)), rng.normal(size=400_000)
    x, y = (np.array([np.cos(a), np.sin(a), 1]) / np.sqrt(2) for a in (0.3, 1.5))
    on = (weights.T @ x > 0) & (weights.T @ y > 0)
    of_out = 2 * ((weights.T @ x) * (weights.T @ y) * on).mean()
    of_weights = 2 * (out**2 * on).mean() * (x @ y)
    # Standard error about 0.003.
    assert kernel(np.array(1.2)) == pytest.approx(of_out + of_weights, abs=0.015)


def test_eigenvalues_are_positive_and_fall():
    found = eigenvalues(np.arange(11), 64)
    assert (found > 0).all() and (np.diff(found) < 0).all()


def test_each_regularizer_is_a_filter():
    plain, jacobian, wd = Regularizer(), Regularizer(jacobian=0.1), Regularizer(wd=0.01)
    late = 1e9
    np.testing.assert_allclose(plain.amplitude(K, 32, late), 1)
    # The slope between neighbours is that of the cosine to (kΔ)²/24.
    np.testing.assert_allclose(jacobian.amplitude(K, 32, late), 1 / (1 + 0.1 * K**2), rtol=0.02)
    values = eigenvalues(K, 32)
    np.testing.assert_allclose(wd.amplitude(K, 32, late), values / (values + 0.01))
    assert (plain.amplitude(K, 32, 1.0) < plain.amplitude(K, 32, 2.0)).all()


@pytest.mark.parametrize("regularizer", [Regularizer(), Regularizer(0.05), Regularizer(wd=0.02)])
def test_net_follows_the_closed_form(regularizer):
    found = train(regularizer, **SMALL)
    for step in (20, 399):
        expected = regularizer.amplitude(K, 32, (step + 1) * fr.RATE)
        # Width 1024 leaves about 1/√1024 of the kernel to chance.
        np.testing.assert_allclose(found[step], expected, atol=0.06)


def test_half_time_by_hand():
    amplitudes = np.array([[0.1, 0.6], [0.5, 0.9], [1.0, 1.0]])
    assert half_time(amplitudes, 0.5).tolist() == [1.0, 0.5]


def test_command_leaves_its_figure(tmp_path, monkeypatch, capsys):
    steps = np.linspace(0, 1, fr.STEPS, dtype=np.float32)[:, None]
    ones = np.ones(len(fr.FREQUENCIES), np.float32)
    monkeypatch.setattr(command, "train", lambda _: steps * ones)
    assert command.main(["--out", str(tmp_path / "made")]) == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {
        "frequency_response.png", "frequency_response.pdf",
    }  # fmt: skip
    assert ", closed form 1.000" in capsys.readouterr().out


def test_the_seed_is_fixed():
    first, second = (train(Regularizer(), **SMALL | {"steps": 2}) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert jax.numpy.isfinite(first).all()
