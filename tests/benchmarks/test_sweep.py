"""The engine beside plain autograd on networks of others."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from benchmarks.sweep import SweepRow, by_autograd, sweep, sweep_names, sweep_table
from torch import nn
from torch.nn import functional as F

from benchmarks import sweep as sweep_module
from deconvnet.projection import project
from deconvnet.runs import Unit

RIGHT = (  # residual sums, concatenation, F.relu, shuffles, grouped convolution, blurred pools
    "torchvision:resnet18",
    "torchvision:squeezenet1_1",
    "torchvision:shufflenet_v2_x0_5",
    "torchvision:googlenet",
    "timm:regnetx_002",
)
REFUSED = (  # ReLU6, SiLU and gates, GELU and layer norm, attention
    "torchvision:mobilenet_v2",
    "timm:mobilenetv3_small_050",
    "timm:convnext_atto",
    "timm:levit_conv_128s",
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sweep_module, "SIDE", 64)


@pytest.mark.usefixtures("timm")
def test_a_few_of_each_kind(tmp_path: Path):
    rows = {row.network: row for row in sweep([*RIGHT, *REFUSED], tmp_path / "sweep.jsonl")}
    outcomes = {name: row.outcome for name, row in rows.items()}
    assert outcomes == dict.fromkeys(RIGHT, "right") | dict.fromkeys(REFUSED, "refused")
    for row in rows.values():
        assert row.checks
        assert all(check.ok and check.error < 1e-8 for check in row.checks)
        assert {check.rule for check in row.checks} == {"gradient", "deconvnet", "guided"}
    assert all(row.checks[0].relus for name, row in rows.items() if name in RIGHT)
    assert "features.0.2" in rows["torchvision:mobilenet_v2"].reason
    assert rows["torchvision:mobilenet_v2"].reaches == "features.0.0"


def test_networks_of_the_record_are_not_done_again(tmp_path: Path):
    record = tmp_path / "sweep.jsonl"
    record.write_text(json.dumps({"network": "timm:none", "outcome": "right", "checks": []}) + "\n")
    assert sweep(["timm:none"], record) == [SweepRow("timm:none", "right")]


def test_a_network_that_cannot_be_built_is_said_to_be_so():
    (row,) = sweep(["timm:no_such_network"])
    assert row.outcome == "not run"
    assert row.reason


class Spelled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)

    def forward(self, x):
        return self.second(F.max_pool2d(self.first(x).clamp_(min=0), 3, 2))


def test_the_comparison_is_the_papers_definition():
    """Step by step, for two convolutions: the independent method itself is right."""
    torch.manual_seed(0)
    model = Spelled().double().requires_grad_(False)
    x = torch.randn(1, 3, 20, 20, dtype=torch.float64)
    unit = Unit("second", 2, (3, 4))
    low = model.first(x)
    maxima, switches = F.max_pool2d(low.relu(), 3, 2, return_indices=True)
    high = model.second(maxima)
    seed = torch.zeros_like(high)
    seed[0, 2, 3, 4] = high[0, 2, 3, 4]
    down = F.conv_transpose2d(seed, model.second.weight)
    unpooled = torch.zeros_like(low).flatten(2)
    unpooled.scatter_add_(2, switches.flatten(2), down.flatten(2))
    rectified = unpooled.view_as(low).relu()
    expected = F.conv_transpose2d(rectified, model.first.weight)
    picture, relus = by_autograd(model, x, unit, "deconvnet")
    assert relus == 1
    assert torch.allclose(picture, expected[0], atol=1e-12)
    assert not torch.allclose(by_autograd(model, x, unit, "gradient")[0], picture, atol=1e-3)


def test_a_wrong_picture_is_called_wrong(monkeypatch, torchvision):
    def bent(module, pixels, units, **options):
        return project(module, pixels, units, **{**options, "unpool": "place"})

    monkeypatch.setattr(sweep_module, "project", bent)
    (row,) = sweep(["torchvision:squeezenet1_1"])
    assert row.outcome == "wrong"


def test_the_list_and_the_page(timm):
    names = sweep_names()
    assert Counter(name.partition(":")[0] for name in names)["timm"] >= 60
    assert not [name for name in names if name.startswith(("torchvision:vit", "torchvision:swin"))]
    assert "torchvision:inception_v3" in names
    page = sweep_table(
        [SweepRow("timm:a", "refused", "no | way"), SweepRow("timm:b", "wrong")], "deconvnet sweep", "today"
    )
    assert "| timm:a |" in page
    assert "no \\| way" in page
    assert "**wrong**" in page
    assert "1 refused, 1 wrong" in page


@pytest.mark.slow
@pytest.mark.usefixtures("timm")
def test_no_network_is_silently_wrong(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sweep_module, "SIDE", 128)
    rows = sweep(sweep_names(), tmp_path / "sweep.jsonl")
    assert not [row for row in rows if row.outcome in ("wrong", "failed")]
    assert sum(row.outcome == "not run" for row in rows) < len(rows) / 20
