"""Figure 5's numbers against one picture at a time in float64, its summary, its record and its figure."""

from __future__ import annotations

import copy
import dataclasses
import math
from functools import cache

import numpy as np
import pytest
import torch

import deconvnet
from deconvnet.errors import DataError, ModelError, OptionError, RunError, UnknownNameError
from deconvnet.experiments.invariance import Invariance, measure_invariance
from deconvnet.experiments.invariance.figure import invariance_figure
from deconvnet.experiments.invariance.record import InvarianceRecord
from deconvnet.experiments.invariance.transformations import TransformablePhoto
from deconvnet.features.responses import paper_layers
from deconvnet.runs import Run

LAYERS = ("relu1", "relu7")
KINDS = ("vertical:-6:6:3", "scale:1:1.6:0.2", "rotation:0:350:70")


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [
        np.random.default_rng(seed).integers(0, 256, (8, 9, 3)).astype(np.uint8).repeat(12, 0).repeat(12, 1)
        for seed in range(3)
    ]


@pytest.fixture(scope="module")
def found(small_network, photos) -> Invariance:
    names = ("a/cat/1.jpg", "b/2.jpg", "3.jpg")
    return measure_invariance(small_network, photos, names=names, transformations=KINDS, layers=LAYERS)


@cache
def double(module):
    return copy.deepcopy(module).double().eval()


def slow(network, view, layers):
    """Feature vectors and probabilities of one picture, float64, module by module."""
    module = double(network.module)
    x = network.preprocessing.tensor([view]).double()
    features = {}
    with torch.no_grad():
        for name, part in module.named_children():
            x = part(x)
            if name in layers:
                features[name] = [float(v) for v in x.flatten()]
    scores = [float(v) for v in x[0]]
    total = math.fsum(math.exp(s) for s in scores)
    return features, [math.exp(s) / total for s in scores]


def apart(one, other) -> float:
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


def test_distances_and_probabilities_one_by_one(small_network, photos, found):
    for photo, pixels in enumerate(photos[:2]):
        ready = TransformablePhoto(small_network, pixels)
        base, start = slow(small_network, ready.view, LAYERS)
        label = small_network.classes.index(found.labels[photo])
        assert found.baseline[photo] == pytest.approx(start[label], rel=1e-4)
        for course in found.courses:
            for step in (0, len(course.values) - 2)[: 2 - photo]:
                features, spread = slow(small_network, ready.at(course.name, course.values[step])[0], LAYERS)
                assert course.probabilities[photo, step] == pytest.approx(spread[label], rel=1e-4)
                for number, layer in enumerate(LAYERS):
                    expected = apart(features[layer], base[layer])
                    assert course.distances[number, photo, step] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    bases = [slow(small_network, small_network.view(pixels), LAYERS)[0] for pixels in photos]
    for number, layer in enumerate(LAYERS):
        pairs = [apart(bases[a][layer], bases[b][layer]) for a, b in ((0, 1), (0, 2), (1, 2))]
        assert found.apart[number] == pytest.approx(sum(pairs) / 3, rel=1e-4)
        assert found.norms[number, 1] == pytest.approx(apart(bases[1][layer], [0] * len(bases[1][layer])), rel=1e-4)


def test_the_untransformed_photo_is_at_distance_zero(found):
    for course in found.courses:
        same = course.values == course.identity
        assert same.sum() == 1
        assert (course.distances[:, :, same] == 0).all()
        assert np.array_equal(course.probabilities[:, same][:, 0], found.baseline)
        assert (course.distances[:, :, ~same] > 0).all()


def test_the_summary_by_its_formulas(found):
    by = {(row.transformation, row.layer): row for row in found.summary()}
    assert len(by) == 6
    course = found.courses[0]
    for number, layer in enumerate(LAYERS):
        row = by["vertical translation", layer]
        moved = [d for photo in course.distances[number] for d, v in zip(photo, course.values, strict=True) if v]
        assert row.between == pytest.approx(sum(moved) / len(moved) / found.apart[number])
        norms = np.repeat(found.norms[number], 4)
        assert row.relative == pytest.approx(np.mean(np.array(moved) / norms))
        mean = course.distances[number].mean(0)
        assert row.onset == pytest.approx((mean[1] + mean[3]) / 2 / mean.max())
        assert row.linearity is None  # two sizes of step only: 3 and 6
    turned = found.courses[2]
    row = by["rotation", "relu7"]
    sizes = [70, 140, 150, 80, 10]  # 210, 280 and 350 degrees are 150, 80 and 10
    r2 = [np.corrcoef(sizes, photo[1:])[0, 1] ** 2 for photo in turned.distances[1]]
    assert row.linearity == pytest.approx(np.mean(r2))
    mean = turned.distances[1].mean(0)
    assert row.onset == pytest.approx(mean[5] / mean[1:].max())
    kept = turned.probabilities[:, 1:] / found.baseline[:, None]
    assert row.probability == pytest.approx(kept.mean())


def test_each_class_comes_from_somewhere(small_network, photos, found):
    assert found.labels[0] == "cat"
    predicted = small_network.probabilities([photos[1]])[0].argmax()
    assert found.labels[1] == small_network.classes[predicted]
    assert found.label_sources == ("folder", "predicted", "predicted")
    given = measure_invariance(small_network, photos, transformations=KINDS[:1], labels=["dog", None, "eel"])
    assert given.labels[0] == "dog"
    assert given.label_sources == ("given", "predicted", "given")
    assert measure_invariance(small_network, photos, transformations=KINDS[:1], labels="bee").labels == ("bee",) * 3


def test_one_pass_a_batch_serves_all_layers(small_network, photos, found):
    assert found.pictures == 3 * (1 + 4 + 3 + 5)  # the identity of every transformation is one picture
    assert found.passes == 3
    runs = []
    handle = small_network.module.register_forward_hook(lambda _m, inputs, _o: runs.append(len(inputs[0])))
    try:
        fine = measure_invariance(
            small_network, photos, names=found.photos, transformations=KINDS, layers=LAYERS, batch_size=5
        )
    finally:
        handle.remove()
    assert runs == [5, 5, 3] * 3
    assert fine.passes == 9
    for one, other in zip(fine.courses, found.courses, strict=True):
        assert one.distances == pytest.approx(other.distances, rel=1e-4, abs=1e-5)
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-4)


def test_a_training_network_comes_back_training(small_network, photos):
    network = dataclasses.replace(small_network, module=copy.deepcopy(small_network.module).train())
    one = measure_invariance(network, photos[:1], transformations=KINDS[:1])
    other = measure_invariance(small_network, photos[:1], transformations=KINDS[:1])
    assert network.module.training
    assert one.courses[0].distances == pytest.approx(other.courses[0].distances)
    assert not network.module.get_submodule("relu1")._forward_hooks


def test_a_single_photo_has_no_other(small_network, photos):
    alone = measure_invariance(small_network, photos[:1], transformations=KINDS[:1])
    assert all(row.between is None and row.relative > 0 for row in alone.summary())
    assert np.isnan(alone.apart).all()


def test_the_record_is_read_without_loss(found, tmp_path):
    run = found.save(tmp_path / "run", inputs={"data": "x.zip"})
    assert run.finished
    assert run.inputs["data"] == "x.zip"
    read = InvarianceRecord.read(Run.open(tmp_path / "run"))
    for field in dataclasses.fields(InvarianceRecord):
        if field.name == "courses":
            continue
        assert np.array_equal(getattr(read, field.name), getattr(found, field.name)), field.name
    for one, other in zip(read.courses, found.courses, strict=True):
        for field in dataclasses.fields(one):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name
    assert read.summary() == found.summary()
    with pytest.raises(RunError, match="holds a invariance run already"):
        found.save(tmp_path / "run")
    other = Run.create(tmp_path / "other", "mine", {}, {})
    with pytest.raises(RunError, match="kind 'mine'"):
        InvarianceRecord.read(other)


def test_the_figure_has_the_papers_panels(found):
    figure = invariance_figure(found)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:4] == [
        "a1  vertical translation",
        "a2  relu1: Euclidean distance",
        "a3  relu7: Euclidean distance",
        "a4  probability of the class",
    ]
    assert titles[8] == "c1  rotation"
    lines = figure.axes[2].lines[:3]
    for photo, line in enumerate(lines):
        assert np.array_equal(line.get_ydata(), found.courses[0].distances[1, photo])
        assert np.array_equal(line.get_xdata(), found.courses[0].values)
    many = dataclasses.replace(found, photos=("x",) * 25)
    with pytest.raises(OptionError, match="at most 24"):
        invariance_figure(many)


def test_refused(small_network, photos):
    with pytest.raises(DataError, match="there is no photo"):
        measure_invariance(small_network, [])
    with pytest.raises(DataError, match="same features"):
        measure_invariance(small_network, [photos[0], photos[0]], transformations=KINDS[:1])
    dead = dataclasses.replace(small_network, module=copy.deepcopy(small_network.module))
    with torch.no_grad():
        dead.module.get_submodule("fc7").weight.zero_()
    with pytest.raises(ModelError, match=r"'relu7' are the same for every transformed photo"):
        measure_invariance(dead, photos, transformations=KINDS[:1])
    with pytest.raises(UnknownNameError, match="did you mean relu1"):
        measure_invariance(small_network, photos, layers=["relu1x"])
    with pytest.raises(UnknownNameError, match="no class 'cow'"):
        measure_invariance(small_network, photos, labels="cow")
    with pytest.raises(OptionError, match="2 classes were given for 3 photos"):
        measure_invariance(small_network, photos, labels=["cat", "dog"])
    with pytest.raises(OptionError, match="batch_size"):
        measure_invariance(small_network, photos, batch_size=0)
    with pytest.raises(OptionError, match="1 names were given"):
        measure_invariance(small_network, photos, names=["a"])


def test_the_papers_layers_of_built_in_networks(small_network):
    layers = paper_layers(small_network)
    assert (layers.first, layers.last) == ("relu1", "relu7")
    for name in ("alexnet-dense", "zfnet"):
        network = deconvnet.load(name, weights=None, num_classes=5, input_size=128, fc_width=16)
        found = paper_layers(network)
        assert (found.first, found.maps, found.last) == ("relu1", "pool5", "relu7")
    for name in ("lenet5", "lenet5-1998"):
        paper_layers(deconvnet.load(name, weights=None))
    shorter = deconvnet.load("zfnet", weights=None, num_classes=5, input_size=64, fc_width=16, remove=(7,))
    assert paper_layers(shorter).last == "relu6"


def test_resnet18(torchvision, photos):
    network = deconvnet.load("torchvision:resnet18", input_size=64)
    layers = paper_layers(network)
    assert (layers.first, layers.maps, layers.last) == ("relu", "layer4", "avgpool")
    found = measure_invariance(network, photos[:2], transformations=["vertical:-4:4:4"])
    assert found.layers == ("relu", "avgpool")
    assert (found.courses[0].distances[:, :, [0, 2]] > 0).all()
    with pytest.raises(ModelError, match="runs more than once"):
        measure_invariance(network, photos[:2], layers=["layer1.0.relu"])
