"""Figures: colours and layout that all of them share, and the curves and labels of a run.

Takes arrays of all repeats; gives .png and .pdf files, or SVG for a page.

May import: scores.
"""

__all__ = [
    "colours",
    "confusion",
    "contact_sheet",
    "drawing",
    "training_curves",
]
