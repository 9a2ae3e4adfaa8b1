"""Reports: all runs of a results folder on one page, and runs side by side.

Takes folders of runs; gives a page, tables and figures. Nothing is trained or measured.

May import: sweep (for plans), spectrum (for its figures), runs, figures, scores, terminal, config.
"""

__all__ = [
    "comparison",
]
