"""Pictures brought to one size: what is scaled, what is cut away, and what the log says."""

import numpy as np
import pytest
from PIL import Image

from jaxnoise.datasets.resizing import Resizing, resized


def picture(pixels):
    return Image.fromarray(np.asarray(pixels, np.uint8))


def noise(height, width, *channels):
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_picture_of_the_size_stays_as_it_is(channels):
    image = picture(noise(24, 24, *channels))
    assert resized(image, 24) is image


@pytest.mark.parametrize("size", [16, 24, 100])
def test_a_flat_picture_stays_flat(size):
    small = resized(picture(np.full((31, 47, 3), (10, 200, 30))), size)
    assert small.mode == "RGB" and small.size == (size, size)
    np.testing.assert_array_equal(np.asarray(small), np.full((size, size, 3), (10, 200, 30)))


def test_shrinking_a_ramp_by_two_takes_the_mean_of_neighbours():
    """A symmetric filter leaves a linear function as it is, apart from the border."""
    small = np.asarray(resized(picture(np.tile(np.arange(64) * 2, (64, 1))), 32))
    np.testing.assert_array_equal(small[:, 1:-1], np.tile(4 * np.arange(32) + 1, (32, 1))[:, 1:-1])


def test_enlarging_a_ramp_by_two_interpolates():
    large = np.asarray(resized(picture(np.tile(np.arange(16) * 12, (16, 1))), 32))
    expected = 12 * (np.arange(32) - 0.5) / 2  # the centres of pixels, where they were
    np.testing.assert_array_equal(large[:, 1:-1], np.tile(expected, (32, 1))[:, 1:-1].astype(int))


def test_shrinking_does_not_alias():
    """Of a chessboard of single pixels, grey is left; every fourth pixel alone would be black."""
    board = picture(255 * (np.indices((128, 128)).sum(axis=0) % 2))
    assert np.abs(np.asarray(resized(board, 32), int) - 127.5).max() <= 1


@pytest.mark.parametrize("turned", [False, True])
def test_the_middle_of_the_longer_side_is_kept(turned):
    thirds = np.repeat(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8), 60, axis=0)
    pixels = np.tile(thirds, (60, 1, 1))  # 60 high, 180 wide
    small = resized(picture(pixels.transpose(1, 0, 2) if turned else pixels), 20)
    inside = np.asarray(small)[2:-2, 2:-2]
    np.testing.assert_array_equal(inside, np.broadcast_to((0, 255, 0), inside.shape))


# By hand from torchvision's source: Resize gives int(size · longer / shorter) pixels, CenterCrop
# begins at int(round((longer − size) / 2)), where Python rounds halves to even.
@pytest.mark.parametrize(
    ("height", "width", "size", "scaled", "corner"),
    [
        (48, 64, 32, (42, 32), (5, 0)),  # 42.67 wide; 10 too many
        (64, 48, 32, (32, 42), (0, 5)),
        (50, 61, 50, (61, 50), (6, 0)),  # 5.5 to 6
        (50, 59, 50, (59, 50), (4, 0)),  # 4.5 to 4
        (10, 33, 16, (52, 16), (18, 0)),
    ],
)
def test_the_pixels_are_torchvisions(height, width, size, scaled, corner):
    image = picture(noise(height, width, 3))
    left, top = corner
    expected = np.asarray(image.resize(scaled, Image.Resampling.BILINEAR))
    expected = expected[top : top + size, left : left + size]
    np.testing.assert_array_equal(np.asarray(resized(image, size)), expected)


def test_words_name_the_most_frequent_sizes():
    resizing = Resizing(16)
    for (height, width), count in {(16, 16): 5, (20, 30): 4, (30, 20): 3, (17, 17): 2}.items():
        for _ in range(count):
            resizing(picture(noise(height, width)))
    assert resizing.in_words() == (
        "--image_size=16: 9 of 14 images brought to 16x16: 4 of 20x30, 3 of 30x20, 2 of 17x17"
    )
    resizing(picture(noise(18, 18)))
    resizing(picture(noise(19, 19)))
    assert resizing.in_words().endswith("2 of 17x17, 2 of 2 other sizes")


def test_words_say_that_nothing_was_changed():
    resizing = Resizing(16)
    resizing(picture(noise(16, 16)))
    assert resizing.in_words() == "--image_size=16: all images are 16x16 as stored"
