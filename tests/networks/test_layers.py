"""The layers of anyone's network."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

import deconvnet
from deconvnet.networks.layers import convolutions, layer_rows

NET = """
import torch
from torch import nn
from torch.nn import functional as F

class Block(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(maps, 1, 1))  # a branch that begins as nothing
        self.conv = nn.Conv2d(maps, maps, (3, 5), padding=(1, 2))
        self.never = nn.Conv2d(maps, maps, 1)
    def forward(self, x):
        return F.relu(x + self.scale * self.conv(x))

class Net(nn.Module):
    input_size = 48
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Identity())
        self.block = Block(4)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.late = nn.Conv2d(4, 4, 3)
        self.gate = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 6)
    def forward(self, x):
        x = self.pool(self.block(self.stem(x)))
        x = self.late(self.up(x))
        x = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.head(x.mean((2, 3)))
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> deconvnet.Network:
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NET)
    return deconvnet.load(f"{path}:Net")


def test_rows_in_the_order_of_the_forward_pass(network):
    rows = {row.name: row for row in layer_rows(network)}
    assert list(rows) == ["stem.0", "block.conv", "block", "pool", "up", "late", "gate", "head"]
    assert rows["stem.0"].output == (4, 23, 23)
    assert (rows["stem.0"].kernel, rows["stem.0"].stride, rows["stem.0"].padding) == (3, 2, 0)
    assert (rows["block.conv"].kernel, rows["block.conv"].padding) == ((3, 5), (1, 2))
    assert rows["block.conv"].multiply_adds == 4 * 4 * 15 * 23 * 23
    assert rows["block"].parameters == 4  # its own
    assert rows["block"].kind == "Block"
    assert rows["head"].output == (6,)
    never = 4 * 4 + 4
    assert sum(row.parameters for row in rows.values()) == network.parameters - never
    assert len(layer_rows(network)) == len(rows)


def test_fields_are_computed_where_the_steps_are_known_and_measured_elsewhere(network):
    rows = {row.name: row for row in layer_rows(network)}
    # sides 3, stride 2; then 3 x 5 at stride 2; then a pool of 2
    assert rows["stem.0"].receptive_field == 3
    assert rows["block"].receptive_field == (7, 11)
    assert rows["pool"].receptive_field == (9, 13)
    assert not rows["pool"].measured
    assert rows["late"].measured
    assert rows["head"].receptive_field is None
    assert not rows["head"].measured


def test_fields_through_a_branch_that_begins_as_nothing(network):
    rows = {row.name: row for row in layer_rows(network)}
    with torch.no_grad():
        network.module.get_submodule("block").scale.fill_(1.0)
    again = {row.name: row for row in layer_rows(network)}
    with torch.no_grad():
        network.module.get_submodule("block").scale.zero_()
    assert rows["late"].receptive_field == again["late"].receptive_field


def test_measured_fields_against_the_support_of_every_map(network):
    """Dense sampling: the union over all maps of the middle unit's gradient, one map at a time."""
    row = next(row for row in layer_rows(network) if row.name == "late")
    module = copy.deepcopy(network.module)
    with torch.no_grad():
        module.get_submodule("block").scale.fill_(0.7)
    reached = torch.zeros(48, 48, dtype=torch.bool)
    kept: list[Tensor] = []
    handle = module.get_submodule("late").register_forward_hook(lambda _m, _i, out: kept.append(out))
    for seed in range(6):
        x = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        module(x)
        middle = kept[-1][0, :, kept[-1].shape[2] // 2, kept[-1].shape[3] // 2]
        for value in middle:
            (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
            reached |= (gradient[0] != 0).any(0)
    handle.remove()
    sides = [int(reached.any(1 - axis).sum()) for axis in (0, 1)]
    assert row.receptive_field == tuple(sides)


def test_the_network_is_left_as_it_was(network):
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    flags = [p.requires_grad for p in network.module.parameters()]
    layer_rows(network)
    convolutions(network)
    assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())
    assert [p.requires_grad for p in network.module.parameters()] == flags
    assert all(p.grad is None for p in network.module.parameters())
    assert not any(part._forward_hooks for part in network.module.modules())


def test_convolutions_that_ran_and_give_maps(network):
    assert convolutions(network) == ["stem.0", "block.conv", "late"]


def test_built_in_networks_have_their_own_table(small_network):
    assert layer_rows(small_network) == small_network.layers()
    assert convolutions(small_network) == [f"conv{i}" for i in range(1, 6)]


def test_fields_of_a_resnet_are_the_support_of_its_units(torchvision, tmp_path: Path):
    network = deconvnet.load("torchvision:resnet18", input_size=128)
    rows = {row.name: row for row in layer_rows(network)}
    assert rows["layer4.1"].receptive_field == 435  # Araujo et al. 2019: 435 for ResNet-18
    row = rows["layer1.1"]
    assert (row.receptive_field, row.receptive_stride) == (43, 4)
    kept: list[Tensor] = []
    handle = network.module.get_submodule("layer1.1").register_forward_hook(lambda _m, _i, out: kept.append(out))
    x = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
    network.module(x)
    handle.remove()
    (gradient,) = torch.autograd.grad(kept[0][0, :, 16, 16].sum(), x)
    seen = (gradient[0] != 0).any(0)
    for axis in (0, 1):
        span = seen.any(1 - axis).nonzero().flatten()
        assert (int(span[0]), len(span)) == (row.receptive_start + 16 * row.receptive_stride, 43)
