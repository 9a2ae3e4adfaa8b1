"""Augmentation: random changes of training pictures, drawn for every picture of a batch."""

import dataclasses

import jax
import jax.numpy as jnp

MARGIN = 4  # of `crop`, in pixels


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to a batch. Hashable: a static part of a program."""

    crop: bool = False
    flip: bool = False
    cutout_size: int = 0  # in pixels; 0 for no cutout

    @classmethod
    def named(cls, name: str | None, cutout_size: int) -> "Augmentation | None":
        """The augmentation of a value of --augment; None for none."""
        parts = name.split("_") if name else []
        erased = cutout_size if "cutout" in parts else 0
        return cls("crop" in parts, "flip" in parts, erased) if parts else None

    def of_stored(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Crops and flips pictures before they are preprocessed, so that margins are black.

        Args:
          key: typed PRNG key.
          images: uint8 (batch, height, width, channels).
        """
        crop_key, flip_key = jax.random.split(key)
        if self.crop:
            images = cropped(crop_key, images)
        return flipped(flip_key, images) if self.flip else images

    def of_inputs(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Erases squares of preprocessed pictures, float (batch, height, width, channels)."""
        if not self.cutout_size:
            return images
        return erased(jax.random.fold_in(key, 2), images, size=self.cutout_size)


def cropped(key: jax.Array, images: jax.Array) -> jax.Array:
    """A random part of every picture with a margin of MARGIN zeros, of the picture's own size.

    Each of the (2 · MARGIN + 1)² parts is equally likely. Source: He et al., "Deep Residual
    Learning for Image Recognition" (CVPR 2016, https://arxiv.org/abs/1512.03385), section 4.2.
    """
    batch, *shape = images.shape
    around = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    corners = jax.random.randint(key, (batch, 2), 0, 2 * MARGIN + 1)

    def part(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], jnp.int32(0)), shape)

    return jax.vmap(part)(jnp.pad(images, around), corners)


def flipped(key: jax.Array, images: jax.Array) -> jax.Array:
    """Every picture, or with probability 1/2 its mirror image from left to right."""
    mirrored = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def erased(key: jax.Array, images: jax.Array, *, size: int) -> jax.Array:
    """Every picture with a square set to 0, whose centre is a random pixel: cutout.

    The square has `size` pixels a side, less where it reaches beyond the picture. If `size` is
    even, it has one pixel less below and to the right of its centre than above and to the left.
    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout" (2017, https://arxiv.org/abs/1708.04552): 16 pixels for CIFAR-10, 8 for CIFAR-100.
    """
    batch, height, width, _ = images.shape
    centres = jax.random.randint(key, (2, batch, 1), 0, jnp.array([[[height]], [[width]]]))

    def inside(centre: jax.Array, length: int) -> jax.Array:
        offset = jnp.arange(length)[None] - centre + size // 2
        return (offset >= 0) & (offset < size)

    rows, columns = inside(centres[0], height), inside(centres[1], width)
    square = rows[:, :, None] & columns[:, None, :]
    return jnp.where(square[..., None], jnp.zeros((), images.dtype), images)
