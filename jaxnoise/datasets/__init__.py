"""Data sets on disk: finding, preparing, checking and decoding copies; class folders of pictures.

Takes the name of a data set and folders; gives uint8 pictures and labels, equal on all machines.
`jaxnoise.data` is its front: other wings load data sets by that.

May import: config.
"""

__all__ = [
    "class_pictures",
    "copy_digests",
    "decoded_cache",
    "digests",
    "splits",
    "tfds_copy",
]
