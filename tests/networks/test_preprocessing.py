"""From a photo to a network's input, against Pillow and numpy by hand."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from deconvnet.errors import DataError, OptionError
from deconvnet.networks import Preprocessing, lenet_preprocessing

MEAN = np.array([120, 110, 100], np.float32).reshape(3, 1, 1)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def small() -> Preprocessing:
    return Preprocessing(input_size=28, resize=32, mean=MEAN)


@pytest.mark.parametrize(
    ("height", "width", "resized"), [(64, 100, (50, 32)), (100, 64, (32, 50)), (32, 32, (32, 32)), (16, 20, (40, 32))]
)
def test_view_is_resize_and_centre(small: Preprocessing, height: int, width: int, resized: tuple[int, int]) -> None:
    photo = noise(height, width)
    whole = np.asarray(Image.fromarray(photo).resize(resized, Image.Resampling.BICUBIC))
    top, left = (whole.shape[0] - 28) // 2, (whole.shape[1] - 28) // 2
    view = small.view(photo)
    assert view.dtype == np.uint8
    np.testing.assert_array_equal(view, whole[top : top + 28, left : left + 28])
    np.testing.assert_array_equal(small.view(Image.fromarray(photo)), view)


def test_a_photo_of_the_right_size_is_not_resampled(small: Preprocessing) -> None:
    photo = noise(32, 44)
    np.testing.assert_array_equal(small.view(photo), photo[2:30, 8:36])


def test_ten_crops_are_corners_and_centre_of_the_square_and_mirrors(small: Preprocessing) -> None:
    photo = noise(32, 44)  # needs no resize; the central square is columns 6 to 38
    crops = small.ten_crops(photo)
    corners = [(0, 6), (0, 10), (4, 6), (4, 10), (2, 8)]
    assert len(crops) == 10
    for (top, left), crop, mirror in zip(corners, crops[:5], crops[5:], strict=True):
        np.testing.assert_array_equal(crop, photo[top : top + 28, left : left + 28])
        np.testing.assert_array_equal(mirror, crop[:, ::-1])
    np.testing.assert_array_equal(crops[4], small.view(photo))


def test_tensor_subtracts_the_mean_and_divides() -> None:
    p = Preprocessing(28, 32, MEAN, scale=58.0)
    views = [noise(28, 28, 1), noise(28, 28, 2)]
    x = p.tensor(views)
    assert x.shape == (2, 3, 28, 28)
    assert x.dtype == torch.float32
    for n, y, column, c in [(0, 0, 0, 0), (1, 27, 3, 1), (1, 5, 27, 2)]:
        expected = (float(views[n][y, column, c]) - float(MEAN[c, 0, 0])) / 58
        assert x[n, c, y, column].item() == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(p([Image.fromarray(v).resize((32, 32)) for v in views]).shape, x.shape)


def test_the_papers_range_and_per_pixel_mean() -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (3, 28, 28)).astype(np.float32)
    p = Preprocessing(28, 28, mean)
    view = noise(28, 28)
    expected = view.astype(np.float32).transpose(2, 0, 1) - mean
    np.testing.assert_array_equal(p.tensor([view])[0].numpy(), expected)


def test_call_is_view_then_tensor(small: Preprocessing) -> None:
    photos = [noise(40, 60), Image.fromarray(noise(90, 33, 3))]
    assert torch.equal(small(photos), small.tensor([small.view(photo) for photo in photos]))


def test_grey_photos_become_three_equal_channels(small: Preprocessing) -> None:
    grey = noise(32, 32)[:, :, 0]
    for photo in (grey, Image.fromarray(grey), np.repeat(grey[:, :, None], 3, 2)):
        np.testing.assert_array_equal(small.view(photo), np.repeat(grey[2:30, 2:30, None], 3, 2))


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "CMYK", "LA"])
def test_pillow_images_of_every_mode(small: Preprocessing, mode: str) -> None:
    image = Image.fromarray(noise(40, 40)).convert(mode)
    np.testing.assert_array_equal(small.view(image), small.view(image.convert("RGB")))


def test_a_pillow_image_is_turned_upright(small: Preprocessing) -> None:
    upright = Image.fromarray(noise(40, 50))
    lying, saved = upright.transpose(Image.Transpose.ROTATE_90), io.BytesIO()
    exif = lying.getexif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned by 270 degrees
    lying.save(saved, "PNG", exif=exif)
    np.testing.assert_array_equal(small.view(Image.open(saved)), small.view(upright))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (3, 1), (2, 7)])
def test_tiny_photos(small: Preprocessing, height: int, width: int) -> None:
    photo = np.full((height, width, 3), (10, 200, 30), np.uint8)
    assert small.view(photo).shape == (28, 28, 3)
    assert (small.view(photo) == (10, 200, 30)).all()
    assert len(small.ten_crops(photo)) == 10


def test_long_strips_show_their_middle_and_take_no_memory(small: Preprocessing) -> None:
    """Resized in full, the strip would be 32 x 12,800,000 pixels, 1.2 GB."""
    strip = np.zeros((1, 400_000, 3), np.uint8)
    strip[:, 199_990:200_010] = (0, 255, 0)
    assert (small.view(strip) == (0, 255, 0)).all()
    assert (small.view(strip.transpose(1, 0, 2)) == (0, 255, 0)).all()


def test_a_photo_32_times_as_long_as_wide_is_still_whole() -> None:
    p = Preprocessing(4, 4, MEAN)
    photo = noise(4, 128)
    np.testing.assert_array_equal(p.view(photo), photo[:, 62:66])


def test_lenet_reads_white_ink_on_black_in_a_border() -> None:
    p = lenet_preprocessing()
    digit = np.zeros((28, 28), np.uint8)
    digit[3, 4] = 255
    x = p([digit])
    assert x.shape == (1, 1, 32, 32)
    assert x[0, 0, 5, 6].item() == pytest.approx(1.175, abs=1e-6)
    others = x.flatten()[torch.arange(1024) != 5 * 32 + 6]
    torch.testing.assert_close(others, torch.full((1023,), -0.1), atol=1e-6, rtol=0)
    view = p.view(digit)
    assert view.shape == (32, 32, 3)
    assert (view[5, 6] == 255).all()
    np.testing.assert_array_equal(p.view(np.repeat(digit[:, :, None], 3, 2)), view)


def test_no_photos_give_no_inputs(small: Preprocessing) -> None:
    assert small([]).shape == (0, 3, 28, 28)


def test_the_photo_is_left_alone(small: Preprocessing) -> None:
    photo = noise(28, 28)
    before = photo.copy()
    Preprocessing(28, 28, MEAN).view(photo)
    small.ten_crops(photo)
    np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((8, 8, 3)), "not a float64 array of shape (8, 8, 3)"),
        (np.zeros((8, 8, 4), np.uint8), "not a uint8 array of shape (8, 8, 4)"),
        (np.zeros((3, 8, 8), np.uint8), "not a uint8 array of shape (3, 8, 8)"),
        (np.zeros((0, 8, 3), np.uint8), "has no pixels"),
        ("photo.jpg", "read it with deconvnet.data.read_photo"),
    ],
)
def test_what_is_no_photo_is_refused(small: Preprocessing, photo: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        small.view(photo)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_views_of_another_size_are_refused(small: Preprocessing) -> None:
    with pytest.raises(DataError, match=r"shape \(20, 20, 3\) does not fit a network that sees 28 x 28 px"):
        small.tensor([noise(20, 20)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": 27}, "must not be smaller than the crop"),
        ({"mean": MEAN[:1]}, "does not fit"),
        ({"mean": np.zeros((3, 27, 27), np.float32)}, "does not fit"),
        ({"channels": 4}, "1 channel"),
        ({"scale": 0.0}, "must be positive"),
        ({"border": 14}, "nothing is left"),
        ({"border": -1}, "nothing is left"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Preprocessing(**{"input_size": 28, "resize": 32, "mean": MEAN, **settings})


def test_the_record_makes_it_again(small: Preprocessing) -> None:
    again = Preprocessing(mean=small.mean, **small.record())
    assert again.record() == small.record()
    photo = noise(50, 70)
    assert torch.equal(again([photo]), small([photo]))


def test_a_scale_for_each_channel() -> None:
    p = Preprocessing(4, 4, np.zeros((3, 1, 1), np.float32), (1.0, 2.0, 4.0), interpolation="bilinear")
    assert p.tensor([np.full((4, 4, 3), 8, np.uint8)])[0, :, 0, 0].tolist() == [8, 4, 2]
    stored = json.loads(json.dumps(p.record()))
    again = Preprocessing(mean=p.mean, **stored)
    assert (again.scale, again.interpolation) == (p.scale, "bilinear")
    assert "interpolation" not in Preprocessing(4, 4, p.mean).record()  # files from before do not name it


def test_photos_are_resized_by_the_named_filter() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    views = {}
    for name, kind in (("bicubic", Image.Resampling.BICUBIC), ("bilinear", Image.Resampling.BILINEAR)):
        views[name] = Preprocessing(8, 8, np.zeros((3, 1, 1), np.float32), interpolation=name).view(photo)
        assert np.array_equal(views[name], np.asarray(Image.fromarray(photo).resize((8, 8), kind)))
    assert not np.array_equal(views["bicubic"], views["bilinear"])


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"scale": (1.0, 2.0)}, "one for each of 3 channels"),
        ({"scale": (1.0, 0.0, 2.0)}, "must be positive"),
        ({"interpolation": "random"}, "choose from"),
    ],
)
def test_refused_scales_and_filters(options: dict, part: str) -> None:
    with pytest.raises(OptionError, match=part):
        Preprocessing(4, 4, np.zeros((3, 1, 1), np.float32), **options)
