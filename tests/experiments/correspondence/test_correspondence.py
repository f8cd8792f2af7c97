"""Table 1's numbers against loops in float64, masks, groups, the record and the figure."""

from __future__ import annotations

import copy
import dataclasses
import math
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch

import deconvnet
from deconvnet.errors import DataError, ModelError, OptionError, RunError, UnknownNameError
from deconvnet.experiments.correspondence import ROUNDING, Correspondence, correspond
from deconvnet.experiments.correspondence.figure import correspondence_figure
from deconvnet.experiments.correspondence.parts import Part
from deconvnet.experiments.correspondence.record import CorrespondenceRecord
from deconvnet.runs import Run

LAYERS = ("relu2", "relu7")


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    rough = [np.random.default_rng(seed).integers(0, 256, (9, 8, 3)).astype(np.uint8) for seed in range(4)]
    names = ("cat/0.jpg", "cat/1.jpg", "cat/2.jpg", "dog/3.jpg")
    return {name: pixels.repeat(12, 0).repeat(12, 1) for name, pixels in zip(names, rough, strict=True)}


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    spots = ((30, 40), (36, 30), (25, 45))
    noses = [Part(f"cat/{i}.jpg", "nose", *spots[i], 20, 24) for i in range(3)]
    return [*noses, Part("cat/0.jpg", "ear", 60, 20, 12, 10), Part("cat/2.jpg", "ear", 50, 22, 12, 10)]


@pytest.fixture(scope="module")
def found(small_network, photos, parts) -> Correspondence:
    return correspond(small_network, parts, photos, layers=LAYERS, fill="grey", regions=3, permutations=199)


@cache
def double(module):
    return copy.deepcopy(module).double().eval()


def slow_signs(network, view, box):
    """Signs of the features' change by layer: one picture at a time, float64, module by module."""
    module = double(network.module)
    masked = view.copy()
    masked[box.top : box.bottom, box.left : box.right] = 127
    features = []
    for picture in (view, masked):
        x, kept = network.preprocessing.tensor([picture]).double(), {}
        with torch.no_grad():
            for name, part in module.named_children():
                x = part(x)
                if name in LAYERS:
                    kept[name] = x.flatten().tolist()
        features.append(kept)
    whole, changed = features
    least = {layer: ROUNDING * max(map(abs, whole[layer])) for layer in LAYERS}
    return {
        layer: [
            0 if abs(a - b) <= least[layer] else int(math.copysign(1, a - b))
            for a, b in zip(whole[layer], changed[layer], strict=True)
        ]
        for layer in LAYERS
    }


def test_the_table_by_loops(small_network, found):
    by = {photo.photo: photo for photo in found.masked}
    for part, members in (("nose", ("cat/0.jpg", "cat/1.jpg", "cat/2.jpg")), ("ear", ("cat/0.jpg", "cat/2.jpg"))):
        signs = [slow_signs(small_network, by[m].view, by[m].boxes[by[m].parts.index(part)]) for m in members]
        for layer in LAYERS:
            pairs, both, opposite = [], 0, 0
            for one, other in combinations([s[layer] for s in signs], 2):
                pairs.append(sum(a != b for a, b in zip(one, other, strict=True)) / len(one))
                both += sum(a != 0 and b != 0 for a, b in zip(one, other, strict=True))
                opposite += sum(a * b < 0 for a, b in zip(one, other, strict=True))
            row = found.row("cat", part, layer)
            assert row.photos == len(members)
            assert row.pairs == len(pairs)
            assert row.mean == pytest.approx(sum(pairs) / len(pairs), abs=2e-4)
            assert row.std == pytest.approx(np.std(pairs, ddof=1) if len(pairs) > 1 else 0, abs=2e-4)
            assert row.opposite == pytest.approx(opposite / both, abs=1e-3)
            share = np.mean([np.mean([s != 0 for s in each[layer]]) for each in signs])
            assert row.changed == pytest.approx(share, abs=2e-4)
            distances = found.distances[f"cat/{part}/{layer}"]
            assert distances[np.triu_indices(len(members), 1)] == pytest.approx(pairs, abs=2e-4)


def test_random_regions_are_of_the_parts_size_and_follow_the_seed(small_network, photos, parts, found):
    for photo in found.masked:
        for box, other in zip(photo.boxes, photo.random, strict=True):
            assert (box.height, box.width) == (other.height, other.width)
            assert other.inside(64, 64)
    options = {"layers": LAYERS, "fill": "grey", "regions": 3, "permutations": 199}
    same = correspond(small_network, parts, photos, batch_size=5, **options)
    other = correspond(small_network, parts, photos, seed=1, **options)
    assert same.rows == found.rows  # batches change nothing, not even the last digit: rounding is no sign
    assert [p.random for p in other.masked] != [p.random for p in found.masked]
    assert [row.mean for row in other.rows] == [row.mean for row in found.rows]
    assert [row.random_mean for row in other.rows] != [row.random_mean for row in found.rows]


def test_the_random_mean_by_loops(small_network, photos, parts):
    one = correspond(small_network, parts[:3], photos, layers=LAYERS, fill="grey", regions=1, permutations=9)
    signs = [slow_signs(small_network, photo.view, photo.random[0]) for photo in one.masked]
    for layer in LAYERS:
        pairs = [np.mean([a != b for a, b in zip(x[layer], y[layer], strict=True)]) for x, y in combinations(signs, 2)]
        assert one.row("cat", "nose", layer).random_mean == pytest.approx(np.mean(pairs), abs=2e-4)
        assert one.row("cat", "nose", layer).random_std == pytest.approx(np.std(pairs, ddof=1), abs=2e-4)


def test_the_passes_it_needs(found, small_network, photos, parts):
    assert found.pictures == 3 + 5 * (1 + 3)
    assert found.passes == 1 + 1 + 1  # whole photos, noses, ears
    told = []
    correspond(small_network, parts, photos, regions=3, batch_size=4, permutations=9, progress=told.append)
    assert (told[-1].done, told[-1].total) == (23, 23)


def test_groups_are_folders(small_network, photos, parts):
    mixed = [*parts, Part("dog/3.jpg", "nose", 30, 30, 20, 20)]
    with pytest.raises(DataError, match="'nose' is marked in one photo of dog only"):
        correspond(small_network, mixed, photos, permutations=9)
    together = correspond(small_network, mixed, photos, permutations=9, together=True, regions=1)
    assert together.groups == ("all photos",)
    assert together.row("all photos", "nose", together.layers[0]).photos == 4


def test_a_part_that_the_crop_cuts_is_left_out_and_named(small_network, photos, parts):
    cut = [*parts, Part("cat/1.jpg", "ear", 0, 0, 12, 10)]
    found = correspond(small_network, cut, photos, permutations=9, regions=1)
    assert found.row("cat", "ear", found.layers[0]).photos == 2
    assert len(found.left_out) == 1
    assert "'ear' of cat/1.jpg (12 x 10 px at left 0, top 0)" in found.left_out[0]
    with pytest.raises(DataError, match=r"marked in one photo of cat only .*1 parts were left out"):
        correspond(small_network, [cut[-1], *parts[:4]], photos, permutations=9)
    corner = [Part(f"cat/{i}.jpg", "ear", 0, 0, 12, 10) for i in range(3)]
    with pytest.raises(DataError, match="no part is left"):
        correspond(small_network, corner, photos, permutations=9)


def test_refused(small_network, photos, parts):
    with pytest.raises(DataError, match="no part is marked"):
        correspond(small_network, [], photos)
    with pytest.raises(DataError, match=r"single photo are marked \(cat/0.jpg\): a pair needs two"):
        correspond(small_network, [parts[0], parts[3]], photos)
    with pytest.raises(UnknownNameError, match=r"no photo 'cat/00.jpg': did you mean cat/0.jpg"):
        correspond(small_network, [*parts, Part("cat/00.jpg", "nose", 1, 1, 2, 2)], photos)
    with pytest.raises(DataError, match=r"leaves its photo of 96 x 108 px"):
        correspond(small_network, [*parts, Part("cat/1.jpg", "ear", 90, 1, 20, 2)], photos)
    with pytest.raises(UnknownNameError, match="did you mean relu7"):
        correspond(small_network, parts, photos, layers=["relu77"])
    with pytest.raises(OptionError, match="no layer"):
        correspond(small_network, parts, photos, layers=[])
    for option in ("regions", "permutations", "batch_size"):
        with pytest.raises(OptionError, match=f"{option} must be at least 1"):
            correspond(small_network, parts, photos, **{option: 0})
    with pytest.raises(OptionError, match="seed"):
        correspond(small_network, parts, photos, seed=-1)
    with pytest.raises(OptionError, match="no fill"):
        correspond(small_network, parts, photos, fill="heliotropic")


def test_features_that_never_change(small_network, photos, parts):
    dead = dataclasses.replace(small_network, module=copy.deepcopy(small_network.module))
    with torch.no_grad():
        dead.module.get_submodule("fc7").weight.zero_()
    with pytest.raises(ModelError, match="no mask changes the features of layer 'relu7'"):
        correspond(dead, parts, photos, permutations=9, regions=1)


def test_the_record_is_read_without_loss(found, tmp_path):
    run = found.save(tmp_path / "run", inputs={"data": "x.zip"})
    assert run.finished
    read = CorrespondenceRecord.read(Run.open(tmp_path / "run"))
    assert read.rows == found.rows
    for one, other in zip(read.masked, found.masked, strict=True):
        assert np.array_equal(one.view, other.view)
        assert (one.photo, one.group, one.parts, one.boxes, one.random) == (
            other.photo,
            other.group,
            other.parts,
            other.boxes,
            other.random,
        )
    assert read.distances.keys() == found.distances.keys()
    assert np.array_equal(read.distances["cat/nose/relu2"], found.distances["cat/nose/relu2"])
    for name in ("network", "layers", "fill", "regions", "permutations", "seed", "left_out", "pictures", "seconds"):
        assert getattr(read, name) == getattr(found, name)
    with pytest.raises(RunError, match="kind 'mine'"):
        CorrespondenceRecord.read(Run.create(tmp_path / "other", "mine", {}, {}))


def test_the_figure_shows_table_and_masks(found):
    figure = correspondence_figure(found)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}
    assert list(panels) == [f"{layer}: mean feature sign change" for layer in LAYERS]
    said = [text.get_text() for axes in panels.values() for text in axes.texts]
    assert said == [f"p = {row.p_value:.2g}" for layer in LAYERS for row in found.rows if row.layer == layer]
    pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(pictures) == 3 + 3 + 2 + 3  # whole, nose, ear, random
    photo = found.masked[1]
    box = photo.boxes[0]
    nose = np.asarray(pictures[3 + 1])
    assert (nose[box.top : box.bottom, box.left : box.right] == 127).all()
    assert np.array_equal(nose[: box.top], photo.view[: box.top])


def test_resnet18(torchvision, photos, parts):
    network = deconvnet.load("torchvision:resnet18", input_size=64)
    found = correspond(network, parts, photos, permutations=9, regions=1)
    assert found.layers == ("layer4", "avgpool")
    assert all(0 < row.mean < 1 for row in found.rows)
