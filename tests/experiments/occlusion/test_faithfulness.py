"""Deletion and insertion curves against loops, and on a network of which the answer is known."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from tests.conftest import noise
from torch import nn

from deconvnet.errors import OptionError, RunError
from deconvnet.experiments.occlusion import Occluder
from deconvnet.experiments.occlusion.deletion import measure_faithfulness, pixel_orders
from deconvnet.experiments.occlusion.faithfulness_record import (
    ORDERS,
    Faithfulness,
)
from deconvnet.experiments.occlusion.record import OccludedPhoto, OcclusionRecord
from deconvnet.networks import Network, Preprocessing
from deconvnet.perturbations.fills import make_fill
from deconvnet.runs import Run

PHOTO = noise(80, 70, 1) * 3


@pytest.fixture(scope="module")
def found(small_network):
    occluder = Occluder(small_network, PHOTO)
    return occluder.map(occluder.grid((20, 14), 11), "noise:4")


def test_curves_equal_loops(small_network, found):
    steps = 5
    measured = measure_faithfulness(small_network, found, 3, steps=steps, seeds=2)
    orders = pixel_orders(found, 3, 2)
    module = copy.deepcopy(small_network.module).double()
    photo = small_network.preprocess([PHOTO])[0].double().numpy()
    fill = make_fill(small_network, found.view, "noise:4", found.grid.size)[1].double().numpy()
    assert tuple(measured.deletion) == tuple(measured.insertion) == ORDERS
    for curve, start, end in (("deletion", photo, fill), ("insertion", fill, photo)):
        for order in ORDERS:
            values = getattr(measured, curve)[order]
            assert values.shape == ((2 if order in ("random pixels", "shuffled map") else 1), steps + 1)
            for run in range(len(values)):
                ranks = orders[order][run]
                for step in range(steps + 1):
                    picture = start.copy()
                    for row in range(64):
                        for column in range(64):
                            if ranks[row, column] < round(step * 64 * 64 / steps):
                                picture[:, row, column] = end[:, row, column]
                    with torch.no_grad():
                        expected = module(torch.from_numpy(picture)[None]).softmax(1)[0, 3]
                    assert values[run, step] == pytest.approx(float(expected), rel=1e-5)
            area = sum((a + b) / 2 / steps for a, b in zip(values[0][:-1], values[0][1:], strict=True))
            assert measured.area(curve, order)[0] == pytest.approx(float(area), rel=1e-6)
    np.testing.assert_allclose(measured.shares, [0, 0.2, 0.4, 0.6, 0.8, 1])
    assert measured.label == "dog"


def test_orders(found):
    orders = pixel_orders(found, 3, 3)
    for ranks in (each for several in orders.values() for each in several):
        assert sorted(ranks.ravel()) == list(range(64 * 64))
    by_pixel = found.per_pixel(3)
    in_order = by_pixel.ravel()[np.argsort(orders["map"][0].ravel())]
    assert (np.diff(in_order) <= 0).all()  # the largest drop first
    rows, columns = np.divmod(np.argsort(orders["centre"][0].ravel()), 64)
    assert (np.diff(np.hypot(rows - 31.5, columns - 31.5)) >= -1e-9).all()
    assert (orders["random pixels"][0] != orders["random pixels"][1]).mean() > 0.9
    assert (orders["shuffled map"][0] != orders["shuffled map"][1]).mean() > 0.9
    again = pixel_orders(found, 3, 3)
    np.testing.assert_array_equal(orders["shuffled map"][2], again["shuffled map"][2])
    flat = dataclasses.replace(found, logits=np.zeros_like(found.logits))
    tied = pixel_orders(flat, 3, 1)
    np.testing.assert_array_equal(tied["map"][0].ravel(), np.arange(64 * 64))
    assert abs(np.corrcoef(tied["shuffled map"][0].ravel(), np.arange(64 * 64))[0, 1]) < 0.05  # no corner comes first
    ties = np.unique(by_pixel, return_counts=True)[1].max()
    assert ties > 1
    first = orders["map"][0][by_pixel == by_pixel.max()]
    np.testing.assert_array_equal(first, np.arange(len(first)))  # of equal pixels, row by row


def test_a_map_that_knows_the_answer_beats_chance():
    """The class depends on 8 x 8 of 32 x 32 px, away from the centre."""
    conv, last = nn.Conv2d(3, 1, 8, 8), nn.Linear(16, 2)
    for part in (conv, last):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    with torch.no_grad():
        conv.weight[:] = 1 / 192
        last.weight[0, 0] = 3.0
    module = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), last).eval()
    network = Network("corner", module, Preprocessing(32, 32, np.zeros((3, 1, 1), np.float32), 100.0), ("a", "b"))
    occluder = Occluder(network, np.full((32, 32, 3), 200, np.uint8))
    measured = measure_faithfulness(network, occluder.map(occluder.grid(4, 4), "black"), 0, steps=16, seeds=4)
    clean, covered = 1 / (1 + np.exp(-6)), 0.5
    ideal = measured.deletion["map"][0]
    np.testing.assert_allclose(ideal, [clean, *[covered] * 16], rtol=1e-5)  # a 16th of the pixels decides
    np.testing.assert_allclose(measured.insertion["map"][0], [covered, *[clean] * 16], rtol=1e-5)
    for order in ("centre", "random pixels", "shuffled map"):
        assert (measured.area("deletion", order) > measured.area("deletion", "map") + 0.05).all()
        assert (measured.area("insertion", order) < measured.area("insertion", "map") - 0.05).all()


def test_progress_counts_forward_passes(small_network, found):
    told: list[tuple[int, int]] = []
    measure_faithfulness(
        small_network, found, 0, steps=3, seeds=1, progress=lambda report: told.append((report.done, report.total))
    )
    assert told[-1] == (2 * 4 * 2 + 2, 2 * 4 * 2 + 2)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("options", [{"steps": 0}, {"seeds": 0}])
def test_refused_options(small_network, found, options):
    with pytest.raises(OptionError, match="steps and seeds must be at least 1"):
        measure_faithfulness(small_network, found, 0, **options)


def test_a_record_comes_back_as_it_was_written(found, tmp_path):
    rng = np.random.default_rng(0)
    curves = {order: rng.random((2, 5)).astype(np.float32) for order in ORDERS}
    other = {order: rng.random((2, 5)).astype(np.float32) for order in ORDERS}
    written = [Faithfulness(name, "cat", "grey (1)", np.linspace(0, 1, 5), curves, other) for name in ("a", "b")]
    run = Run.create(tmp_path / "run", "occlude", {}, {})
    OcclusionRecord("net", (OccludedPhoto("a", 0, True, 0, (found,)),), tuple(written)).write(run)
    back = OcclusionRecord.read(run).faithfulness
    assert [(each.photo, each.label, each.fill) for each in back] == [
        ("a", "cat", "grey (1)"),
        ("b", "cat", "grey (1)"),
    ]
    for order in ORDERS:
        np.testing.assert_array_equal(back[1].deletion[order], curves[order])
        np.testing.assert_array_equal(back[1].insertion[order], other[order])
        assert back[0].area("deletion", order).tolist() == written[0].area("deletion", order).tolist()
    run.save_json("record", {**run.json("record"), "faithfulness": [{"photo": "a"}]})
    with pytest.raises(RunError, match="damaged"):
        OcclusionRecord.read(run)
