"""Figure 4's numbers against one photo at a time in float64, its record and its figures.

Three snapshots of a small ZFNet: random weights, and two steps away from them. Photos are pieces of real ones.
"""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

import deconvnet
from deconvnet.data import open_photos, sample_photos
from deconvnet.errors import DataError, OptionError, RunError, UnitError, UnknownNameError, WeightsError
from deconvnet.experiments.evolution import Evolution, evolve
from deconvnet.experiments.evolution.figure import convergence_figure, evolution_figure
from deconvnet.experiments.evolution.record import EvolutionRecord
from deconvnet.figures.palette import MARK
from deconvnet.runs import Run

LAYERS = ("conv1", "conv2", "conv5", "fc6")
DEAD = 3  # of conv2, in the last snapshot


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    pytest.importorskip("skimage")
    rng = np.random.default_rng(0)
    pieces = []
    for photo in sample_photos()[:4]:
        for _ in range(3):
            top, left = (int(rng.integers(side - 110)) for side in photo.pixels.shape[:2])
            pieces.append(photo.pixels[top : top + 100, left : left + 110])
    return pieces


@pytest.fixture(scope="module")
def snapshots() -> list[deconvnet.Network]:
    torch.manual_seed(0)
    start = deconvnet.load("zfnet", weights=None, num_classes=5, input_size=64, fc_width=16, widths=(8, 8, 8))
    made = []
    generator = torch.Generator().manual_seed(1)
    module = start.module
    for step in range(3):
        module = copy.deepcopy(module)
        with torch.no_grad():
            if step:
                for name, weights in module.named_parameters():
                    if weights.ndim > 1 and not name.startswith("conv1"):
                        noise = torch.randn(weights.shape, generator=generator)
                        weights.add_(weights.std() * noise, alpha=0.7)
            if step == 2:
                module.get_submodule("conv2").weight[DEAD] = 0
                module.get_submodule("conv2").bias[DEAD] = -1
        made.append(dataclasses.replace(start, module=module))
    return made


@pytest.fixture(scope="module")
def found(snapshots, photos) -> Evolution:
    return evolve(snapshots, photos, layers=LAYERS, maps=3, compare=5, labels=(1, 4, 9), seed=2, batch_size=5)


def maps_of(network, photo, layer: str) -> np.ndarray:
    """A layer's maps for one photo, module by module in float64."""
    module = copy.deepcopy(network.module).double().eval()
    x = network.preprocessing.tensor([network.view(photo)]).double()
    with torch.no_grad():
        for name, part in module.named_children():
            x = part(x)
            if name == layer:
                return x[0].clone().numpy()  # an in-place ReLU follows
    raise AssertionError(layer)


def cosine(one, other) -> float:
    a, b = np.ravel(one).tolist(), np.ravel(other).tolist()
    length = math.sqrt(math.fsum(v * v for v in a)) * math.sqrt(math.fsum(v * v for v in b))
    return math.fsum(v * w for v, w in zip(a, b, strict=True)) / length if length else math.nan


@pytest.mark.parametrize("layer", ["conv2", "fc6"])
def test_the_strongest_photo_of_every_map_one_by_one(snapshots, photos, found, layer) -> None:
    each = found.layers[LAYERS.index(layer)]
    for s, network in enumerate(snapshots):
        every = [maps_of(network, photo, layer) for photo in photos]
        for channel in range(each.photos.shape[1]):
            values = [float(maps[channel].max()) for maps in every]
            best = int(np.argmax(values))
            if values[best] <= 0:
                assert each.photos[s, channel] == -1
                continue
            assert each.photos[s, channel] == best
            assert each.values[s, channel] == pytest.approx(values[best], rel=1e-4)
            if layer == "conv2":
                row, column = each.positions[s, channel]
                assert every[best][channel, row, column] == pytest.approx(values[best], rel=1e-9)


def test_projections_and_curves_one_unit_at_a_time(snapshots, photos, found) -> None:
    for layer in ("conv2", "conv5"):
        each = found.layers[LAYERS.index(layer)]

        def draw(s, channel, at, layer=layer, each=each, **more):
            row, column = (int(v) for v in each.positions[at])
            network, photo = snapshots[s], photos[each.photos[at]]
            unit = f"{layer}:{channel}@{row},{column}"
            tensor = network.preprocess([photo])
            shown = deconvnet.project(network, tensor, unit, **more)
            return shown.projection(0) if layer == "conv2" else shown.pixels[0]

        once = {"start": "one", "inactive": "project"}
        for k, channel in enumerate(each.compared):
            if not each.active[:, channel].all():
                continue
            strongest = [draw(s, channel, (s, channel)) for s in range(3)]
            fixed = [draw(s, channel, (2, channel), **once) for s in range(3)]
            if k < 3:
                assert each.shown[k] == channel
                for s in range(3):
                    assert each.projections[s, k] == pytest.approx(strongest[s], rel=1e-4, abs=1e-6)
            for s in range(3):
                assert each.fixed[s, k] == pytest.approx(cosine(fixed[s], fixed[2]), abs=1e-5)
            for s in range(2):
                assert each.fixed_steps[s, k] == pytest.approx(cosine(fixed[s], fixed[s + 1]), abs=1e-5)
                assert each.strongest_steps[s, k] == pytest.approx(cosine(strongest[s], strongest[s + 1]), abs=1e-5)
            other = each.compared[(k + 1) % len(each.compared)]
            neighbour = draw(2, other, (2, channel), **once)
            assert each.fixed_floor[k] == pytest.approx(cosine(fixed[2], neighbour), abs=1e-5)


def test_patches_are_what_the_units_saw(snapshots, photos, found) -> None:
    conv1, _, conv5, _ = found.layers
    for k, channel in enumerate(conv1.shown):
        if conv1.active[2, channel]:
            view = snapshots[2].view(photos[conv1.photos[2, channel]])
            row, column = (2 * int(v) for v in conv1.positions[2, channel])  # 7 x 7 with stride 2
            if min(row, column) >= 0 and max(row, column) + 7 <= 64:
                assert np.array_equal(conv1.patches[2, k], view[row : row + 7, column : column + 7])
    assert conv1.projections.shape[3:] == (7, 7)
    assert conv5.patches.shape[2:] == (64, 64, 3)  # its field is larger than the photo
    assert np.array_equal(conv5.patches[1, 0], snapshots[1].view(photos[conv5.photos[1, conv5.shown[0]]]))


def test_weights_and_jumps_by_definition(snapshots, found) -> None:
    for each in found.layers:
        weights = [network.module.get_submodule(each.layer).weight.detach().double().numpy() for network in snapshots]
        assert each.weights == pytest.approx([cosine(w, weights[2]) for w in weights], abs=1e-9)
        assert each.weight_steps == pytest.approx([cosine(weights[s], weights[s + 1]) for s in range(2)], abs=1e-9)
        for s in range(2):
            pairs = [(a, b) for a, b in zip(each.photos[s], each.photos[s + 1], strict=True) if a >= 0 and b >= 0]
            assert each.jump_share[s] == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))
    assert found.layers[0].weights == pytest.approx([1, 1, 1])
    assert not found.layers[0].jumped.any()
    assert found.layers[2].jumped.any()
    last = {photo for each in found.layers for photo in each.photos.ravel() if photo >= 0}
    assert set(found.names) == last
    assert found.names[min(last)] == f"photo {min(last) + 1}"


def test_the_summary_says_when_a_layer_settles(found) -> None:
    conv1, conv2, _, _ = found.summary()
    assert (conv1.weights, conv1.projections) == ("1", "1")
    assert conv1.projections_first == pytest.approx(1)
    assert conv2.weights == "9"
    assert conv2.weights_first == pytest.approx(found.layers[1].weights[0])
    assert conv2.dead >= 1
    layer, row = found.layers[2], found.summary()[2]
    split: dict[bool, list[float]] = {True: [], False: []}
    for s, step in enumerate(layer.strongest_steps):
        for value, channel in zip(step, layer.compared, strict=True):
            if math.isfinite(value):
                split[bool(layer.photos[s, channel] != layer.photos[s + 1, channel])].append(float(value))
    assert row.stayed == (pytest.approx(np.mean(split[False])) if split[False] else None)
    assert row.changed == pytest.approx(np.mean(split[True]))
    assert conv1.changed is None
    record = dataclasses.replace(
        found, layers=(dataclasses.replace(found.layers[0], weights=np.array([0.95, 0.8, 1])),)
    )
    assert record.summary()[0].weights == "9"  # what was near once and left is not settled
    record = dataclasses.replace(found, layers=(dataclasses.replace(found.layers[0], weights=np.full(3, np.nan)),))
    assert record.summary()[0].weights is None


def test_a_dead_map_is_nothing_and_is_chosen_last(snapshots, photos) -> None:
    found = evolve(snapshots, photos, units=[f"conv2:{DEAD}", "conv2:0"], compare=4)
    (layer,) = found.layers
    assert layer.shown.tolist() == [DEAD, 0]
    assert len(layer.compared) == 4
    assert layer.photos[2, DEAD] == -1
    assert not layer.projections[2, 0].any()
    assert np.isnan(layer.fixed[:, 0]).all()
    assert np.isnan(layer.strongest_steps[1, 0])
    assert not layer.jumped[1, DEAD]
    every = evolve(snapshots, photos[:2], layers=["conv4"], maps=1000, compare=1).layers[0]
    assert every.shown.tolist() == list(range(8))
    for seed in range(2):
        some = evolve(snapshots, photos[:2], layers=["conv2"], maps=5, compare=1, seed=seed).layers[0]
        assert some.active[2, some.shown].all()


def test_the_same_snapshot_twice_changes_nothing(snapshots, photos) -> None:
    found = evolve([snapshots[0], snapshots[0], snapshots[0]], photos[:3], layers=["conv3", "pool5"], maps=2)
    for each in found.layers:
        alive = each.active[0, each.compared]
        for curve in (each.fixed, each.fixed_steps, each.strongest_steps):
            assert curve[:, alive] == pytest.approx(1)
        assert (each.jump_share == 0).all()
    assert np.isnan(found.layers[1].weights).all()  # a pool has none
    assert found.summary()[1].weights is None


def test_a_folder_gives_what_its_photos_give(snapshots, two_classes) -> None:
    photos = open_photos(two_classes)
    one = evolve(snapshots, photos, layers=["conv4"], batch_size=7)
    other = evolve(snapshots, [photos.read(i) for i in range(len(photos))], layers=["conv4"], batch_size=7)
    assert np.array_equal(one.layers[0].photos, other.layers[0].photos)
    assert np.array_equal(one.layers[0].fixed, other.layers[0].fixed, equal_nan=True)
    assert set(one.names.values()) <= set(photos.names)
    assert one.photos == 20


def test_a_photo_that_cannot_be_read_is_left_out(snapshots, two_classes, tmp_path) -> None:
    (tmp_path / "a.jpg").write_bytes((two_classes / "red" / "0.jpg").read_bytes())
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    done = []
    found = evolve(
        snapshots,
        open_photos(tmp_path),
        layers=["conv1"],
        progress=lambda report: done.append((report.done, report.total)),
    )
    assert found.photos == 1
    assert found.skipped[0].startswith("b.jpg: ")
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"b\.jpg"):
        evolve(snapshots, open_photos(tmp_path), layers=["conv1"])


def test_models_come_back_as_they_were_and_a_seed_decides(snapshots, photos, found) -> None:
    before = [network.fingerprint for network in snapshots]
    snapshots[0].module.train()
    again = evolve(snapshots, photos, layers=LAYERS, maps=3, compare=5, labels=(1, 4, 9), seed=2, batch_size=5)
    assert snapshots[0].module.training
    snapshots[0].module.eval()
    assert [network.fingerprint for network in snapshots] == before
    for one, other in zip(again.layers, found.layers, strict=True):
        assert np.array_equal(one.shown, other.shown)
        assert np.array_equal(one.projections, other.projections)
    others = evolve(snapshots, photos[:2], layers=LAYERS, maps=3, seed=3)
    assert any(not np.array_equal(a.shown, b.shown) for a, b in zip(others.layers, found.layers, strict=True))


def test_torchvisions_network(torchvision, photos) -> None:
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(deconvnet.load("torchvision:resnet18", weights=None, num_classes=3, input_size=64))
    found = evolve(networks, photos[:2], maps=1, compare=2, layers=["conv1", "layer1", "layer2.0.conv1"])
    assert [each.photos.shape[1] for each in found.layers] == [64, 64, 128]
    assert abs(found.layers[1].weights[0]) < 0.05  # two random starts have nothing in common
    assert found.layers[1].weights[1] == pytest.approx(1)
    every = evolve(networks, photos[:1], maps=1, compare=1)
    assert len(every.layers) == 8
    assert np.isnan(every.layers[0].fixed_floor).all()  # one map has no other beside it


def test_the_record_comes_back(found, tmp_path) -> None:
    run = found.save(tmp_path / "run", inputs={"data": "x"})
    assert run.finished
    assert run.settings["maps"]["conv1"] == found.layers[0].compared.tolist()
    read = EvolutionRecord.read(Run.open(tmp_path / "run"))
    for field in dataclasses.fields(EvolutionRecord):
        if field.name != "layers":
            assert getattr(read, field.name) == getattr(found, field.name), field.name
    for one, other in zip(read.layers, found.layers, strict=True):
        assert one.layer == other.layer
        for field in dataclasses.fields(one)[1:]:
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name), equal_nan=True), field.name
    assert read.summary() == found.summary()
    with pytest.raises(RunError, match="holds a"):
        found.save(tmp_path / "run")
    with pytest.raises(RunError, match="of kind 'look'"):
        EvolutionRecord.read(Run.create(tmp_path / "other", "look", {}, {}))
    (tmp_path / "run" / "record.json").write_text('{"layers": ["conv1"]}')
    with pytest.raises(RunError, match="damaged"):
        EvolutionRecord.read(run)


def test_the_figures(found, tmp_path) -> None:
    figure = found.plot()
    words = [text.get_text() for text in figure.axes[0].texts]
    for layer in found.layers:
        assert layer.layer in words
        assert all(str(channel) in words for channel in layer.shown)
    assert words.count("4") == len(LAYERS) + sum(4 in layer.shown for layer in found.layers)  # the second snapshot
    assert "12 photos" in words[0]
    bars = [p for p in figure.axes[0].patches if p.get_facecolor()[:3] == pytest.approx(_rgb(MARK), abs=0.01)]
    assert len(bars) == sum(int(layer.jumped[:, layer.shown].sum()) for layer in found.layers) > 0
    few = evolution_figure(found, layers=["conv2"], patches=False)
    assert len(few.axes[0].images) == int(found.layers[1].active[:, found.layers[1].shown].sum())
    with pytest.raises(UnknownNameError, match="conv2"):
        evolution_figure(found, layers=["conv22"])
    curves = found.plot_convergence()
    assert len(curves.axes) == 6
    lines = curves.axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [layer.weights.tolist() for layer in found.layers]
    with pytest.raises(OptionError, match="no layer"):
        convergence_figure(dataclasses.replace(found, layers=()))
    assert found._repr_png_().startswith(b"\x89PNG")
    assert "3 snapshots, 12 photos" in repr(found)


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def test_refused(snapshots, photos, small_network) -> None:
    with pytest.raises(OptionError, match="at least two"):
        evolve(snapshots[:1], photos)
    with pytest.raises(WeightsError, match="different networks"):
        evolve([small_network, snapshots[0]], photos)
    with pytest.raises(UnknownNameError, match="did you mean conv3"):
        evolve(snapshots, photos, layers=["convv3"])
    with pytest.raises(OptionError, match="no layer"):
        evolve(snapshots, photos, layers=[])
    with pytest.raises(UnitError, match="maps 0 to 7"):
        evolve(snapshots, photos[:1], units=["conv3:8"])
    with pytest.raises(UnitError, match="position"):
        evolve(snapshots, photos, units=["conv3:1@2,2"])
    with pytest.raises(OptionError, match="leave the layers out"):
        evolve(snapshots, photos, units=["conv3:1"], layers=["conv3"])
    with pytest.raises(OptionError, match="no map"):
        evolve(snapshots, photos, units=[])
    with pytest.raises(OptionError, match="one for each"):
        evolve(snapshots, photos, labels=(1, 2))
    with pytest.raises(OptionError, match="maps must be at least 1"):
        evolve(snapshots, photos, maps=0)
    with pytest.raises(OptionError, match="seed"):
        evolve(snapshots, photos, seed=-1)
    with pytest.raises(OptionError, match="not an option"):
        evolve(snapshots, photos[:1], colour="red")
    with pytest.raises(DataError, match="no photo"):
        evolve(snapshots, [])
