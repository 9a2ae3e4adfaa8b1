"""Verification: does a run say what its nets and labels give, and is a reference result reproduced?

Takes finished runs; gives a verdict for every number and file.

May import: runs, training and all below.
"""

__all__ = [
    "references",
]
