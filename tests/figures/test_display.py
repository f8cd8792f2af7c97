"""The display rule, its exact values, and the composing of small pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from deconvnet.errors import OptionError
from deconvnet.figures import display, display_scale, enlarge, filters_image, shrink, tile
from deconvnet.figures.display import MID_GREY

MID = 128  # 127.5, to even


def grey(values: list[float]) -> list[int]:
    return display(np.array([[values]]))[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([-1.0, 0.0, 2.0], [64, MID, 255]),  # max rules: -1 / 4 + 0.5 = 0.25
        ([-2.0, 0.0, 1.0], [0, MID, 191]),  # min rules: 1 / 4 + 0.5 = 0.75
        ([0.0, 0.5, 1.0], [MID, 191, 255]),  # nothing negative: zero stays mid-grey
        ([-1.0, -0.5, 0.0], [0, 64, MID]),
        ([0.0, 0.0, 0.0], [MID, MID, MID]),
        ([-1e-30, 0.0, 1e-30], [0, MID, 255]),
    ],
)
def test_rule(values: list[float], drawn: list[int]) -> None:
    assert MID_GREY == MID
    assert grey(values) == drawn


def test_channels_share_one_scale_and_come_last() -> None:
    pixels = np.zeros((3, 4, 5), np.float32)
    pixels[0, 1, 2], pixels[2, 3, 4] = 4.0, -2.0
    picture = display(pixels)
    assert picture.shape == (4, 5, 3)
    assert picture.dtype == np.uint8
    assert picture[1, 2].tolist() == [255, MID, MID]
    assert picture[3, 4].tolist() == [MID, MID, 64]
    assert display_scale(pixels) == 4.0


def test_scale_is_the_value_drawn_at_full_strength() -> None:
    assert display_scale(np.array([-3.0, 2.0])) == 3.0
    assert display_scale(np.array([-3.0, 5.0])) == 5.0
    assert display_scale(np.zeros((3, 2, 2))) == 0.0


@given(
    arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=2, max_side=6).map(lambda s: (3, *s)),
        elements=st.floats(-1e300, 1e300),
    )
)
def test_scaling_the_input_changes_nothing_and_zero_is_mid_grey(pixels: np.ndarray) -> None:
    picture = display(pixels)
    assert (picture.transpose(2, 0, 1)[pixels == 0] == MID).all()
    assert (display(pixels * 2.0**-3) == picture).all() or display_scale(pixels) < 1e-290
    if pixels.any():
        assert picture.max() == 255 or picture.min() == 0


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 4, 4)), np.zeros((4, 4)), np.zeros((3, 0, 4)), np.full((3, 2, 2), np.nan)]
)
def test_what_cannot_be_displayed_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(OptionError, match="cannot display an array of shape"):
        display(bad)


def test_tile_places_row_by_row_with_gaps() -> None:
    pictures = [np.full((2, 3, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = tile(pictures, columns=2, gap=1)
    assert sheet.shape == (5, 7, 3)
    expected = np.full((5, 7), 255)
    expected[0:2, 0:3], expected[0:2, 4:7], expected[3:5, 0:3] = 10, 20, 30
    assert (sheet == expected[..., None]).all()


def test_tile_centres_smaller_pictures() -> None:
    sheet = tile([np.zeros((4, 4, 3), np.uint8), np.full((2, 2, 3), 9, np.uint8)], columns=2, gap=0, background=200)
    assert (sheet[1:3, 5:7] == 9).all()
    assert (sheet[:, 4] == 200).all()


@pytest.mark.parametrize(
    ("pictures", "columns", "gap"),
    [
        ([], 1, 0),
        ([np.zeros((2, 2, 3))], 1, 0),
        ([np.zeros((2, 2, 3), np.uint8)], 0, 0),
        ([np.zeros((2, 2, 3), np.uint8)], 1, -1),
    ],
)
def test_tile_refuses(pictures: list[np.ndarray], columns: int, gap: int) -> None:
    with pytest.raises(OptionError):
        tile(pictures, columns, gap)


def test_enlarge_and_shrink() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert enlarge(picture, 3).shape == (6, 6, 3)
    assert (enlarge(picture, 3)[3:, :3] == picture[1, 0]).all()
    assert shrink(np.zeros((40, 20, 3), np.uint8), 10).shape == (10, 5, 3)
    assert shrink(picture, 10) is picture


def test_each_filter_has_its_own_scale() -> None:
    weights = np.zeros((6, 3, 5, 5))
    weights[0, :, 0, 0], weights[1, :, 0, 0] = 1e-6, 100.0
    picture = filters_image(weights, columns=3)
    assert picture.shape == (11, 17, 3)
    assert picture[0, 0].tolist() == picture[0, 6].tolist() == [255] * 3
    assert picture[1, 1].tolist() == [MID] * 3
    assert filters_image(weights, columns=3, zoom=4).shape == (44, 68, 3)
    assert filters_image(np.ones((96, 3, 7, 7))).shape == (63, 95, 3)  # 12 a row, 8 rows
    assert filters_image(np.ones((6, 1, 5, 5))).shape == (11, 17, 3)


@pytest.mark.parametrize("shape", [(16, 96, 5, 5), (96, 7, 7), (0, 3, 7, 7)])
def test_what_is_not_a_first_layer_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="cannot be drawn as filters"):
        filters_image(np.ones(shape))
