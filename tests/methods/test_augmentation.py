import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoise.methods.augmentation import MARGIN, Augmentation, cropped, erased, flipped

IMAGES = np.random.RandomState(0).randint(1, 256, (64, 16, 20, 3)).astype(np.uint8)


def test_names_stand_for_their_parts():
    assert Augmentation.named(None, 16) is None
    assert Augmentation.named("crop", 16) == Augmentation(crop=True)
    assert Augmentation.named("crop_flip", 16) == Augmentation(crop=True, flip=True)
    assert Augmentation.named("cutout", 8) == Augmentation(cutout_size=8)
    assert Augmentation.named("crop_flip_cutout", 8) == Augmentation(True, True, 8)


def test_a_crop_is_the_picture_moved_with_a_black_margin():
    moved = np.asarray(cropped(jax.random.key(0), jnp.asarray(IMAGES)))
    around = np.pad(IMAGES, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
    found = []
    for one, wide in zip(moved, around, strict=True):
        places = [
            (row, column)
            for row in range(2 * MARGIN + 1)
            for column in range(2 * MARGIN + 1)
            if np.array_equal(one, wide[row : row + 16, column : column + 20])
        ]
        found += places
    assert len(found) == len(IMAGES)
    assert len(set(found)) > 30  # of 81, drawn 64 times
    assert {row for row, _ in found} == set(range(2 * MARGIN + 1))


def test_about_half_of_the_pictures_are_mirrored_and_the_others_left():
    images = jnp.asarray(IMAGES)
    result = np.asarray(flipped(jax.random.key(0), images))
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(result, IMAGES, strict=True)]
    left = [np.array_equal(a, b) for a, b in zip(result, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, left, strict=True))
    assert 20 < sum(mirrored) < 44  # 32 ± 3 standard deviations


@pytest.mark.parametrize("size", [5, 6])
def test_cutout_erases_a_square_around_any_pixel(size):
    ones = jnp.ones((500, 12, 9, 2), jnp.float32)
    left = np.asarray(erased(jax.random.key(1), ones, size=size))
    assert set(np.unique(left)) == {0, 1}
    gone = left[..., 0] == 0
    np.testing.assert_array_equal(gone, left[..., 1] == 0)  # of all channels
    heights, widths = gone.any(axis=2).sum(axis=1), gone.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(gone.sum(axis=(1, 2)), heights * widths)  # rectangles
    # Where the square reaches beyond the picture, part of it is left: half and a pixel at least.
    assert set(heights) == set(widths) == set(range(size - size // 2, size + 1))
    # The centre is uniform, so each row is covered as often as by hand.
    starts = np.arange(12) - size // 2
    expected = [np.mean((starts <= row) & (row < starts + size)) for row in range(12)]
    np.testing.assert_allclose(gone.any(axis=2).mean(axis=0), expected, atol=0.08)


def test_crops_and_flips_are_drawn_apart_for_every_picture_and_key():
    both = Augmentation(crop=True, flip=True)
    one, again, other = (
        np.asarray(both.of_stored(jax.random.key(seed), jnp.asarray(IMAGES))) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any(axis=(1, 2, 3)).mean() > 0.9
    assert one.dtype == np.uint8
