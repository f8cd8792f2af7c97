"""Tiles of all maps: what they show, going on after a kill, and a run that shows itself without its photos."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import deconvnet
from deconvnet.errors import OptionError, RunError, UnknownNameError
from deconvnet.experiments.top_nine import mine
from deconvnet.experiments.top_nine.tiles import write_tiles
from deconvnet.experiments.top_nine.tiles_record import Tiles, tile_name
from deconvnet.figures.display import display
from deconvnet.figures.tiles import shrink
from deconvnet.mining.run_record import MiningRecord
from deconvnet.runs import Run, Unit


@pytest.fixture(scope="module")
def drawn(small_network, small_weights, two_classes, tmp_path_factory) -> Run:
    root = tmp_path_factory.mktemp("tiles")
    shutil.copytree(two_classes, root / "photos")
    photos = deconvnet.open_photos(root / "photos")
    run = mine(small_network, photos, root / "run", layers=["conv1", "conv2", "fc8"], weights=str(small_weights))
    write_tiles(run, cell=24)
    return run


@pytest.fixture
def copy(drawn, tmp_path) -> Run:
    shutil.copytree(drawn.path.parent, tmp_path / "all")
    return Run.open(tmp_path / "all" / "run")


def test_tiles_show_what_projecting_one_by_one_shows(drawn, small_network):
    photos = deconvnet.open_photos(drawn.path.parent / "photos")
    mined, tiles = MiningRecord.read(drawn).mined, Tiles.read(drawn)
    assert tiles.input_size == 64
    for layer in ("conv1", "conv2"):
        top = mined[layer]
        assert tiles.layers[layer]["drawn"] == [c for c in range(top.channels) if c not in top.dead]
        for channel in tiles.layers[layer]["drawn"][::60]:
            winners = [w for w in top.winners(channel) if w.active][:9]
            units = [Unit(layer, channel, w.position) for w in winners]
            pixels = [photos.read(w.photo) for w in winners]
            shown = deconvnet.project(small_network, pixels, units, per_photo=range(len(units)))
            left = tiles.cells(drawn, layer, channel, "projections")
            right = tiles.cells(drawn, layer, channel, "patches")
            assert len(left) == len(right) == len(winners)
            for index in range(len(winners)):
                for cell, expected in (
                    (left[index], shrink(display(shown.projection(index)), 24)),
                    (right[index], shrink(shown.patch(index), 24)),
                ):
                    assert cell.shape == expected.shape
                    # Small tiles are kept exactly; another batch may round a value to the next grey level.
                    assert np.abs(cell.astype(int) - expected).max() <= 1
    assert tiles.layers["conv2"]["field"][0][0] == 27
    assert max(tiles.cells(drawn, "conv2", tiles.layers["conv2"]["drawn"][0], "patches")[0].shape) == 24


def test_a_layer_without_positions_shows_whole_photos(drawn):
    tiles = Tiles.read(drawn)
    fc8 = tiles.layers["fc8"]
    assert fc8["field"] is None
    assert fc8["drawn"]
    for channel in fc8["drawn"]:
        for what in ("projections", "patches"):
            assert {cell.shape for cell in tiles.cells(drawn, "fc8", channel, what)} == {(24, 24, 3)}


def test_dead_maps_have_no_tiles(drawn):
    mined, tiles = MiningRecord.read(drawn).mined, Tiles.read(drawn)
    files = len(list((drawn.path / "tiles").rglob("*.webp")))
    assert files == 2 * sum(int((top.active > 0).sum()) for top in mined.layers.values())
    for layer, top in mined.layers.items():
        for channel in top.dead[:3]:
            assert tiles.cells(drawn, layer, int(channel), "patches") == []


def test_what_is_missing_is_drawn_again_and_nothing_else(copy):
    first, other = (Tiles.read(copy).layers["conv1"]["drawn"][i] for i in (0, 5))
    gone = [tile_name("conv1", first, "patches"), tile_name("conv1", other, "projections")]
    before = {path: path.stat().st_mtime_ns for path in copy.path.rglob("*.webp")}
    content = {name: (copy.path / name).read_bytes() for name in gone}
    for name in gone:
        (copy.path / name).unlink()
    told: list[tuple[int, int]] = []
    write_tiles(copy, cell=24, progress=lambda report: told.append((report.done, report.total)))
    assert told[0][1] - told[0][0] == 2
    assert told[-1][0] == told[-1][1]
    assert {name: (copy.path / name).read_bytes() for name in gone} == content
    touched = {path for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert len(touched) == 4  # two maps, both pictures of each


def test_without_its_photos_a_run_shows_its_tiles(copy):
    shutil.rmtree(copy.path.parent / "photos")
    places = {key: str(value).replace("tiles0", "nowhere") for key, value in copy.manifest["places"].items()}
    copy.manifest = copy.manifest.changed(places={**places, "photos": "/nowhere/photos"})
    channels = Tiles.read(copy).layers["conv2"]["drawn"][:2]
    figure = deconvnet.draw_top_nine(copy, "conv2", channels=channels)
    said = {text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text"))}
    assert any("the photos are gone" in text for text in said)
    with pytest.raises(RunError, match="gone from"):
        deconvnet.draw_top_nine(copy, "conv2", channels=channels, ordinary=True)
    with pytest.raises(RunError, match="gone from"):
        deconvnet.draw_top_nine(copy, "conv2", channels=channels, rule="guided")
    with pytest.raises(RunError, match="gone from"):
        write_tiles(copy, cell=24)


def test_ordinary_photos(drawn, small_network):
    channel = Tiles.read(drawn).layers["conv2"]["drawn"][0]
    figure = deconvnet.draw_top_nine(drawn, "conv2", channels=[channel], ordinary=True)
    said = " ".join(text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text")))
    assert "near the deciles" in said
    assert "are a selection" not in said
    # How many photos activate the map and each class's mean, by passing the photos forward here.
    photos = deconvnet.open_photos(drawn.path.parent / "photos")
    outputs: list[torch.Tensor] = []
    with torch.no_grad():
        hook = small_network.module.get_submodule("conv2").register_forward_hook(
            lambda _m, _i, out: outputs.append(out)
        )
        for index in range(len(photos)):
            small_network.module(small_network.preprocessing.tensor([small_network.view(photos.read(index))]))
        hook.remove()
    maxima = torch.cat(outputs)[:, channel].amax((1, 2)).double().clamp(min=0)
    means = {name: maxima[torch.as_tensor(photos.labels) == i].mean().item() for i, name in enumerate(photos.classes)}
    strong, weak = sorted(means, key=lambda name: -means[name])
    share = 100 * (maxima > 0).sum().item() / 20
    assert f"active in {share:.3g} % of photos, {strong} {means[strong]:.3g}, {weak} {means[weak]:.3g}" in said


def test_refused(copy):
    with pytest.raises(RunError, match=r"holds tiles of other settings .*: delete its folder tiles"):
        write_tiles(copy, cell=30)
    with pytest.raises(OptionError, match="at least 8 pixels, not 7"):
        write_tiles(copy, cell=7)
    with pytest.raises(UnknownNameError, match="conv9"):
        write_tiles(copy, ["conv9"], cell=24)
    copy.manifest = copy.manifest.changed(finished=False)
    with pytest.raises(RunError, match="is unfinished"):
        write_tiles(copy, cell=24)
