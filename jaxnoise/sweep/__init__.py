"""Sweeps: grids and searches of settings, run here or as jobs on a cluster.

Takes flags with several values; produces a folder per run, and a plan that records how runs ended.

May import: experiments and all below.
"""

__all__ = [
    "arguments",
    "grid",
    "search",
]
