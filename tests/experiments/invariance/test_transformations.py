"""Photos transformed as the network sees them: against slices, rotations and resizes done by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

import deconvnet
from deconvnet.errors import OptionError
from deconvnet.experiments.invariance.transformations import KINDS, TransformablePhoto, Transformation, parse_all
from deconvnet.networks.preprocessing import shortest_side


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rough = np.random.default_rng(5).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return rough.repeat(20, 0).repeat(20, 1)  # 180 x 240, large patches


@pytest.fixture(scope="module")
def square(photo) -> np.ndarray:
    return photo[:, :180]


@pytest.mark.parametrize("name", KINDS)
def test_the_identity_is_the_networks_view(small_network, photo, name):
    picture, filled = TransformablePhoto(small_network, photo).at(name, KINDS[name].identity)
    assert np.array_equal(picture, small_network.view(photo))
    assert filled == 0


@pytest.mark.parametrize(("name", "axis"), [("vertical", 0), ("horizontal", 1)])
def test_translation_moves_the_photo_under_the_crop(small_network, photo, name, axis):
    p = small_network.preprocessing
    resized = shortest_side(Image.fromarray(photo), p.resize)
    top, left = (resized.shape[0] - p.crop) // 2, (resized.shape[1] - p.crop) // 2
    start = (top, left)[axis]
    for value in (-3, 2, start, -start):  # as far as the photo reaches, nothing is filled
        picture, filled = TransformablePhoto(small_network, photo, "red").at(name, value)
        rows, columns = (top - value, left) if axis == 0 else (top, left - value)
        assert np.array_equal(picture, resized[rows : rows + p.crop, columns : columns + p.crop])
        assert filled == 0
    picture, filled = TransformablePhoto(small_network, photo, "red").at(name, start + 5)  # down or to the right
    edge = picture[:5] if axis == 0 else picture[:, :5]
    assert (edge == (255, 0, 0)).all()
    assert filled == pytest.approx(5 / p.crop)
    rest = picture[5:] if axis == 0 else picture[:, 5:]
    rows, columns = (slice(0, p.crop - 5), slice(left, left + p.crop))
    if axis == 1:
        rows, columns = slice(top, top + p.crop), slice(0, p.crop - 5)
    assert np.array_equal(rest, resized[rows, columns])


def test_what_lies_beyond_the_photo(small_network, photo):
    far = small_network.preprocessing.input_size  # wholly outside
    mean, filled = TransformablePhoto(small_network, photo, "mean").at("vertical", 10 * far)
    assert filled == 1
    assert (mean == 128).all()  # the mean 127.5, rounded
    edge, _ = TransformablePhoto(small_network, photo, "edge").at("vertical", 30)
    assert (edge[:10] == edge[0]).all()
    view = small_network.view(photo)
    gap = (small_network.preprocessing.resize - small_network.preprocessing.crop) // 2
    mirror, _ = TransformablePhoto(small_network, photo, "reflect").at("vertical", gap + 3)
    assert np.array_equal(mirror[:3], mirror[3:6][::-1])
    assert not np.array_equal(mirror, view)


def test_rotation_by_quarter_turns_is_exact(small_network, square):
    view = small_network.view(square)
    for turns in (1, 2, 3):
        picture, filled = TransformablePhoto(small_network, square).at("rotation", 90 * turns)
        assert np.array_equal(picture, np.rot90(view, turns))  # counterclockwise
        assert filled == 0


def test_rotation_fills_the_corners_only(small_network, square):
    picture, filled = TransformablePhoto(small_network, square, "red").at("rotation", 45)
    red = (picture == (255, 0, 0)).all(-1)
    p = small_network.preprocessing
    whole = p.crop
    x = np.abs(np.arange(whole) + 0.5 - whole / 2)
    outside = x[:, None] + x[None, :] > p.resize / np.sqrt(2)  # the square photo, standing on its corner
    assert outside.mean() > 0.05
    assert filled == pytest.approx(outside.mean(), abs=0.02)
    assert red.mean() == pytest.approx(filled, abs=0.02)
    assert red[0, 0]
    assert not red[whole // 2, whole // 2]


@pytest.mark.parametrize("scale", [1.1, 1.45, 1.8])
def test_scale_enlarges_the_photo_before_the_crop(small_network, photo, scale):
    p = small_network.preprocessing
    larger = dataclasses.replace(p, resize=round(p.resize * scale))
    picture, filled = TransformablePhoto(small_network, photo).at("scale", scale)
    assert np.array_equal(picture, larger.view(photo))
    assert filled == 0


def test_a_shrunk_photo_is_framed(small_network, square):
    picture, filled = TransformablePhoto(small_network, square, "red").at("scale", 0.5)
    p = small_network.preprocessing
    inside = round(p.resize * 0.5)
    assert filled == pytest.approx(1 - (inside / p.crop) ** 2)
    assert (picture == (255, 0, 0)).all(-1).mean() == pytest.approx(filled, abs=1e-9)


def test_brightness_and_blur(small_network, photo):
    view = small_network.view(photo).astype(np.float64)
    bright, _ = TransformablePhoto(small_network, photo).at("brightness", 1.3)
    assert np.array_equal(bright, np.rint(view * 1.3).clip(0, 255))
    assert bright.max() == 255
    blurred, _ = TransformablePhoto(small_network, photo).at("blur", 3)
    change = np.abs(np.diff(blurred.astype(int), axis=0)).max()
    assert change < np.abs(np.diff(view, axis=0)).max() / 2
    assert blurred.mean() == pytest.approx(view.mean(), abs=3)


def test_a_grey_network_with_a_border():
    network = deconvnet.load("lenet5", weights=None)
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    for name, value in (("vertical", 4), ("rotation", 30), ("scale", 1.5), ("brightness", 2), ("blur", 1)):
        picture, _ = TransformablePhoto(network, photo, "white").at(name, value)
        assert picture.shape == (32, 32, 3)
        assert (picture[..., 0] == picture[..., 1]).all()
        assert not picture[:2].any()  # the network's own border stays
        assert not picture[:, -2:].any()


def test_ranges_scale_with_the_input():
    assert Transformation.parse("vertical", 224).values == tuple(float(v) for v in range(-60, 61, 5))
    small = Transformation.parse("vertical", 64).values
    assert (small[0], small[-1]) == (-17, 17)  # 60 * 64 / 224, in whole pixels
    assert all(value == int(value) for value in small)
    assert 0 in small
    scale = Transformation.parse("scale", 64).values
    assert scale == pytest.approx(np.arange(1, 1.81, 0.05))
    assert Transformation.parse("rotation", 64).values == tuple(float(v) for v in range(0, 360, 10))
    assert Transformation.parse("vertical:-4:4:2", 64).values == (-4, -2, 0, 2, 4)
    assert Transformation.parse("blur", 112).values[-1] == 2.5


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("diagonal", "choose from vertical"),
        ("scale:1", "write scale:FIRST:LAST:STEP"),
        ("scale:1:x:2", "is no range"),
        ("scale:2:1:0.1", "is no range"),
        ("scale:0:1:0.5", "0.1 to 10"),
        ("vertical:0:nan:1", "is no range"),
        ("vertical:0:4000:1", "4001 steps"),
        ("scale:1:1.05:1", "leaves photos as they are"),
    ],
)
def test_refused_ranges(text, part):
    with pytest.raises(OptionError, match=part):
        Transformation.parse(text, 64)


def test_each_transformation_once():
    with pytest.raises(OptionError, match="twice"):
        parse_all(["scale", "scale:1:2:0.5"], 64)
    with pytest.raises(OptionError, match="at least one"):
        parse_all([], 64)


def test_refused_fills(small_network, photo):
    with pytest.raises(OptionError, match="cannot be 'noise'"):
        TransformablePhoto(small_network, photo, "noise")
    with pytest.raises(OptionError, match="no fill"):
        TransformablePhoto(small_network, photo, "heliotropic")
