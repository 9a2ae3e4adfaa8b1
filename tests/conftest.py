"""Strict JAX for all tests: no silent rank or dtype promotion, and no PRNG key used twice."""

import contextlib
import importlib.metadata
import logging
import os

# Tests compile much and compute little, in the processes that they start too: without LLVM's
# optimizations, and where there are two code generators (in jaxlib 0.10; 0.12 ends the process at
# the flag) with the older one, which is twice as fast.
_COMPILE_FAST = "--xla_backend_optimization_level=0"
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _COMPILE_FAST += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_COMPILE_FAST}"

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

from jaxnoise.experiments import run_figures  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture(autouse=True)
def _log_as_before():
    """A command that a test calls leaves no handler behind, whose stream is closed later."""
    log = logging.getLogger("jaxnoise")
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.level, log.propagate = handlers, level, propagate


@pytest.fixture(scope="session", autouse=True)
def drawing():
    """Runs in this process draw no figures but `with drawing():`.

    Figures take longer than so short a training, and one that fails is only a warning. Processes of
    their own draw as a user's do.
    """
    draw = run_figures.draw

    @contextlib.contextmanager
    def drawn():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_figures, "draw", draw)
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_figures, "draw", lambda *_: None)
        yield drawn


@pytest.fixture
def standard_compilation(monkeypatch):
    """For processes that compute much: they compile as a user's do."""
    # Twice in the workers of pytest-xdist; and a blank alone XLA takes for a file's name.
    given = os.environ["XLA_FLAGS"].replace(_COMPILE_FAST, "").strip()
    monkeypatch.setenv("XLA_FLAGS", given)


@pytest.fixture
def standard_dtype_promotion():
    """For what runs optax's Adam, which takes a float to the power of its integer step.

    Set for all threads, since trainers compile in threads of their own.
    """
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_addoption(parser):
    parser.addoption(
        "--kills", type=int, default=2, help="how often test_resume.py kills a run (default: 2)"
    )
    parser.addoption(
        "--fuzz",
        type=int,
        default=90,
        help="how many cases each test in test_fuzz*.py tries (default: 90, the same ones always)",
    )


def pytest_configure(config):
    # The same cases in every session, and no time limit for one: a test must not fail by chance.
    hypothesis.settings.register_profile(
        "fuzz",
        max_examples=config.getoption("--fuzz"),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("fuzz")
