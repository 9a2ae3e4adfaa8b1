"""Sweeps: grids and searches of settings, run here or as jobs on a cluster.

Takes flags with several values; leaves a folder for each run, and a plan that says how runs ended.

May import: experiments and all below.
"""

__all__ = [
    "arguments",
    "grid",
    "search",
]
