"""Scores: how good a run is, computed from arrays on the host.

Takes histories, logits and losses of all repeats; gives the chosen epochs, calibration, detection,
estimates of the noise, which repeats diverged, means and intervals, and tables of them. No JAX, no
files.

May import: labels, config.
"""

__all__ = [
    "calibration",
    "detection",
    "divergence",
    "estimates",
    "findings",
    "intervals",
    "scoring",
    "selection",
]
