"""Projecting from Python, as the docstrings promise."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

import deconvnet
from deconvnet.errors import DataError, OptionError, UnitError, UnknownNameError
from deconvnet.figures.patches import FILL, cut_patch
from deconvnet.geometry import Box
from deconvnet.networks.layers import convolutions
from deconvnet.runs.files import read_arrays


@pytest.fixture(scope="module")
def photos(two_classes):
    return [deconvnet.read_photo(two_classes / name / "1.jpg") for name in ("red", "other")]


@pytest.fixture(scope="module")
def shown(small_network, photos):
    return deconvnet.project(small_network, photos[0], ["conv3:7", "conv5:17"])


def test_one_photo_one_unit(small_network, photos, shown):
    one = deconvnet.project(small_network, photos[0], "conv5:17")
    assert len(one) == 1
    assert one.units == (shown.units[1],)
    assert (one.pixels[0] == shown.pixels[1]).all()
    same = deconvnet.project(small_network, Image.fromarray(photos[0]), deconvnet.Unit("conv5", 17))
    assert (same.pixels == one.pixels).all()


def test_it_is_the_engine_on_the_preprocessed_photo(small_network, photos, shown):
    x = small_network.preprocess([photos[0]])
    for network in (small_network.module, small_network):
        plain = deconvnet.project(network, x, ["conv3:7", "conv5:17"])
        assert isinstance(plain, deconvnet.Projections)
        assert (plain.pixels == shown.pixels).all()
    guided = deconvnet.project(small_network, photos[0], "conv3:7", rule="guided")
    assert (guided.pixels[0] != shown.pixels[0]).any()


def test_several_photos_and_a_photo_for_each_unit(small_network, photos):
    every = deconvnet.project(small_network, photos, "conv3:7")
    assert every.photos == (0, 1)
    assert len(every.views) == 2
    paired = deconvnet.project(small_network, photos, ["conv3:7", "conv1:2"], per_photo=[1, 0])
    assert paired.photos == (1, 0)
    assert (paired.pixels[0] == every.pixels[1]).all()


def test_patch_and_projection_are_as_large_as_the_receptive_field(small_network, shown):
    for index, box in enumerate(shown.boxes):
        assert shown.patch(index).shape == (box.height, box.width, 3)
        assert shown.projection(index).shape == (3, box.height, box.width)
    view, box = shown.views[0], shown.boxes[0]
    inside = box.clip(*view.shape[:2])
    cut = shown.patch(0)[inside.top - box.top :, inside.left - box.left :][: inside.height, : inside.width]
    assert (cut == view[inside.top : inside.bottom, inside.left : inside.right]).all()


def test_a_patch_is_grey_outside_the_photo():
    view = np.zeros((4, 5, 3), np.uint8)
    view[0, 0] = 9
    patch = cut_patch(view, Box(-1, -2, 2, 1))
    assert patch.shape == (3, 3, 3)
    assert (patch[0] == FILL).all()
    assert (patch[:, :2] == FILL).all()
    assert (patch[1, 2] == 9).all()
    assert (patch[2, 2] == 0).all()
    assert (cut_patch(view, Box(10, 10, 12, 12)) == FILL).all()
    whole = cut_patch(view, None)
    assert (whole == view).all()
    assert not np.shares_memory(whole, view)


def test_plot_save_and_notebook_picture(small_network, photos, shown, tmp_path):
    figure = shown.plot(title="a title")
    words = {text.get_text() for text in figure.axes[0].texts}
    assert {"a title", *map(str, shown.units)} <= words
    png = shown._repr_png_()
    drawn = io.BytesIO()
    shown.plot().savefig(drawn, format="png")
    with Image.open(io.BytesIO(png)) as ours, Image.open(drawn) as plotted:
        assert (np.asarray(ours) == np.asarray(plotted)).all()
    second = deconvnet.project(small_network, photos, ["conv3:7"], per_photo=[1])
    assert second._repr_png_().startswith(b"\x89PNG")  # nothing was projected for photo 0
    assert repr(shown).startswith("Projections(2 projections")
    assert len(repr(shown)) < 120
    arrays = read_arrays(shown.save(tmp_path / "shown.safetensors"))
    assert (arrays["pixels"] == shown.pixels).all()
    assert (arrays["activations"] == shown.activations).all()
    assert (arrays["views"][0] == shown.views[0]).all()
    assert arrays["boxes"].tolist() == [list(box) for box in shown.boxes]


def test_plot_refuses_a_photo_that_is_not_there(small_network, photos, shown):
    for photo in (1, -1):
        with pytest.raises(OptionError, match="there is no photo"):
            shown.plot(photo)
    second = deconvnet.project(small_network, photos, ["conv3:7"], per_photo=[1])
    with pytest.raises(OptionError, match="no unit was projected for photo 0"):
        second.plot(0)


@pytest.mark.parametrize(
    "photo",
    [b"bytes", np.zeros((8, 8, 3)), np.zeros((2, 8, 8, 3), np.uint8), np.zeros((0, 8, 3), np.uint8), 3],
)
def test_what_is_no_photo_is_refused(small_network, photo):
    with pytest.raises(DataError, match="is not a photo: give a PIL image"):
        deconvnet.project(small_network, photo, "conv5:17")
    with pytest.raises(DataError, match="is not a photo: give a PIL image"):
        deconvnet.project(small_network, [photo], "conv5:17")


def test_a_path_is_a_photo(small_network, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    found = deconvnet.project(small_network, tmp_path / "cat.png", "conv2:3")
    same = deconvnet.project(small_network, pixels, "conv2:3")
    np.testing.assert_array_equal(found.pixels, same.pixels)
    with pytest.raises(DataError, match=r"there is no file or folder 'cat\.jpg'"):
        deconvnet.project(small_network, "cat.jpg", "conv2:3")


def test_refusals(small_network, photos):
    with pytest.raises(DataError, match="there is no photo"):
        deconvnet.project(small_network, [], "conv5:17")
    with pytest.raises(OptionError, match="a plain module takes a float tensor"):
        deconvnet.project(small_network.module, photos, "conv5:17")
    with pytest.raises(UnknownNameError, match="did you mean"):
        deconvnet.project(small_network, photos, "conv55:1")
    with pytest.raises(UnitError):
        deconvnet.project(small_network, photos, "conv5:256")


def test_strongest_units_agree_with_a_slow_search(small_network, photos):
    view = small_network.view(photos[1])
    units = deconvnet.strongest_units(small_network, view, ["conv2", "fc8", "conv2"], 5)
    x, maps = small_network.preprocessing.tensor([view]), {}
    with torch.inference_mode():
        for name, part in small_network.module.named_children():
            x = part(x)
            maps[name] = x[0].clone()
    best = sorted(range(256), key=lambda channel: (-float(maps["conv2"][channel].max()), channel))[:5]
    assert [unit.channel for unit in units if unit.layer == "conv2"] == best
    for unit in units[:5]:
        assert maps["conv2"][unit.channel][unit.position] == maps["conv2"][unit.channel].max()
    scores = [unit for unit in units if unit.layer == "fc8"]
    assert [unit.channel for unit in scores] == [
        int(c) for c in maps["fc8"].argsort(descending=True) if maps["fc8"][c] > 0
    ]
    assert all(unit.position is None for unit in scores)


def test_convolutions_in_order(small_network):
    assert convolutions(small_network) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
