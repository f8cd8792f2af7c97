"""Transfer on pieces of sample photos: splits, numbers against loops, several labels, records, figures, refusals."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import deconvnet
from deconvnet.data import open_photos, sample_photos
from deconvnet.errors import DataError, ModelError, OptionError, RunError, UnknownNameError
from deconvnet.experiments.transfer import Scratch, Transfer, linear, split_fold, transfer, transfer_labels
from deconvnet.experiments.transfer.features import layer_features, plan_layers
from deconvnet.experiments.transfer.figure import transfer_figure
from deconvnet.experiments.transfer.labels import labelled, read_labels
from deconvnet.experiments.transfer.record import TransferRecord
from deconvnet.experiments.transfer.stages import stage_ends
from deconvnet.runs import Run
from deconvnet.training import RECIPES, Stage
from deconvnet.training.record import TrainingRecord

THREE = ("astronaut", "chelsea", "coffee")
TINY = replace(
    RECIPES["caltech101"], stages=(Stage(64, 2, 0.1),), batch_size=4, balance=None, options={"fc_width": 1024}
)


def pieces(folder: Path, count: int = 14) -> Path:
    pytest.importorskip("skimage")
    for photo in sample_photos():
        if photo.name in THREE:
            (folder / photo.name).mkdir()
            rng = np.random.default_rng(0)
            for i in range(count):
                top, left = (int(rng.integers(side - 110)) for side in photo.pixels.shape[:2])
                Image.fromarray(photo.pixels[top : top + 100, left : left + 110]).save(
                    folder / photo.name / f"{i:02}.jpg", quality=90
                )
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return open_photos(pieces(tmp_path_factory.mktemp("pieces")))


@pytest.fixture(scope="module")
def found(small_network, photos) -> Transfer:
    return transfer(small_network, photos, per_class=(6, 3, 1), folds=3, layers=["norm1", "relu7"], test=5)


def test_splits_are_nested_disjoint_and_fixed_by_the_seed():
    labels = np.array([0] * 9 + [1] * 5 + [2] * 7)
    ranks, train, test = split_fold(labels, 3, 4, seed=1, fold=0)
    assert not set(train) & set(test)
    assert np.bincount(labels[train]).tolist() == [3, 3, 3]
    assert np.bincount(labels[test]).tolist() == [4, 2, 4]
    for size in (1, 2):
        assert set(train[ranks[train] < size]) < set(train)
    again = split_fold(labels, 3, 4, seed=1, fold=0)
    assert all(np.array_equal(a, b) for a, b in zip(again, (ranks, train, test), strict=True))
    assert not np.array_equal(split_fold(labels, 3, 4, seed=1, fold=1)[1], train)
    assert not np.array_equal(split_fold(labels, 3, 4, seed=2, fold=0)[1], train)


def test_stages_end_where_the_papers_layers_do(small_network, torchvision):
    names = [row.name for row in stage_ends(small_network)]
    assert names == ["norm1", "norm2", "relu3", "relu4", "pool5", "relu6", "relu7"]
    alex = deconvnet.load("alexnet-dense", weights=None, num_classes=5, input_size=128, fc_width=16)
    assert [row.name for row in stage_ends(alex)] == ["pool1", "pool2", *names[2:]]
    resnet = [row.name for row in stage_ends(deconvnet.load("torchvision:resnet18", input_size=64))]
    assert resnet[:2] == ["maxpool", "layer1.0"]
    assert resnet[-1] == "avgpool"


def test_features_are_the_layers_outputs(small_network, photos):
    plan = plan_layers(small_network, ["norm1", "pool5", "relu7"], 96 * 25)
    got = layer_features(small_network, photos, plan, batch_size=8)
    assert plan[0].shape == (96, 15, 15)
    assert plan[0].used == (96, 5, 5)
    assert not plan[1].pooled
    for i in (0, 17, len(photos) - 1):
        x = small_network.preprocessing([photos.read(i)])
        with torch.no_grad():
            for name, part in small_network.module.named_children():
                x = part(x)
                if name == "norm1":
                    cells = x[0].double().numpy().reshape(96, 5, 3, 5, 3).mean((2, 4))
                    assert got.vectors[0][i] == pytest.approx(cells.reshape(-1), rel=1e-3, abs=1e-6)
                if name == "pool5":
                    assert got.vectors[1][i] == pytest.approx(x.flatten().numpy(), rel=1e-3, abs=1e-7)
                if name == "relu7":
                    assert got.vectors[2][i] == pytest.approx(x.flatten().numpy(), rel=1e-3, abs=1e-7)


def test_each_photo_passes_once_for_all_layers_and_folds(small_network, photos):
    seen = []
    handle = small_network.module.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    try:
        transfer(small_network, photos, per_class=(2, 4), folds=2, layers=["norm2", "relu6"], batch_size=16)
    finally:
        handle.remove()
    assert seen[0] == 1  # the table of layers is read off one blank input
    assert sum(seen[1:]) == len(photos)


def test_the_numbers_by_hand(small_network, photos, found):
    assert found.sizes == (1, 3, 6)
    assert found.scores.shape == (2, 2, 3, 3)
    assert found.tested.tolist() == [5, 5, 5]
    assert found.known == ()
    plan = plan_layers(small_network, ["relu7"], 10**6)
    vectors = layer_features(small_network, photos, plan).vectors[0]
    ranks, train, test = split_fold(photos.labels, 6, 5, 0, 1)
    some = train[ranks[train] < 3]
    ready = linear.standardise(vectors[some], vectors[test], "relu7")
    c = linear.choose("svm", ready.train, photos.labels[some], ranks[some] < 2)
    assert c == found.chosen[1, 0, 1, 1]
    predicted = linear.fitted("svm", c, ready.train, photos.labels[some]).predict(ready.test)
    for k in range(3):
        own = [p == k for p, t in zip(predicted, photos.labels[test], strict=True) if t == k]
        assert found.by_class[1, 0, 1, 1, k] == pytest.approx(sum(own) / len(own))
    assert found.scores[1, 0, 1, 1] == pytest.approx(found.by_class[1, 0, 1, 1].mean())
    cell = next(c for c in found.cells() if (c.layer, c.classifier, c.size) == ("norm1", "softmax", 6))
    values = [float(v) for v in found.scores[0, 1, 2]]
    mean = sum(values) / 3
    assert cell.mean == pytest.approx(mean)
    assert cell.deviation == pytest.approx((sum((v - mean) ** 2 for v in values) / 2) ** 0.5)
    assert f"{100 * mean:.1f} ± {100 * cell.deviation:.1f}" in found.table()


def test_more_photos_tell_more_than_chance(found):
    assert found.scores[0, :, 2].mean() > 0.6  # colours alone tell these three apart
    assert found.chance == pytest.approx(1 / 3)
    assert found.scores[0, :, 2].mean() >= found.scores[0, :, 0].mean() - 0.05


def test_equal_seeds_give_equal_numbers(small_network, photos, found):
    again = transfer(small_network, photos, per_class=(6, 3, 1), folds=3, layers=["norm1", "relu7"], test=5)
    assert np.array_equal(again.scores, found.scores)


def test_photos_that_were_seen_are_left_out(small_network, photos, tmp_path):
    (tmp_path / "old").mkdir()
    for i in (0, 20):
        Image.fromarray(photos.read(i)[:, ::-1]).resize((90, 90)).save(tmp_path / "old" / f"{i}.png")
    got = transfer(small_network, photos, per_class=(3,), folds=1, layers=["relu7"], seen=open_photos(tmp_path / "old"))
    assert {each.photo for each in got.duplicates} >= {photos.names[0], photos.names[20]}
    assert all(each.mirrored for each in got.duplicates)
    assert got.photos == len(photos) - len(got.duplicates)
    assert got.seen == 2
    few = photos.subset(photos.labels == 0)
    with pytest.raises(DataError, match=r"14 duplicates removed in all"):
        transfer(small_network, photos, per_class=(3,), folds=1, layers=["relu7"], seen=few, threshold=0.9999)


def test_from_scratch_on_the_same_photos_and_not_twice(small_network, photos, tmp_path):
    scratch = Scratch(TINY, tmp_path / "scratch", 1)
    options = {"per_class": (3, 5), "folds": 2, "layers": ["relu7"], "classifiers": ["svm"]}
    got = transfer(small_network, photos, scratch=scratch, **options)
    assert np.isfinite(got.scratch[:, 0]).all()
    assert np.isnan(got.scratch[:, 1]).all()
    assert "from scratch" in got.table()
    run = Run.open(scratch.folder / "3-a-class-fold-1", "train")
    assert run.finished
    assert run.settings["network"] == "zfnet"
    assert run.settings["options"]["fc_width"] == 16
    _, _, test = split_fold(photos.labels, 5, 50, 0, 0)
    assert sorted(TrainingRecord.read(run).held_out) == sorted(photos.names[i] for i in test)
    before = {path: path.stat().st_mtime_ns for path in scratch.folder.rglob("*")}
    again = transfer(small_network, photos, scratch=scratch, **options)
    assert np.array_equal(again.scratch, got.scratch, equal_nan=True)
    assert {path: path.stat().st_mtime_ns for path in scratch.folder.rglob("*")} == before
    other = replace(scratch, recipe=replace(TINY, learning_rate=1e-4))
    with pytest.raises(RunError, match="other settings \\(learning_rate\\)"):
        transfer(small_network, photos, scratch=other, **options)
    with pytest.raises(OptionError, match="1 to 2 of the folds"):
        transfer(small_network, photos, scratch=replace(scratch, folds=3), **options)


@pytest.fixture(scope="module")
def several(photos):
    """Labels by the photo's class and two that are shared: "warm" of two classes, "odd" of every other photo."""
    pairs = [(name, photos.classes[label]) for name, label in zip(photos.names, photos.labels, strict=True)]
    pairs += [(name, "warm") for name, label in pairs if label in ("chelsea", "coffee")]
    pairs += [(name, "odd") for name in photos.names[::2]]
    return labelled(pairs)


def test_several_labels_a_photo(small_network, photos, several):
    got = transfer_labels(small_network, photos, several, folds=2, layers=["norm1", "relu7"], share=0.4)
    assert got.measure == "mean average precision"
    assert got.classes == ("astronaut", "chelsea", "coffee", "odd", "warm")
    assert got.sizes == (42 - 17,)
    assert got.scores.shape == (2, 2, 1, 2)
    assert got.by_class[0, :, 0, :, :3].mean() > 0.7
    assert got.by_class[0, :, 0, :, 4].mean() > 0.7
    assert got.by_class[0, :, 0, :, 3].mean() < 0.8  # "odd" means nothing
    assert got.scores[0, 0, 0, 0] == pytest.approx(np.nanmean(got.by_class[0, 0, 0, 0]))
    assert got.chance == pytest.approx(several.has.mean())
    figure = got.plot()
    assert "average precision" in figure.axes[1].get_title(loc="left")
    assert len(figure.axes[1].patches) == 10


def test_labels_from_a_table(tmp_path, several, photos, small_network):
    path = tmp_path / "labels.csv"
    rows = [
        f"{photo}, {several.labels[c]}"
        for i, photo in enumerate(several.photos)
        for c in np.flatnonzero(several.has[i])
    ]
    path.write_text("photo,label\n" + "\n".join(rows))
    read = read_labels(path)
    assert read.photos == several.photos
    assert np.array_equal(read.has, several.has)
    for text, words in (
        ("photo,tag\na,b\n", "lacks the column 'label'"),
        ("photo,label\na,\nb,x\n", "line 2 of .* lacks a photo or a label"),
        ("photo,label\na,x\nb,x\n", r"holds 1 label\(s\)"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_labels(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(UnknownNameError, match=r"no photo 'nowhere.jpg'"):
        transfer_labels(
            small_network,
            photos,
            labelled(
                [("nowhere.jpg", "a"), ("nowhere.jpg", "b")] * 2 + [(photos.names[0], "a"), (photos.names[0], "b")]
            ),
        )
    with pytest.raises(DataError, match="'b' has a single photo"):
        transfer_labels(
            small_network, photos, labelled([(photos.names[0], "a"), (photos.names[1], "a"), (photos.names[1], "b")])
        )


def test_the_record_is_read_without_loss(found, tmp_path):
    run = found.save(tmp_path / "run", inputs={"seen": "x"})
    assert run.finished
    assert run.inputs["seen"] == "x"
    read = TransferRecord.read(Run.open(tmp_path / "run"))
    for field in dataclasses.fields(TransferRecord):
        one, other = getattr(read, field.name), getattr(found, field.name)
        same = np.array_equal(one, other, equal_nan=True) if isinstance(one, np.ndarray) else one == other
        assert same, field.name
    assert read.table() == found.table()
    with pytest.raises(RunError, match="holds a transfer run already"):
        found.save(tmp_path / "run")
    with pytest.raises(RunError, match="kind 'mine'"):
        TransferRecord.read(Run.create(tmp_path / "other", "mine", {}, {}))


def test_the_figure_shows_layers_and_numbers(found):
    figure = transfer_figure(found)
    left, right = figure.axes
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["norm1", "relu7"]
    shown = [line.get_ydata() for line in left.lines if len(line.get_ydata()) == 2 and line.get_marker() == "o"]
    for j in range(2):
        assert shown[j] == pytest.approx(100 * found.scores[:, j, -1].mean(1))
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert any("relu7" in label for label in labels)
    assert "chance" in labels
    known = transfer_figure(replace(found, known=("coffee",)))
    assert any("no transfer" in text.get_text() for text in known.texts)


def test_a_network_that_knows_the_classes_is_told(small_network, photos):
    knowing = replace(small_network, classes=("coffee", "b", "c", "d", "e"))
    got = transfer(knowing, photos, per_class=(2,), folds=1, layers=["relu7"])
    assert got.known == ("coffee",)


def test_refused(small_network, photos, tmp_path):
    one = photos.exclude(["chelsea", "coffee"])
    with pytest.raises(DataError, match=r"1 class\(es\)"):
        transfer(small_network, one)
    with pytest.raises(DataError, match=r"the class 'astronaut' has 14 photos, and 30 to train"):
        transfer(small_network, photos)
    with pytest.raises(DataError, match=r"and 14 to train and at least one to test"):
        transfer(small_network, photos, per_class=(14,))
    with pytest.raises(UnknownNameError, match="did you mean relu7"):
        transfer(small_network, photos, per_class=(3,), layers=["reluu7"])
    with pytest.raises(UnknownNameError, match="no classifier 'tree'"):
        transfer(small_network, photos, per_class=(3,), classifiers=["tree"])
    for options in ({"per_class": (0,)}, {"per_class": ()}, {"folds": 0}, {"test": 0}, {"seed": -1}, {"batch_size": 0}):
        with pytest.raises(OptionError):
            transfer(small_network, photos, **{"per_class": (3,), **options})
    dead = replace(small_network, module=copy.deepcopy(small_network.module))
    with torch.no_grad():
        dead.module.get_submodule("fc7").weight.zero_()
    with pytest.raises(ModelError, match=r"'relu7' are the same for all"):
        transfer(dead, photos, per_class=(3,), layers=["relu7"], folds=1)
