"""Diagnosing networks whose ills are known, because they were put there."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

import deconvnet
from deconvnet.errors import DataError, ModelError, OptionError, RunError
from deconvnet.experiments.diagnosis.figure import diagnosis_figure
from deconvnet.experiments.diagnosis.findings import findings
from deconvnet.experiments.diagnosis.measure import Diagnosis, diagnose, drawn_sample
from deconvnet.experiments.diagnosis.record import DiagnosesRecord, DiagnosisRecord
from deconvnet.filter_statistics.filters import filter_health
from deconvnet.networks import load
from deconvnet.runs import Run


@pytest.fixture(scope="module")
def ill(small_network):
    """A network with random weights in which things were put out of order."""
    network = dataclasses.replace(small_network, module=copy.deepcopy(small_network.module))
    conv1, conv2 = (network.module.get_submodule(name) for name in ("conv1", "conv2"))
    smooth = torch.outer(torch.hann_window(9)[1:8], torch.hann_window(9)[1:8])
    with torch.no_grad():
        conv1.weight[0] = 58 * smooth * 60  # so strong that it exceeds the radius
        conv1.weight[1].zero_()
        conv1.bias[1] = -1  # dead
        conv1.weight[2].zero_()
        conv1.bias[2] = 1  # active everywhere
        conv1.weight[4] = 2 * conv1.weight[3]  # a duplicate
        conv2.bias[:40] = -1e6  # forty dead maps
    return network


@pytest.fixture(scope="module")
def diagnosis(ill, two_classes) -> Diagnosis:
    return diagnose(ill, deconvnet.open_photos(two_classes), sample=8, probe=3, batch_size=3, drawn=5)


def finding(record: DiagnosisRecord, topic: str):
    return next(each for each in record.findings if each.topic == topic)


def test_what_was_put_there_is_found(diagnosis, ill):
    first = diagnosis.filters[0]
    assert (first.layer, first.shape, first.stride) == ("conv1", (96, 3, 7, 7), 2)
    scale = ill.preprocessing.scale
    weight = ill.module.get_submodule("conv1").weight.detach().double().numpy()
    assert first.rms[0] == pytest.approx(math.sqrt((weight[0] ** 2).mean()) / scale)
    assert first.over(0.1).tolist() == [0]
    assert 1 in first.faint
    assert [(i, j) for i, j, _ in first.duplicates] == [(3, 4)]
    assert 0 not in first.noisy
    assert len(first.noisy) > 80  # random weights
    maps = {m.layer: m for m in diagnosis.maps}
    assert list(maps) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert 1 in maps["conv1"].dead
    assert 2 in maps["conv1"].saturated
    assert set(range(40)) <= set(maps["conv2"].dead.tolist())
    assert [(s.layer, s.stride) for s in diagnosis.strided] == [
        ("conv1", 2),
        ("pool1", 2),
        ("conv2", 2),
        ("pool2", 2),
    ]
    assert [s.stride for s in diagnosis.shifts] == [2, 8, 16, 16, 16]
    assert (diagnosis.photos, diagnosis.probed) == (8, 3)


def test_first_layer_is_compared_in_the_papers_units():
    """zfnet divides its inputs by 58: a filter does there what one 58 times smaller does on pixel values."""
    network = load("zfnet")
    assert network.preprocessing.scale == 58
    first, second, *_ = filter_health(network)
    weights = [network.module.get_submodule(n).weight.detach().double().numpy() for n in ("conv1", "conv2")]
    slow = [np.sqrt((w**2).mean((1, 2, 3))) for w in weights]
    np.testing.assert_allclose(first.rms, slow[0] / 58, rtol=1e-6)
    np.testing.assert_allclose(second.rms, slow[1], rtol=1e-6)
    assert (first.rms_is_paper, second.rms_is_paper) == (True, False)


def test_the_verdict_names_ill_and_remedy(diagnosis):
    assert not finding(diagnosis, "radius").healthy
    assert "renormalise" in finding(diagnosis, "radius").remedy
    assert not finding(diagnosis, "initial noise").healthy
    dead = finding(diagnosis, "dead maps")
    assert not dead.healthy
    assert "conv2" in dead.says
    assert "renormalise" in finding(diagnosis, "filter strengths").remedy  # one feature dominates (Fig. 6 a)
    assert "BlurPool" in diagnosis.verdict
    assert finding(diagnosis, "duplicates").healthy  # one pair among 96
    for each in diagnosis.findings:
        assert each.says.endswith(".")
        assert each.healthy == (not each.remedy)


def test_the_papers_remedy_is_for_large_kernels_and_strides(diagnosis):
    """Fig. 6: from 11 x 11, stride 4, to 7 x 7, stride 2; who has that already is not told to do it."""

    def remedy(side: int, stride: int) -> str:
        first = dataclasses.replace(
            diagnosis.filters[0],
            shape=(96, 3, side, side),
            stride=stride,
            bands=np.tile([0.7, 0.1, 0.2], (96, 1)),
        )
        found = findings(dataclasses.replace(diagnosis, filters=(first, *diagnosis.filters[1:])))
        return next(f for f in found if f.topic == "frequencies").remedy

    assert "from 11 x 11, stride 4, to 7 x 7, stride 2" in remedy(11, 4)
    assert "is there already" in remedy(7, 2)


def test_a_smooth_start_is_told_from_learning(diagnosis):
    filters = tuple(
        dataclasses.replace(
            f,
            autocorrelation=np.full_like(f.autocorrelation, 0.7),
            start={"start": 0.7, "cosine_to_start": 0.5},
        )
        for f in diagnosis.filters
    )
    said = next(f for f in findings(dataclasses.replace(diagnosis, filters=filters)) if f.topic == "initial noise")
    assert said.healthy
    assert "they were so at the start" in said.says
    assert "conv1 0.50" in said.says


def test_second_layer_is_projected(diagnosis):
    assert diagnosis.second_layer == "conv2"
    assert diagnosis.second.shape == (5, 3, 27, 27)
    assert len(set(diagnosis.second_channels.tolist())) == 5
    assert min(diagnosis.second_channels) >= 40  # dead maps have no projection
    assert all(np.abs(each).max() > 0 for each in diagnosis.second)


def test_without_photos_only_filters(ill):
    record = diagnose(ill)
    assert (record.maps, record.strided, record.shifts, record.photos) == ((), (), (), 0)
    assert math.isnan(record.consistency)
    assert {f.topic for f in record.findings} == {
        "frequencies",
        "filter strengths",
        "radius",
        "duplicates",
        "initial noise",
    }


def test_saved_and_read_again(diagnosis, tmp_path):
    run = diagnosis.save(tmp_path / "run")
    again = DiagnosesRecord.read(Run.open(run.path, "diagnose")).networks[0]
    for name in ("filters", "maps", "strided", "shifts"):
        for old, new in zip(getattr(diagnosis, name), getattr(again, name), strict=True):
            for key, value in vars(old).items():
                np.testing.assert_equal(getattr(new, key), value, err_msg=f"{name} {key}")
    np.testing.assert_array_equal(again.second, diagnosis.second)
    assert again.findings == diagnosis.findings
    assert again.verdict == diagnosis.verdict
    with pytest.raises(RunError, match="holds a diagnose run already"):
        diagnosis.save(tmp_path / "run")
    diagnosis.save(tmp_path / "run", overwrite=True)


def test_figure_of_several(diagnosis, ill):
    figure = diagnosis_figure([diagnosis, diagnose(ill)])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert sum(title.startswith("conv1: 96 filters") for title in titles) == 2
    assert any("dead maps, % (8 photos)" in title for title in titles)
    assert any("drawn with seed 0" in text.get_text().replace("\n", " ") for text in figure.texts)
    assert [text.get_text() for text in figure.texts][-2:] == ["1. zfnet", "2. zfnet"]
    assert len(diagnosis.plot().axes) == 6
    with pytest.raises(OptionError, match="one to 4 networks"):
        diagnosis_figure([diagnosis] * 5)


def test_grey_and_squashed_networks(two_classes):
    photos = deconvnet.open_photos(two_classes)
    for name in ("lenet5", "lenet5-1998"):
        record = diagnose(load(name), photos, sample=3, probe=2)
        assert record.second_layer == ""
        assert record.filters[0].rms_is_paper
        record.plot()
    assert not record.maps[0].rectified
    assert len(record.maps[0].saturated) == 0


def test_a_foreign_network(torchvision, two_classes):
    network = load("torchvision:resnet18", input_size=64)
    record = diagnose(network, deconvnet.open_photos(two_classes), sample=3, probe=2, drawn=3)
    assert record.filters[0].shape == (64, 3, 7, 7)
    assert len(record.filters) == 20
    assert [m.layer for m in record.maps][:3] == ["conv1", "layer1.0.conv1", "layer1.0.relu (2)"]
    assert [s.stride for s in record.shifts][:2] == [2, 4]
    assert "maxpool" in {s.layer for s in record.strided}
    assert not finding(record, "initial noise").healthy  # random weights
    record.plot()


def test_the_network_comes_back_as_it_was(ill, two_classes):
    before = {key: value.clone() for key, value in ill.module.state_dict().items()}
    diagnose(ill, deconvnet.open_photos(two_classes), sample=2, probe=1, drawn=1)
    assert all(torch.equal(before[key], value) for key, value in ill.module.state_dict().items())
    assert not ill.module.training
    assert not any(part._forward_hooks for part in ill.module.modules())
    assert ill.module.get_submodule("conv1").stride == (2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 0}, "sample must be at least 1, not 0"),
        ({"probe": 0}, "probe must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "seed and drawn must be at least 0"),
    ],
)
def test_bad_numbers_are_refused(ill, options, message):
    with pytest.raises(OptionError, match=message):
        diagnose(ill, **options)


def test_unreadable_photos_and_networks_without_convolutions(ill, tmp_path):
    (tmp_path / "bad.jpg").write_text("no photo")
    with pytest.raises(DataError, match=r"none of the 1 photos of .* can be read"):
        diagnose(ill, deconvnet.open_photos(tmp_path))
    flat = dataclasses.replace(ill, module=nn.Sequential(nn.Flatten(), nn.Linear(3, 5)))
    with pytest.raises(ModelError, match="has no convolution"):
        diagnose(flat)


def test_the_draw_follows_the_seed(two_classes):
    photos = deconvnet.open_photos(two_classes)
    assert drawn_sample(photos, 5, 1) == drawn_sample(photos, 5, 1)
    assert drawn_sample(photos, 5, 1) != drawn_sample(photos, 5, 2)
    assert sorted(drawn_sample(photos, 99, 0)) == list(range(20))
