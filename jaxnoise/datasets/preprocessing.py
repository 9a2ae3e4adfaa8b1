"""From stored pictures to the inputs of a network; and from a caller's pictures to stored ones."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxnoise.config import InputError, counted


class Preprocessing(NamedTuple):
    """The map from stored pictures to network inputs, (image − mean) · scale.

    It is applied to each batch on the device.
    """

    mean: np.ndarray  # float32 (H, W, C), in grey levels
    scale: np.ndarray  # float32 () or, for each channel, (1, 1, 1, C)


def preprocessing(
    mode: str,
    train_images: np.ndarray,
    *,
    channel_mean: Sequence[float] = (),
    channel_std: Sequence[float] = (),
) -> Preprocessing:
    """Builds the map from stored pictures to network inputs.

    `range_0_to_1` divides an image by 255. `mean_substract` subtracts the mean image of the
    training part, per pixel and channel, without a division: inputs stay in grey levels. `mean_std`
    subtracts from each channel its mean over all pixels of the training part, and divides it by its
    standard deviation (the population's).

    Args:
      mode: `range_0_to_1`, `mean_substract` or `mean_std`.
      train_images: uint8 (N, H, W, C), the training part, that is without the validation part.
      channel_mean, channel_std: for `mean_std`, the moments to use instead of those of the training
        part, as shares of 255, one for each channel.

    Raises:
      InputError: the mode is unknown, there is not one moment for each channel, or a channel does
        not vary.
    """
    shape = train_images.shape[1:]
    if mode == "range_0_to_1":
        return Preprocessing(np.zeros(shape, np.float32), np.float32(1 / 255))
    if mode == "mean_substract":
        mean = train_images.mean(axis=0, dtype=np.float64)
        return Preprocessing(mean.astype(np.float32), np.float32(1))
    if mode != "mean_std":
        raise InputError(
            f"--preprocess_mode={mode}: allowed are range_0_to_1, mean_substract, mean_std"
        )
    for name, given in (("channel_mean", channel_mean), ("channel_std", channel_std)):
        if given and len(given) != shape[-1]:
            raise InputError(
                f"--{name}={','.join(map(str, given))}: allowed here: "
                f"{counted(shape[-1], 'number')}, one for each channel of the images; none takes "
                "those of the training images"
            )
    if channel_mean:
        mean, std = 255 * np.array(channel_mean), 255 * np.array(channel_std)
    else:
        # Of counts of the 256 values: exact, and without a copy of the images in float64.
        counts = np.stack([np.bincount(x.ravel(), minlength=256) for x in _channels(train_images)])
        share, levels = counts / counts.sum(axis=1, keepdims=True), np.arange(256)
        mean = share @ levels
        std = np.sqrt(share @ levels**2 - mean**2)
        if not std.all():
            raise InputError(
                "--preprocess_mode=mean_std: a channel of the training images has a single value; "
                "allowed here are range_0_to_1, mean_substract, and given moments "
                "(--channel_mean, --channel_std)"
            )
    scale = (1 / std).astype(np.float32).reshape(1, 1, 1, -1)
    return Preprocessing(np.broadcast_to(mean.astype(np.float32), shape), scale)


def as_stored(images: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, bool]:
    """Pictures in the grey levels of a data set, [0, 255], from uint8 or from shares of 255.

    Args:
      images: uint8, or float in [0, 1], which is uint8/255: (N, H, W, C), N ≥ 1, or one picture
        (H, W, C); grey ones also (N, H, W) or (H, W).
      shape: (H, W, C).

    Returns:
      (N, H, W, C), uint8 as it was given or float32; and whether it was one picture, N = 1.

    Raises:
      InputError: another dtype or shape, or a float that is NaN or outside of [0, 1].
    """
    images = np.asarray(images)
    # Not ambiguous, as no picture is 1 pixel wide.
    grey = shape[-1] == 1 and images.ndim in (2, 3) and images.shape[-2:] == shape[:2]
    given = images[..., None] if grey else images
    single = given.ndim == 3
    given = given[None] if single else given
    able = images.dtype == np.uint8 or images.dtype.kind == "f"
    if not able or given.ndim != 4 or given.shape[1:] != shape or not len(given):
        raise InputError(
            f"images are {images.dtype} of shape {images.shape}; allowed are uint8 in [0, 255] or "
            f"float in [0, 1], of shape (1 or more, {', '.join(map(str, shape))}) or {shape}"
            f"{', or without the last axis' if shape[-1] == 1 else ''}"
        )
    if given.dtype == np.uint8:
        return given, single
    if not ((given >= 0) & (given <= 1)).all():  # NaN is neither
        found = "NaN" if np.isnan(given).any() else f"[{given.min():g}, {given.max():g}]"
        raise InputError(
            f"images are {images.dtype} with values in {found}; allowed are float in [0, 1], that "
            "is, divided by 255, or uint8 in [0, 255]"
        )
    wide = given.astype(np.promote_types(given.dtype, np.float32), copy=False)
    return (255 * wide).astype(np.float32), single


def _channels(images: np.ndarray) -> Iterator[np.ndarray]:
    return (images[..., channel] for channel in range(images.shape[-1]))
