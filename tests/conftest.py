"""Strict JAX for all tests: no silent rank or dtype promotion, and no PRNG key used twice."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_debug_key_reuse", True)
