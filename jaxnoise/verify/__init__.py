"""Verification: do a run's numbers follow from its nets and labels? Is a reference reproduced?

Takes finished runs; gives a verdict for every number and file.

May import: runs, training and all below.
"""

__all__ = [
    "published",
    "references",
]
