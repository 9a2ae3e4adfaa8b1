"""Experiments: one run from labels to scores, several runs of one program, the command main.py.

Takes settings; produces finished run folders.

May import: spectrum, runs, figures, terminal, training and all below.
"""

__all__ = [
    "batch",
    "command_line",
    "experiment",
    "forward_matrix",
    "known_programs",
    "noise_export",
]
