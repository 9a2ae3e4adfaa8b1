"""Data sets on disk: finding, preparing, checking and decoding copies; class folders; arrays.

The wing turns the name of a data set and some folders into uint8 pictures and labels, which are the
same on all machines. Other wings load data sets through `jaxnoise.data`.

May import: config.
"""

__all__ = [
    "class_pictures",
    "copy_digests",
    "decoded_cache",
    "digests",
    "own_arrays",
    "picture_warnings",
    "places",
    "prepare",
    "preprocessing",
    "resizing",
    "splits",
    "tfds_copy",
]
