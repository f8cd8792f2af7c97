"""Activation maps over a photo: where each cell lies, what is coloured, the run, the command and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import noise
from torch import nn

from deconvnet.errors import ModelError, OptionError, RunError, UnknownNameError
from deconvnet.experiments.maps import MapsRecord, draw_maps
from deconvnet.experiments.maps.figure import overlay
from deconvnet.experiments.maps.record import centres, nearest
from deconvnet.geometry import ReceptiveField
from deconvnet.runs import Run
from deconvnet.tracing.receptive import receptive_fields


@pytest.mark.parametrize(("stride", "padding", "kernel"), [(2, 3, 7), (3, 0, 4), (1, 2, 5), (4, 1, 3)])
def test_cells_lie_in_the_middle_of_what_the_gradient_reaches(stride, padding, kernel):
    """The pixels that a unit depends on, by autograd; of those whose reach no border cuts, the middle is the centre."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, kernel, stride, padding), nn.AvgPool2d(3, 2, 1), nn.Conv2d(2, 1, 3))
    pixels = torch.rand(1, 1, 61, 61, requires_grad=True)
    output = model(pixels)[0, 0]
    field = receptive_fields(model, (1, 61, 61))["2"].rows
    assert field is not None
    places, tried = centres(field, len(output)), 0
    for cell in range(len(output)):
        (gradient,) = torch.autograd.grad(output[cell, cell], pixels, retain_graph=True)
        reached = gradient[0, 0].abs().sum(1).nonzero()[:, 0]
        if reached[0] > 0 and reached[-1] < 60:
            assert places[cell] == (reached[0] + reached[-1]).item() / 2
            tried += 1
    assert tried


@pytest.mark.parametrize("field", [ReceptiveField(11, 4, -3), ReceptiveField(6, 3, 2), ReceptiveField(5, 1, -2)])
def test_each_pixel_shows_the_cell_with_the_nearest_centre(field):
    cells, pixels = 7, 40
    shown = nearest(field, cells, pixels)
    middles = [field.start + i * field.stride + (field.size - 1) / 2 for i in range(cells)]
    for pixel in range(pixels):
        away = [abs(pixel - middle) for middle in middles]
        if min(away) > field.stride / 2:
            assert shown[pixel] == -1
        elif shown[pixel] == -1:
            assert min(away) == field.stride / 2  # just outside the last cell
        else:
            assert away[shown[pixel]] == min(away)
    assert len(set(shown)) > 2


def one_cell(smooth: bool) -> MapsRecord:
    values = np.full((2, 5, 6), -1, np.float32)
    values[0, 2, 3], values[0, 2, 4] = 8, 2
    view = noise(20, 24, 1)
    rows, columns = ReceptiveField(7, 4, -2), ReceptiveField(3, 4, 1)
    return MapsRecord("net", "cat", "conv", (3, 1), view, values, rows, columns, smooth)


def test_the_cell_s_pixels_are_coloured_and_no_other():
    record = one_cell(smooth=False)
    heat = record.heat(0)
    expected = np.zeros((20, 24))
    expected[7:11, 12:16] = 8  # centre at row -2 + 3 + 2 * 4 = 9, column 1 + 1 + 3 * 4 = 14, four pixels around each
    expected[7:11, 16:20] = 2
    np.testing.assert_array_equal(heat, expected)
    picture = overlay(record, 0)
    grey = np.rint(record.view.astype(float).mean(2)).astype(np.uint8)
    assert (picture[expected == 0] == grey[expected == 0][:, None]).all()
    assert (picture[expected == 8] == (224, 0, 122)).all()
    assert (overlay(record, 1) == grey[..., None]).all()  # a map without positive values colours nothing


def test_smooth_goes_straight_from_centre_to_centre():
    heat = one_cell(smooth=True).heat(0)
    np.testing.assert_allclose(heat[9, 10:19], [0, 2, 4, 6, 8, 6.5, 5, 3.5, 2])
    np.testing.assert_allclose(heat[5:14, 14], [0, 2, 4, 6, 8, 6, 4, 2, 0])


def test_cells_outside_are_counted():
    record = MapsRecord(
        "net", "cat", "conv", (0,), noise(8, 8, 0), np.ones((1, 4, 4), np.float32),
        ReceptiveField(1, 4, -2), ReceptiveField(1, 2, 0),
    )  # fmt: skip
    assert record.cells_outside == 16 - 2 * 4  # rows at -2, 2, 6, 10 and columns at 0, 2, 4, 6


def test_values_are_the_layer_s_and_the_strongest_maps_come_first(small_network):
    photo = noise(70, 90, 4) + 80
    outputs: list[torch.Tensor] = []
    hook = small_network.module.get_submodule("conv3").register_forward_hook(
        lambda _m, _i, output: outputs.append(output.detach().clone())
    )
    with torch.no_grad():
        small_network.module(small_network.preprocess([photo]))
    hook.remove()
    found = draw_maps(small_network, photo, "conv3", top=4)
    largest = outputs[0][0].amax((1, 2))
    assert list(found.channels) == largest.argsort(descending=True)[:4].tolist()
    for index, channel in enumerate(found.channels):
        np.testing.assert_allclose(found.values[index], outputs[0][0, channel].numpy(), rtol=1e-5, atol=1e-6)
    assert draw_maps(small_network, photo, "conv3", [5, 2]).channels == (5, 2)


def test_a_run_reads_back(small_network, tmp_path):
    found = draw_maps(small_network, noise(70, 90, 4) + 80, "conv2", top=2, smooth=True, name="cat.jpg")
    run = found.save(tmp_path / "run")
    again = MapsRecord.read(Run.open(run.path))
    for name in ("network", "photo", "layer", "channels", "rows", "columns", "smooth"):
        assert getattr(again, name) == getattr(found, name)
    np.testing.assert_array_equal(again.values, found.values)
    np.testing.assert_array_equal(overlay(again, 1), overlay(found, 1))
    with pytest.raises(RunError, match="kind 'mine'"):
        MapsRecord.read(Run.create(tmp_path / "mine", "mine", {}, {}))


def test_command(command, refused, small_weights, tmp_path):
    Image.fromarray(noise(70, 90, 4) + 80).save(tmp_path / "cat.jpg")
    answer = command("maps", small_weights, "cat.jpg", "--layer", "conv2", "--map", 3, "--map", 7, "--run", "run")
    assert answer.code == 0, answer
    assert [line.split()[0] for line in answer.out.splitlines()[:2]] == ["conv2:3", "conv2:7"]
    assert MapsRecord.read(Run.open(tmp_path / "run")).channels == (3, 7)
    with Image.open(tmp_path / "maps.png") as picture:
        assert picture.width > 900
    assert "did you mean" in refused("maps", small_weights, "cat.jpg", "--layer", "conv22", "--out", "b.png")


def test_refused(small_network):
    photo = noise(70, 90, 4) + 80
    with pytest.raises(ModelError, match="'fc6' sees the whole photo"):
        draw_maps(small_network, photo, "fc6")
    with pytest.raises(OptionError, match="maps 0 to 255, and 256 is none"):
        draw_maps(small_network, photo, "conv2", [256])
    with pytest.raises(OptionError, match="at least 1, not 0"):
        draw_maps(small_network, photo, "conv2", top=0)
    with pytest.raises(UnknownNameError):
        draw_maps(small_network, photo, "conv9")
