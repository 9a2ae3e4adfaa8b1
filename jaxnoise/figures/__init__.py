"""Figures: the colours of all of them, what they have in common, and the curves of a run.

Takes arrays of all repeats; gives .png and .pdf files, or SVG for a page.

May import: scores.
"""

__all__ = [
    "colours",
    "drawing",
    "training_curves",
]
