"""Scores: what a run is worth, computed from arrays on the host.

Takes histories, logits and losses of all repeats; gives the chosen epochs, calibration, detection,
which repeats diverged, means and intervals, and the tables that say so. No JAX, no files.

May import: labels, config.
"""

__all__ = [
    "calibration",
    "detection",
    "divergence",
    "intervals",
    "scoring",
    "selection",
]
