"""Robustness of neural networks to label noise, in JAX and Flax. Start with `experiment.run`."""
