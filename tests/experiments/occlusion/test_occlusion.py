"""Figure 7 against loops over positions, against Captum, and on networks of which the answer is known."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from tests.conftest import noise
from torch import nn

import deconvnet
from deconvnet.errors import DataError, ModelError, OptionError, RunError, UnknownNameError
from deconvnet.experiments.occlusion import Occluder, OcclusionReport, occlude, recorded_layer
from deconvnet.experiments.occlusion.record import OcclusionMap, OcclusionRecord
from deconvnet.networks import Network, Preprocessing
from deconvnet.perturbations.fills import make_fill

PHOTO = noise(80, 70, 1) * 3
EVERY_SECOND = slice(None, None, 2)


def spot() -> Network:
    """Sees 32 x 32 px; class "spot" depends on the 8 x 8 px in rows 8 to 15 and columns 16 to 23 alone."""
    conv, last = nn.Conv2d(3, 2, 8, 8), nn.Linear(32, 2)
    for part in (conv, last):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    with torch.no_grad():
        conv.weight[0] = 1 / 192
        conv.weight[1] = -1 / 192
        last.weight[0, 1 * 4 + 2] = 4.0
    module = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), last).eval()
    return Network("spot", module, Preprocessing(32, 32, np.full((3, 1, 1), 100, np.float32), 50.0), ("spot", "other"))


def by_loops(network: Network, photo: np.ndarray, windows: np.ndarray, fill: np.ndarray, layer: str):
    """Logits, sums of the positive part and maxima of a layer, in float64, one position after the other."""
    module = copy.deepcopy(network.module).double()
    heard: list[torch.Tensor] = []
    module.get_submodule(layer).register_forward_hook(lambda _m, _i, output: heard.append(output.clone()))
    clean = network.preprocess([photo])[0].double().numpy()
    answers = []
    for top, left, bottom, right in windows.tolist():
        covered = clean.copy()
        for row in range(max(top, 0), min(bottom, covered.shape[1])):
            for column in range(max(left, 0), min(right, covered.shape[2])):
                covered[:, row, column] = fill[:, row, column]
        with torch.no_grad():
            logits = module(torch.from_numpy(covered)[None])[0].numpy()
        maps = heard.pop()[0].numpy()
        answers.append((logits, np.maximum(maps, 0).sum((1, 2)), maps.max((1, 2))))
    return [np.stack(each) for each in zip(*answers, strict=True)]


def agree(found: OcclusionMap, expected: list[np.ndarray]) -> None:
    for name, each in zip(("logits", "sums", "maxima"), expected, strict=True):
        mine = getattr(found, name).reshape(each.shape)
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, each, rtol=1e-4, atol=1e-5 * np.abs(each).max(), err_msg=name)


@pytest.mark.parametrize("border", ["inside", "cut", "partial"])
@pytest.mark.parametrize("fill", ["mean", "noise", "#20ff00"])
def test_every_position_equals_a_loop(small_network, border, fill):
    occluder = Occluder(small_network, PHOTO, layer="conv4")
    grid = occluder.grid((24, 14), (19, 26), border)
    _, covering = make_fill(small_network, small_network.view(PHOTO), fill, grid.size)
    expected = by_loops(small_network, PHOTO, grid.windows, covering.numpy(), "conv4")
    found = occluder.map(grid, fill)
    assert found.logits.shape == (*grid.shape, 5)
    agree(found, expected)
    clean = by_loops(small_network, PHOTO, np.array([[0, 0, 0, 0]]), covering.numpy(), "conv4")
    for name, each in zip(("clean_logits", "clean_sums", "clean_maxima"), clean, strict=True):
        np.testing.assert_allclose(getattr(found, name), each[0], rtol=1e-4, atol=1e-5 * np.abs(each).max())
    assert (
        np.ptp(found.logits, axis=(0, 1)).max()
        > 100 * np.abs(found.logits - expected[0].reshape(found.logits.shape)).max()
    )


def test_a_coarse_map_first_then_finer_ones_and_no_position_twice(small_network):
    occluder = Occluder(small_network, PHOTO, layer="conv3")
    grid = occluder.grid((20, 20), 4)
    assert grid.shape == (12, 12)
    counts: list[int] = []
    steps = list(occluder.steps(grid, "grey", lambda done, total: counts.append(done) or counts.append(total)))
    assert [each.step for each in steps] == [2, 1]
    assert [each.grid.shape for each in steps] == [(6, 6), (12, 12)]
    assert counts[1::2] == [144] * (len(counts) // 2)
    assert counts[0::2] == sorted(counts[0::2])
    assert counts[-2] == 144
    assert 36 in counts[0::2]
    whole = occluder.map(grid, "grey")
    for name in ("logits", "sums", "maxima"):
        direct = getattr(whole, name)
        np.testing.assert_allclose(getattr(steps[-1], name), direct, rtol=1e-4, atol=1e-5 * np.abs(direct).max())
        np.testing.assert_array_equal(getattr(steps[0], name), getattr(steps[1], name)[EVERY_SECOND, EVERY_SECOND])
    np.testing.assert_array_equal(steps[0].grid.tops, grid.tops[::2])


def test_small_grids_have_one_step(small_network):
    occluder = Occluder(small_network, PHOTO, layer="conv1")
    assert [each.step for each in occluder.steps(occluder.grid(60, 4, "cut"))] == [1]


def test_means_by_pixel_equal_captum(small_network):
    captum = pytest.importorskip("captum.attr")
    occluder = Occluder(small_network, PHOTO)
    grid = occluder.grid((20, 16), (9, 11), "cut")
    found = occluder.map(grid, "grey")
    _, fill = make_fill(small_network, occluder.view, "grey", grid.size)
    theirs = captum.Occlusion(small_network.module).attribute(
        small_network.preprocess([PHOTO]), (3, 20, 16), (3, 9, 11), baselines=fill[None], target=2
    )
    mine = found.per_pixel(2, "logit")
    assert np.abs(mine).max() > 0.001
    np.testing.assert_allclose(mine, theirs[0, 0].numpy(), atol=1e-3 * np.abs(mine).max())


def test_only_squares_over_the_spot_matter():
    photo = np.full((32, 32, 3), 250, np.uint8)
    found = occlude(spot(), [("bright", photo)], size=4, stride=4, layer="0", fills=["mean"]).photos[0]
    drop = found.maps[0].drop(0, "logit")
    expected = np.zeros((8, 8))
    expected[2:4, 4:6] = 4 * 3.0 / 4  # a quarter of the spot is covered: 150 / 50 becomes 0 there
    np.testing.assert_allclose(drop, expected, atol=1e-5)
    assert (found.label_name, found.given, found.channel) == ("spot", False, 0)
    assert found.projections[0].unit.channel == 0
    by_pixel = found.maps[0].per_pixel(0, "logit")
    assert np.argwhere(by_pixel > 1).min(0).tolist() == [8, 16]
    assert np.argwhere(by_pixel > 1).max(0).tolist() == [15, 23]
    activity = found.maps[0].sums[..., 0]
    np.testing.assert_allclose(activity, 16 * 3.0 - 3.0 / 4, rtol=1e-5)  # each square covers a quarter of one cell


def test_several_photos_and_fills_with_progress(small_network):
    steps: list[OcclusionReport] = []
    checked: list[object] = []
    photos = [("a.jpg", PHOTO), ("b.jpg", noise(64, 64, 5))]
    result = occlude(
        small_network,
        photos,
        size=32,
        stride=8,
        fills=["grey", "blur", "grey"],
        layer="conv5",
        ready=lambda settings, inputs: checked.extend([settings, inputs, len(steps)]),
        progress=steps.append,
    )
    assert [photo.name for photo in result.photos] == ["a.jpg", "b.jpg"]
    assert [found.fill.name for found in result.photos[0].maps] == ["grey", "blur"]
    settings, inputs, begun = checked
    assert begun == 0
    assert settings["fills"] == ["grey", "blur"]  # type: ignore[index]
    assert settings["size"] == [32, 32]  # type: ignore[index]
    assert inputs["photos"] == ["a.jpg", "b.jpg"]  # type: ignore[index]
    assert {step.total for step in steps} == {4 * 25}
    assert {step.what for step in steps} == {
        f"{name}, {fill}" for name in ("a.jpg", "b.jpg") for fill in ("grey", "blur")
    }
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    last = [step for step in steps if step.map is not None and step.map.step == 1]
    assert [step.done for step in last] == [25, 50, 75, 100]
    for (_, photo), found in zip(photos, result.photos, strict=True):
        alone = Occluder(small_network, photo, layer="conv5")
        for each in found.maps:
            np.testing.assert_allclose(each.logits, alone.map(each.grid, each.fill.name).logits, rtol=1e-4, atol=1e-6)
        assert found.label == int(small_network.probabilities([photo]).argmax())
        assert found.channel == int(found.maps[0].clean_maxima.argmax())
        assert not found.given
    by_sum = occlude(small_network, photos[:1], size=40, stride=24, strongest="sum").photos[0]
    assert by_sum.channel == int(by_sum.maps[0].clean_sums.argmax())
    chosen = occlude(small_network, photos[:1], size=40, stride=24, channel=7, labels=["dog"]).photos[0]
    assert (chosen.channel, chosen.label_name, chosen.given) == (7, "dog", True)


def test_the_square_is_as_large_a_share_of_any_photo(small_network):
    grid = Occluder(small_network, PHOTO).grid()
    assert (grid.size, grid.stride) == ((14, 14), (2, 2))  # 50 and 8 px of 224


def test_a_record_of_a_network_round_trips(small_network, tmp_path):
    result = occlude(small_network, [("a.jpg", PHOTO)], size=40, stride=12, fills=["noise:3"])
    run = result.save(tmp_path / "run")
    assert run.finished
    assert run.settings["size"] == [40, 40]
    back = OcclusionRecord.read(deconvnet.Run.open(tmp_path / "run")).photos[0]
    np.testing.assert_array_equal(back.maps[0].logits, result.photos[0].maps[0].logits)
    np.testing.assert_array_equal(back.projections[0].pixels, result.photos[0].projections[0].pixels)
    assert back.projections[0].box == result.photos[0].projections[0].box
    with pytest.raises(RunError, match="holds a occlude run already"):
        result.save(tmp_path / "run")


@pytest.fixture(scope="module")
def mined(small_network, small_weights, two_classes, tmp_path_factory):
    return deconvnet.mine(
        small_network,
        deconvnet.open_photos(two_classes),
        tmp_path_factory.mktemp("mined") / "run",
        layers=["conv5"],
        weights=str(small_weights),
    )


def test_projections_from_other_photos_of_a_mining_run(small_network, two_classes, mined):
    photos = deconvnet.open_photos(two_classes)
    from deconvnet.mining.run_record import MiningRecord

    top = MiningRecord.read(mined).mined["conv5"]
    channel = int(top.values[:, 3].argmax())
    winners = top.winners(channel)
    own = winners[1].photo  # the photo itself is among its map's winners
    result = occlude(
        small_network, [("own", photos.read(own))], size=40, stride=24, channel=channel, layer="conv5", mined=mined
    )
    shown = result.photos[0].projections
    others = [winners[i] for i in (0, 2, 3)]
    assert [each.photo for each in shown] == ["own", *(photos.names[winner.photo] for winner in others)]
    for each, winner in zip(shown, [winners[1], *others], strict=True):
        assert each.unit.channel == channel
        assert each.unit.position == winner.position
        assert each.activation == pytest.approx(winner.value, rel=1e-4)
        alone = deconvnet.project(small_network, [photos.read(winner.photo)], [each.unit])
        np.testing.assert_allclose(each.pixels, alone.projection(0), atol=1e-6)  # type: ignore[union-attr]


def test_a_mining_run_of_other_weights_or_layers_is_refused(small_network, mined):
    with pytest.raises(UnknownNameError, match="mined layer 'conv4'"):
        occlude(small_network, [("a", PHOTO)], layer="conv4", mined=mined)
    with pytest.raises(RunError, match="other weights"):
        occlude(spot(), [("a", PHOTO)], layer="0", mined=mined)


def test_why_there_is_no_projection_is_told(small_network):
    network = spot()
    dark = occlude(network, [("grey", np.full((32, 32, 3), 100, np.uint8))], size=16, stride=16, layer="0")
    assert dark.photos[0].projections == ()
    assert "0:0 is not active" in dark.photos[0].unprojected
    assert "0:0 is not active" in dark.notes[0]
    conv, relu, *rest = network.module.children()
    gelu = nn.Sequential(conv, nn.GELU(), nn.Conv2d(2, 2, 1), relu, *rest)
    found = occlude(dataclasses.replace(network, module=gelu), [("a", PHOTO)], size=16, stride=16, layer="2").photos[0]
    assert found.projections == ()
    assert "gelu" in found.unprojected.lower()


def test_grey_networks():
    network = deconvnet.load("lenet5")
    photo = noise(28, 28, 2) * 4
    occluder = Occluder(network, photo)
    grid = occluder.grid(9, 7, "cut")
    _, covering = make_fill(network, occluder.view, "white", grid.size)
    agree(occluder.map(grid, "white"), by_loops(network, photo, grid.windows, covering.numpy(), occluder.layer))


def test_networks_of_torchvision_at_another_size(torchvision):
    network = deconvnet.load("torchvision:resnet18", input_size=64)
    occluder = Occluder(network, PHOTO, layer="layer3")
    grid = occluder.grid(30, 17)
    _, covering = make_fill(network, occluder.view, "grey", grid.size)
    found = occluder.map(grid, "grey")
    assert found.logits.shape == (*grid.shape, 1000)
    agree(found, by_loops(network, PHOTO, grid.windows, covering.numpy(), "layer3"))


def test_the_layer_is_the_last_convolution_or_one_with_maps(small_network):
    assert recorded_layer(small_network) == "conv5"
    assert recorded_layer(small_network, "pool1") == "pool1"
    with pytest.raises(ModelError, match=r"fc6 of .* has no feature maps .*for example conv5"):
        recorded_layer(small_network, "fc6")
    with pytest.raises(UnknownNameError, match="did you mean conv5"):
        recorded_layer(small_network, "conv55")
    with pytest.raises(ModelError, match="gives no class scores"):
        recorded_layer(dataclasses.replace(small_network, classes=()))


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ({"size": 0}, OptionError, "size must be at least 1"),
        ({"stride": 0}, OptionError, "stride must be at least 1"),
        ({"size": 65}, OptionError, "does not fit into the 64 x 64 px"),
        ({"fills": ["blu"]}, OptionError, "'blu' is no fill"),
        ({"fills": []}, OptionError, "at least one fill"),
        ({"labels": ["ant", "bee"]}, OptionError, "2 classes for 1 photos"),
        ({"channel": 256}, OptionError, "conv5 has maps 0 to 255; there is no map 256"),
        ({"strongest": "mean"}, OptionError, "max or sum, not 'mean'"),
        ({"border": "wrap"}, OptionError, "border is one of"),
    ],
)
def test_refused_options(small_network, options, error, part):
    with pytest.raises(error, match=part):
        occlude(small_network, [("a", PHOTO)], ready=lambda *_: pytest.fail("began"), **options)


def test_no_photo_is_refused(small_network):
    with pytest.raises(DataError, match="no photo to cover"):
        occlude(small_network, [])


def test_the_network_comes_back_as_it_was(small_network):
    before = {k: v.clone() for k, v in small_network.module.state_dict().items()}
    hooks = [len(part._forward_hooks) for part in small_network.module.modules()]
    occlude(small_network, [("a", PHOTO)], size=40, stride=24)
    assert hooks == [len(part._forward_hooks) for part in small_network.module.modules()]
    assert not small_network.module.training
    for name, value in small_network.module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
