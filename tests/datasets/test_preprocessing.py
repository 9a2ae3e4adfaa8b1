import numpy as np
import pytest
import synthetic

from jaxnoise.config import Config, InputError
from jaxnoise.datasets.preprocessing import as_stored, preprocessing
from jaxnoise.labels import noisy_dataset


def test_range_0_to_1_divides_by_255():
    images = synthetic.pictures(10, (28, 28, 3))
    mean, scale = preprocessing("range_0_to_1", images)
    assert mean.dtype == scale.dtype == np.float32 and mean.shape == (28, 28, 3)
    inputs = (images - mean) * scale
    assert inputs.dtype == np.float32
    # One rounding of 1/255 and one of the product: two units in the last place at most.
    np.testing.assert_array_max_ulp(inputs, images.astype(np.float32) / np.float32(255), maxulp=2)


def test_mean_substract_takes_off_the_mean_picture_and_divides_nothing():
    images = np.zeros((4, 28, 28, 1), np.uint8)
    images[0, 3, 5] = 2
    images[1, 3, 5] = 251
    mean, scale = preprocessing("mean_substract", images)
    assert mean.dtype == scale.dtype == np.float32 and scale == 1
    expected = np.zeros((28, 28, 1), np.float32)
    expected[3, 5] = 63.25
    np.testing.assert_array_equal(mean, expected)


def test_mean_substract_centres_every_pixel():
    images = synthetic.pictures(200, (32, 32, 3))
    mean, scale = preprocessing("mean_substract", images)
    # float32 rounds each mean of about 127 by 4e-6 at most.
    np.testing.assert_allclose(((images - mean) * scale).mean(0, dtype=np.float64), 0, atol=1e-5)


def test_unknown_preprocessing():
    with pytest.raises(InputError) as error:
        preprocessing("mean_subtract", np.zeros((1, 28, 28, 1), np.uint8))
    assert str(error.value) == (
        "--preprocess_mode=mean_subtract: allowed are range_0_to_1, mean_substract, mean_std"
    )


def test_mean_std_gives_every_channel_mean_0_and_variance_1():
    images = synthetic.pictures(50, (16, 20, 3)) // np.array([1, 2, 3], np.uint8)
    mean, scale = preprocessing("mean_std", images)
    assert mean.shape == (16, 20, 3) and scale.shape == (1, 1, 1, 3)
    assert mean.dtype == scale.dtype == np.float32
    inputs = np.float64((images - mean) * scale)
    np.testing.assert_allclose(inputs.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(inputs.std((0, 1, 2)), 1, rtol=1e-6)


def test_given_moments_are_shares_of_255():
    images = np.full((2, 16, 16, 3), 255, np.uint8)
    mean, scale = preprocessing(
        "mean_std", images, channel_mean=(0.5, 0.25, 0.0), channel_std=(0.1, 0.2, 0.5)
    )
    np.testing.assert_allclose(((images - mean) * scale)[0, 0, 0], [5, 3.75, 2], rtol=1e-6)


def test_a_run_uses_the_moments_it_is_given():
    settings = dict(dataset="digits", preprocess_mode="mean_std")
    splits = noisy_dataset.load_splits(Config(**settings, channel_mean="0.2", channel_std="0.25"))
    assert splits.preprocessing.scale == np.float32(1 / (255 * 0.25))
    np.testing.assert_array_equal(splits.preprocessing.mean, np.float32(255 * 0.2))
    training = noisy_dataset.load_splits(Config(**settings))
    images = training.images[training.split == 0]
    np.testing.assert_allclose(training.preprocessing.mean, images.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "given", "said"),
    [
        (np.zeros((2, 16, 16, 1), np.uint8), {}, "--preprocess_mode=mean_std: a channel of"),
        (
            synthetic.pictures(5, (16, 16, 1)),
            {"channel_mean": (0.1, 0.2), "channel_std": (0.1, 0.2)},
            "--channel_mean=0.1,0.2: allowed here: 1 number, one for each channel",
        ),
    ],
)
def test_moments_that_do_not_fit_are_refused(images, given, said):
    with pytest.raises(InputError, match=f"^{said}"):
        preprocessing("mean_std", images, **given)


# Pictures of a caller


GREY, COLOUR = (28, 28, 1), (16, 20, 3)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_stored_pictures_stay_as_they_are(shape):
    images = synthetic.pictures(3, shape)
    stored, single = as_stored(images, shape)
    assert stored is images and not single
    one, single = as_stored(images[1], shape)
    assert single
    np.testing.assert_array_equal(one, images[1:2])


def test_grey_pictures_need_no_channel():
    images = synthetic.pictures(3, GREY)
    for given, single in ((images[..., 0], False), (images[0, ..., 0], True)):
        stored, found = as_stored(given, GREY)
        assert found is single
        np.testing.assert_array_equal(stored, images[: len(stored)])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_shares_of_255_become_grey_levels(dtype):
    images = np.arange(256, dtype=np.uint8).repeat(4).reshape(-1, 16, 16, 1)
    stored, _ = as_stored((images / 255).astype(dtype), (16, 16, 1))
    assert stored.dtype == np.float32
    np.testing.assert_allclose(stored, images, atol=0.07 if dtype == "float16" else 1e-4)


@pytest.mark.parametrize("value, found", [
    (255.0, r"\[0, 255\]"), (-0.1, r"\[-0.1, 0\]"), (1.01, r"\[0, 1.01\]"), (np.inf, r"\[0, inf\]"),
    (np.nan, "NaN"),
])  # fmt: skip
def test_floats_outside_of_0_to_1_are_told(value, found):
    images = np.zeros((2, *GREY))
    images[1, 3, 4, 0] = value
    with pytest.raises(InputError, match=f"^images are float64 with values in {found}; allowed"):
        as_stored(images, GREY)


@pytest.mark.parametrize("images, shape", [
    (np.zeros((0, *GREY), "uint8"), GREY),
    (np.zeros((2, 28, 27, 1), "uint8"), GREY),
    (np.zeros((1, 2, *GREY), "uint8"), GREY),
    (np.zeros((2, *GREY), "int64"), GREY),
    (np.zeros((2, *GREY), "bool"), GREY),
    (np.zeros((), "uint8"), GREY),
    (np.zeros((2, 16, 20), "uint8"), COLOUR),
    (np.zeros((3, 16, 20), "uint8"), COLOUR),
    (np.zeros((2, 3, 16, 20), "float32"), COLOUR),
    (np.zeros((16, 20), "uint8"), COLOUR),
])  # fmt: skip
def test_other_dtypes_and_shapes_are_told(images, shape):
    allowed = ", ".join(map(str, shape))
    with pytest.raises(InputError, match=rf"allowed are .* of shape \(1 or more, {allowed}\)"):
        as_stored(images, shape)
