"""Table 3 on pieces of sample photos: the variants, resuming, the table by hand, record, figure, refusals."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deconvnet.data import open_photos, sample_photos
from deconvnet.errors import DataError, OptionError, RunError, UnknownNameError
from deconvnet.experiments.ablation.figure import ablation_figure
from deconvnet.experiments.ablation.measure import Ablation, VariantReport, ablate, variants
from deconvnet.experiments.ablation.record import TABLE_3, AblationRecord
from deconvnet.networks import build, load
from deconvnet.progress import only
from deconvnet.runs import Run
from deconvnet.training import RECIPES, EpochReport, Stage
from deconvnet.training.record import TrainingRecord

TINY = replace(
    RECIPES["caltech101"],
    stages=(Stage(64, 1, 0.1),),
    options={"fc_width": 16, "widths": (9, 9, 8)},
    batch_size=8,
    balance=None,
)
NAMES = ("base", "remove-3-4-6-7", "wide")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    pytest.importorskip("skimage")
    folder = tmp_path_factory.mktemp("pieces")
    for photo in sample_photos():
        if photo.name in ("chelsea", "coffee"):
            (folder / photo.name).mkdir()
            rng = np.random.default_rng(0)
            for i in range(10):
                top, left = (int(rng.integers(side - 110)) for side in photo.pixels.shape[:2])
                Image.fromarray(photo.pixels[top : top + 90, left : left + 100]).save(
                    folder / photo.name / f"{i:02}.jpg", quality=90
                )
    return open_photos(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs") / "ablate"


@pytest.fixture(scope="module")
def found(photos, place) -> Ablation:
    return ablate(TINY, photos, place, seeds=2, names=NAMES)


def parameters(**options) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build("zfnet", **options).parameters())


def test_the_papers_variants_have_the_papers_sizes():
    whole = RECIPES["paper"]
    every = variants(whole)
    assert [variant.name for variant in every] == list(TABLE_3)
    counts = {v.name: parameters(num_classes=1000, **{**whole.options, **v.options}) for v in every}
    assert counts["base"] == 62_357_608
    assert counts["fc-half"] == 28_848_232
    assert counts["fc-double"] == 154_542_184
    assert counts["wide"] == 107_627_624
    assert counts["wide-fc-double"] == 237_560_936
    assert counts["remove-7"] == 62_357_608 - 16_781_312
    by = {v.name: v for v in every}
    assert by["wide"].title == "3,4,5: 512, 1,024, 512 maps"
    assert by["fc-half"].title == "6,7: 2,048 units"


def test_recipes_of_other_sizes_are_changed_by_the_same_factors():
    by = {v.name: v.options for v in variants(TINY)}
    assert by["fc-double"] == {"fc_width": 32}
    assert by["wide"] == {"widths": (12, 24, 16)}
    assert [v.name for v in variants(TINY, ["wide", "base"])] == ["base", "wide"]


def test_each_training_is_a_run_with_its_numbers(found, place, photos):
    assert found.variants == NAMES
    assert found.seeds == (0, 1)
    for v, name in enumerate(NAMES):
        for s in range(2):
            run = Run.open(place / name / f"seed-{s}", "train")
            assert run.finished
            assert run.settings["seed"] == s
            assert found.top1[v, s] == pytest.approx(1 - TrainingRecord.read(run).metrics[-1]["val_top1"])
            assert found.train[v, s] == run.json("training-error")["top1"]
        network = load(str(run.path / "network.safetensors"))
        assert found.parameters[v] == network.parameters
    assert network.options["widths"] == [12, 24, 16]
    split = TrainingRecord.read(Run.open(place / "base" / "seed-1")).held_out
    assert split == TrainingRecord.read(Run.open(place / "wide" / "seed-1")).held_out
    assert split != TrainingRecord.read(Run.open(place / "base" / "seed-0")).held_out
    train = [i for i, photo in enumerate(photos.names) if photo not in split]
    wrong = [
        network.classes[int(network.module(network.preprocessing([photos.read(i)])).argmax())]
        != photos.classes[photos.labels[i]]
        for i in train
    ]
    assert found.train[2, 1] == pytest.approx(sum(wrong) / len(train))


def test_finished_trainings_are_only_read_and_killed_ones_gone_on_with(found, place, photos, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    shutil.rmtree(copy / "wide" / "seed-1")
    (copy / "wide" / "seed-0" / "network.safetensors").stat()
    epochs: list[int] = []
    asked: list[VariantReport] = []

    def listen(report):
        only(EpochReport, lambda told: epochs.append(told.metrics["epoch"]))(report)
        only(VariantReport, asked.append)(report)

    again = ablate(
        TINY,
        photos,
        copy,
        seeds=2,
        names=NAMES,
        progress=listen,
    )
    assert epochs == [1]  # the removed one alone
    assert len(asked) == 6
    last = asked[-1]
    assert (last.variant, last.seed, last.done, last.total) == ("3,4,5: 12, 24, 16 maps", 1, 5, 6)
    assert np.array_equal(again.top1, found.top1)
    more = ablate(TINY, photos, copy, seeds=3, names=["base"])
    assert more.top1.shape == (1, 3)
    assert np.array_equal(more.top1[0, :2], found.top1[0])


def test_a_killed_training_is_gone_on_with(photos, tmp_path):
    longer = TINY.changed(epochs=2)
    whole = ablate(longer, photos, tmp_path / "whole", seeds=1, names=["base"])
    epochs: list[int] = []

    def stop(report) -> None:
        epochs.append(report.metrics["epoch"])
        if len(epochs) == 1:
            raise KeyboardInterrupt

    options = {"seeds": 1, "names": ["base"], "progress": only(EpochReport, stop)}
    with pytest.raises(KeyboardInterrupt):
        ablate(longer, photos, tmp_path / "killed", **options)
    assert not Run.open(tmp_path / "killed").finished
    resumed = ablate(longer, photos, tmp_path / "killed", **options)
    assert epochs == [1, 2]
    weights = (load(str(tmp_path / name / "base" / "seed-0" / "network.safetensors")) for name in ("whole", "killed"))
    one, other = (network.fingerprint for network in weights)
    assert one == other
    assert resumed.top1 == whole.top1


def test_the_table_by_hand(found):
    found = replace(found, top1=np.array([[0.3, 0.4], [0.55, 0.5], [0.25, 0.4]]))
    base, small, wide = found.rows()
    assert base.difference[0] == 0
    moved = [float(found.top1[1, s] - found.top1[0, s]) for s in range(2)]
    mean = sum(moved) / 2
    assert mean == pytest.approx(0.175)
    assert small.difference == pytest.approx((mean, (sum((m - mean) ** 2 for m in moved)) ** 0.5))
    assert base.paper == (38.4, 0.0)
    assert small.paper == pytest.approx((71.3, 30.8))  # printed of the replication alone: to its own 40.5
    assert wide.paper == pytest.approx((37.5, -0.9))
    text = found.table()
    assert "+17.5 ± 10.6" in text
    assert f"{base.parameters:,}" in text
    assert "+30.8" in text
    alex = replace(found, network="alexnet-dense").rows()
    assert alex[0].paper == (40.5, 0.0)
    alone = replace(found, variants=("wide", "fc-half", "remove-7"))
    assert np.isnan(alone.rows()[0].difference[0])
    assert "-" in alone.table()


def test_the_record_is_read_without_loss(found, place):
    read = AblationRecord.read(Run.open(place))
    for field in dataclasses.fields(AblationRecord):
        one, other = getattr(read, field.name), getattr(found, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, field.name
    assert read.table() == found.table()


def test_the_figure_has_every_variant(found):
    figure = ablation_figure(found)
    left, right = figure.axes
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels[0].startswith("unchanged")
    assert len(labels) == 3
    papers = next(line for line in right.lines if line.get_marker() == "D")
    assert papers.get_xdata() == pytest.approx([30.8, -0.9])
    assert any("Mean and standard deviation over 2 seeds" in text.get_text() for text in figure.texts)


def test_refused(photos, place, found, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean remove-7"):
        variants(TINY, ["remove-77"])
    with pytest.raises(OptionError, match="no layers 3 to 7"):
        variants(RECIPES["lenet5"])
    with pytest.raises(OptionError, match="comes with layers removed"):
        variants(replace(TINY, options={"remove": (7,)}))
    with pytest.raises(OptionError, match="at least one seed"):
        ablate(TINY, photos, tmp_path / "a", seeds=0)
    with pytest.raises(DataError, match=r"1 class\(es\)"):
        ablate(TINY, photos.exclude(["coffee"]), tmp_path / "a")
    with pytest.raises(OptionError, match="leaves nothing of the map"):
        ablate(TINY.changed(size=16), photos, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    with pytest.raises(RunError, match="other settings"):
        ablate(replace(TINY, learning_rate=1.0), photos, place, names=["base"])
    with pytest.raises(RunError, match="other inputs"):
        ablate(TINY, photos.subset(np.arange(len(photos)) != 3), place, names=["base"])
