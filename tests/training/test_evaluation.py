"""Accuracy against slow loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deconvnet.data import open_photos
from deconvnet.errors import DataError
from deconvnet.networks import Preprocessing, load
from deconvnet.training import PhotoDataset, evaluate
from deconvnet.training.evaluation import accuracy, scores


def test_accuracy_against_loops() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 8)).astype(np.float32)
    labels = rng.integers(0, 7, 60)  # class 7 has no photo
    found = accuracy(values, labels)
    first = fifth = 0
    loss, by_class, confusion = 0.0, {}, np.zeros((8, 8), int)
    for row, label in zip(values.tolist(), labels.tolist(), strict=True):
        ranking = sorted(range(8), key=lambda c: -row[c])
        first += ranking[0] == label
        fifth += label in ranking[:5]
        loss -= math.log(math.exp(row[label]) / sum(math.exp(v) for v in row))
        by_class.setdefault(label, []).append(ranking[0] == label)
        confusion[label, ranking[0]] += 1
    assert found.count == 60
    assert found.top1 == pytest.approx(first / 60)
    assert found.top5 == pytest.approx(fifth / 60)
    assert found.loss == pytest.approx(loss / 60)
    assert found.per_class == pytest.approx(np.mean([np.mean(v) for v in by_class.values()]))
    assert np.isnan(found.by_class[7])
    for label, hits in by_class.items():
        assert found.by_class[label] == pytest.approx(np.mean(hits))
    np.testing.assert_array_equal(found.confusion, confusion)


def test_per_class_weighs_classes_not_photos() -> None:
    values = np.zeros((10, 3), np.float32)
    values[:, 0] = 1
    found = accuracy(values, np.array([0] * 8 + [1, 2]))
    assert found.top1 == pytest.approx(0.8)
    assert found.per_class == pytest.approx(1 / 3)
    assert found.top5 == 1.0  # of three classes


def test_large_scores_do_not_overflow() -> None:
    found = accuracy(np.array([[5000.0, 0.0], [0.0, 5000.0]], np.float32), np.array([0, 0]))
    assert found.loss == pytest.approx(2500)


def test_no_photos_are_refused() -> None:
    with pytest.raises(DataError, match="no photos"):
        accuracy(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    with pytest.raises(DataError, match="no photos"):
        evaluate(torch.nn.Flatten(), Preprocessing(8, 8, np.zeros((3, 1, 1), np.float32)), [], np.zeros(0, np.int64))


def test_evaluate_is_a_forward_pass_and_leaves_the_mode() -> None:
    torch.manual_seed(0)
    network = load("zfnet", weights=None, input_size=64, fc_width=16, num_classes=3)
    module, p = network.module.train(), network.preprocessing
    views = [np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8) for i in range(5)]
    labels = np.array([0, 1, 2, 1, 0])
    found = evaluate(module, p, views, labels, batch_size=2)
    assert module.training
    module.eval()
    with torch.no_grad():
        one_by_one = torch.cat([module(p.tensor([view])) for view in views])
    expected = accuracy(one_by_one.numpy(), labels)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    with pytest.raises(DataError):
        evaluate(module.train(), p, [views[0][:9]], labels[:1])
    assert module.training


def test_scores_of_photos_and_of_ten_crops(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = load("zfnet", weights=None, input_size=64, fc_width=16, num_classes=2)
    with torch.no_grad():
        for p in network.module.parameters():
            p.mul_(1.5)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            pixels = np.random.default_rng(i).integers(0, 256, (80, 100, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "1.png").write_bytes(b"damaged")
    dataset = PhotoDataset(open_photos(tmp_path), 0.4, seed=0)
    indices = np.arange(6)
    values, kept = scores(network, dataset, indices)
    assert kept.tolist() == [0, 2, 3, 4, 5]
    assert [s.name for s in dataset.skipped] == ["a/1.png"]
    photos = [dataset.photos.read(i) for i in kept]
    with torch.no_grad():
        np.testing.assert_allclose(values, network.module(network.preprocess(photos)).numpy(), rtol=1e-4, atol=1e-6)
    ten, _ = scores(network, dataset, kept, ten_crops=True)
    np.testing.assert_allclose(np.exp(ten), network.probabilities(photos, ten_crops=True), rtol=1e-4)
    nothing, none = scores(network, dataset, np.array([1]))
    assert nothing.shape == (0, 2)
    assert none.shape == (0,)
