"""Networks side by side."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import deconvnet
from deconvnet.errors import DataError, OptionError, RunError
from deconvnet.experiments.comparison import measure as comparison
from deconvnet.experiments.comparison.figure import comparison_figure
from deconvnet.experiments.comparison.measure import activation_numbers, compare, interleaved_seconds
from deconvnet.experiments.comparison.record import ComparisonRecord, comparison_table
from deconvnet.networks import load
from deconvnet.runs import Run


@pytest.fixture(scope="module")
def compared(two_classes):
    networks = [load("lenet5"), load("alexnet-dense"), load("zfnet")]
    return compare(networks, deconvnet.open_photos(two_classes), sample=3, rounds=2)


def test_the_papers_numbers(compared):
    lenet, alexnet, zfnet = compared.rows
    assert [row.published_parameters for row in compared.rows] == [61_706, 62_378_344, 62_357_608]
    assert [row.convolution_parameters for row in (alexnet, zfnet)] == [3_747_200, 3_726_464]
    assert (lenet.receptive_field, alexnet.receptive_field, zfnet.receptive_field) == (32, 163, 139)
    assert zfnet.input_shape == (3, 128, 128)
    assert (zfnet.first["kernel"], zfnet.first["stride"], zfnet.first["filters"]) == (7, 2, 96)
    assert lenet.first["folded"] is None  # its first layer has no stride
    assert 0 < zfnet.first["folded"] < 1
    assert alexnet.first["dead"] is not None


def test_accuracy_comes_with_data_and_split(compared):
    zfnet = compared.rows[2]
    assert zfnet.accuracy["top1"] == pytest.approx(0.7142857)
    assert "Caltech-101" in zfnet.accuracy["data"]
    assert "20% held out" in zfnet.accuracy["split"]


def test_multiply_adds_agree_with_loops(compared):
    network = load("zfnet").module
    total, x = 0, torch.zeros(1, 3, 128, 128)
    for part in network.children():
        x = part(x)
        if isinstance(part, nn.Conv2d | nn.Linear):
            total += part.weight.numel() * (x[0, 0].numel() if x.ndim == 4 else 1)
    assert compared.rows[2].multiply_adds == total


def test_activations_are_counted_once(small_network):
    total, x = 0, torch.zeros(1, 3, 64, 64)
    for part in small_network.module.children():
        x = part(x)
        if not isinstance(part, nn.Flatten | nn.Dropout):  # these hand on what they got
            total += x.numel()
    assert activation_numbers(small_network) == total


def test_times_are_taken_in_turns(small_network, monkeypatch):
    order = []
    clock = iter(range(1000))
    monkeypatch.setattr(comparison.time, "perf_counter", lambda: float(next(clock)))
    handles = [
        small_network.module.register_forward_hook(lambda *_: order.append("a")),
    ]
    other = load("lenet5")
    handles.append(other.module.register_forward_hook(lambda *_: order.append("b")))
    try:
        seconds = interleaved_seconds([small_network, other], rounds=3)
    finally:
        for handle in handles:
            handle.remove()
    assert order == ["a", "b"] * 4  # one warming round
    assert seconds == [[1.0] * 3, [1.0] * 3]


def test_table_and_figure(compared):
    text = compared.table()
    lines = text.splitlines()
    assert lines[0].split() == ["lenet5", "alexnet-dense", "zfnet"]
    assert len({len(line) for line in lines}) == 1
    assert "62,357,608" in text
    assert "139 px every 16" in text
    titles = [axes.get_title(loc="left") for axes in compared.plot().axes]
    assert "multiply-adds, millions" in titles
    with pytest.raises(OptionError, match="no network to draw"):
        comparison_figure([], [], 1)


def test_saved_and_read_again(compared, tmp_path):
    run = compared.save(tmp_path / "run")
    read = ComparisonRecord.read(Run.open(run.path, "compare"))
    assert read.rows == compared.rows
    assert read.threads == compared.threads
    assert comparison_table(read.rows, read.threads) == compared.table()
    assert read.filters[2].shape == (96, 3, 7, 7)
    with pytest.raises(RunError, match="holds a compare run already"):
        compared.save(tmp_path / "run")


def test_untrained_networks_are_told(small_network):
    network = load("alexnet", weights=None, input_size=64, num_classes=5, fc_width=8)
    (row,) = compare([network], rounds=1).rows
    assert not row.trained
    assert row.accuracy is None
    assert row.published_parameters == 60_965_224
    assert row.first["dead"] is None
    assert "-" in comparison_table([row], 1)


@pytest.mark.parametrize(
    ("options", "message"), [({"rounds": 0}, "rounds"), ({"batch": 0}, "batch"), ({"sample": 0}, "sample")]
)
def test_bad_numbers_are_refused(small_network, options, message):
    with pytest.raises(OptionError, match=f"{message} must be at least 1, not 0"):
        compare([small_network], **options)


def test_nothing_to_compare(small_network, tmp_path):
    with pytest.raises(OptionError, match="no network to compare"):
        compare([])
    (tmp_path / "bad.jpg").write_text("no photo")
    with pytest.raises(DataError, match="can be read"):
        compare([small_network], deconvnet.open_photos(tmp_path))
