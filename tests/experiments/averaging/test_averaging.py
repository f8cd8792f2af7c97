"""Averaged class probabilities (Table 2)."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import deconvnet
from deconvnet.errors import DataError, OptionError
from deconvnet.experiments.averaging import measure as averaging
from deconvnet.experiments.averaging.measure import average, sign_test
from deconvnet.experiments.averaging.record import AveragingRecord
from deconvnet.networks import load
from deconvnet.runs import Run
from deconvnet.training import PhotoDataset

CLASSES = ("other", "red")


def network(seed: int):
    torch.manual_seed(seed)
    fresh = load("zfnet", weights=None, num_classes=2, input_size=64, fc_width=16)
    with torch.no_grad():
        fresh.module.get_submodule("fc8").weight.mul_(50)  # so that photos get different answers
    return dataclasses.replace(fresh, classes=CLASSES)


@pytest.fixture(scope="module")
def dataset(two_classes) -> PhotoDataset:
    return PhotoDataset(deconvnet.open_photos(two_classes), 0.4, 0)


@pytest.fixture(scope="module")
def averaged(dataset):
    return average([network(1), network(2)], dataset, data="two classes, held out")


def test_agrees_with_a_slow_average(averaged, dataset):
    networks = [network(1), network(2)]
    wrong = np.zeros(3)
    for number, index in enumerate(dataset.held_out):
        photo = dataset.photos.read(int(index))
        means = []
        for each in networks:
            crops = each.preprocessing.ten_crops(photo)
            with torch.no_grad():
                probabilities = [each.module(each.preprocessing.tensor([c]))[0].double().softmax(0) for c in crops]
            means.append(sum(p.numpy() for p in probabilities) / 10)
        for i, mean in enumerate((*means, (means[0] + means[1]) / 2)):
            wrong[i] += mean.argmax() != dataset.labels[index]
        np.testing.assert_allclose(averaged.probabilities[:, number], means, atol=1e-5)
    count = len(dataset.held_out)
    assert [row.top1 for row in averaged.rows] == pytest.approx(list(wrong / count))
    assert [row.name for row in averaged.rows] == ["zfnet", "zfnet", "average of 2"]
    assert all(row.count == count for row in averaged.rows)
    error = averaged.rows[0].top1
    assert averaged.rows[0].top1_spread == pytest.approx(math.sqrt(error * (1 - error) / count))


def test_the_mean_decides_not_the_loudest():
    """Of three classes, two networks: one is sure of class 0, both think class 1 likely."""
    probabilities = np.array([[[0.55, 0.45, 0.0]], [[0.0, 0.5, 0.5]]], np.float32)
    rows = averaging._rows(["a", "b"], probabilities, np.array([1]))
    assert [row.top1 for row in rows] == [1.0, 0.0, 0.0]
    rows = averaging._rows(["a", "b"], probabilities, np.array([0]))
    assert [row.top1 for row in rows] == [0.0, 1.0, 1.0]
    assert (rows[2].gained, rows[2].lost) == (0, 1)


def test_averaging_twice_the_same_changes_nothing(dataset):
    one = network(1)
    found = average([one, one], dataset, ten_crops=False)
    assert found.rows[2].top1 == found.rows[0].top1
    assert (found.rows[2].gained, found.rows[2].lost, found.rows[2].chance) == (0, 0, 1.0)


def test_centre_crop_is_the_networks_own(dataset):
    one = network(1)
    found = average([one, network(2)], dataset, ten_crops=False)
    photos = [dataset.photos.read(int(i)) for i in dataset.held_out]
    np.testing.assert_allclose(found.probabilities[0], one.probabilities(photos), atol=1e-5)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 5), (9, 1), (40, 22), (0, 7)])
def test_sign_test(gained, lost):
    wanted = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert sign_test(gained, lost) == pytest.approx(wanted)


def test_saved_with_every_probability(averaged, tmp_path):
    run = averaged.save(tmp_path / "run")
    again = Run.open(run.path, "average")
    record = AveragingRecord.read(again)
    np.testing.assert_array_equal(record.probabilities, averaged.probabilities)
    assert record.rows[2].name == "average of 2"
    assert again.inputs["classes"] == list(CLASSES)
    assert "sign test" in averaged.table()
    assert len(averaged.plot().axes) == 3


def test_other_classes_are_refused(dataset):
    with pytest.raises(OptionError, match="at least two networks, not 1"):
        average([network(1)], dataset)
    turned = dataclasses.replace(network(2), classes=CLASSES[::-1])
    with pytest.raises(OptionError, match="only networks of the same classes can be averaged"):
        average([network(1), turned], dataset)
    others = [dataclasses.replace(network(i), classes=("blue", "other")) for i in (1, 2)]
    with pytest.raises(DataError, match=r"other classes than zfnet was trained on \(blue, red\)"):
        average(others, dataset)
    with pytest.raises(OptionError, match="nothing to average"):
        average([dataclasses.replace(network(i), classes=()) for i in (1, 2)], dataset)


def test_no_photo_can_be_read(tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.jpg").write_text("no photo")
    dataset = PhotoDataset(deconvnet.open_photos(tmp_path), 0.4, 0)
    with pytest.raises(DataError, match="can be read"):
        average([network(1), network(2)], dataset)
