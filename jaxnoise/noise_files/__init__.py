"""Files of noisy labels, of ours and of others: their formats, and nothing of data sets.

The wing turns a file into columns of numbers or text, and columns into a file. What they mean for a
data set, `labels` finds out.

May import: config.
"""

__all__ = [
    "cifar_n",
    "formats",
    "table",
    "writing",
]
