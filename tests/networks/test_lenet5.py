"""LeNet-5 against the 1998 paper's numbers and against plain loops."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from deconvnet.errors import OptionError
from deconvnet.networks.lenet5 import (
    BACKGROUND,
    C3_TABLE,
    INK,
    DistanceToBitmaps,
    LeNet5,
    LeNet5Original,
    Squash,
    Subsampling,
    TableConv2d,
    digit_bitmaps,
    map_loss,
)


@pytest.fixture
def original() -> LeNet5Original:
    torch.manual_seed(0)
    return LeNet5Original()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def output_shapes(network: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    shapes = {}
    with torch.no_grad():
        for name, layer in network.named_children():
            x = layer(x)
            shapes[name] = tuple(x.shape[1:])
    return shapes


def test_original_has_the_papers_parameters(original: LeNet5Original) -> None:
    counts = {name: parameters(layer) for name, layer in original.named_children()}
    assert {name: count for name, count in counts.items() if count} == {
        "c1": 156,
        "s2": 12,
        "c3": 1516,
        "s4": 32,
        "c5": 48_120,
        "f6": 10_164,
    }
    assert parameters(original) == 60_000


def test_original_has_the_papers_shapes_and_connections(original: LeNet5Original) -> None:
    shapes = output_shapes(original, torch.zeros(2, 1, 32, 32))
    assert [shapes[name] for name in ("c1", "s2", "c3", "s4", "c5", "f6", "output")] == [
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (120, 1, 1),
        (84,),
        (10,),
    ]
    connections = {
        # a convolution uses each of its parameters once for every position of its maps
        **{name: parameters(original.get_submodule(name)) * math.prod(shapes[name][1:]) for name in ("c1", "c3", "c5")},
        # a unit of a subsampling layer has four inputs and a bias
        **{name: (4 + 1) * math.prod(shapes[name]) for name in ("s2", "s4")},
        "f6": parameters(original.f6),
        "output": shapes["output"][0] * shapes["f6"][0],
    }
    assert connections == {
        "c1": 122_304,
        "s2": 5_880,
        "c3": 151_600,
        "s4": 2_000,
        "c5": 48_120,
        "f6": 10_164,
        "output": 840,
    }
    assert sum(connections.values()) == 340_908


def test_each_s2_map_feeds_ten_c3_maps(original: LeNet5Original) -> None:
    assert Counter(itertools.chain.from_iterable(C3_TABLE)) == dict.fromkeys(range(6), 10)
    assert len(set(C3_TABLE)) == 16
    # and so it is in the network: a change in one map of s2 moves ten maps of c3
    maps = torch.randn(1, 6, 14, 14)
    for of in range(6):
        changed = maps.clone()
        changed[:, of] += 1
        moved = (original.c3(changed) - original.c3(maps)).abs().amax(dim=(0, 2, 3)) > 0
        assert moved.tolist() == [of in inputs for inputs in C3_TABLE]
        assert moved.sum() == 10


def test_table_convolution_equals_loops() -> None:
    torch.manual_seed(1)
    table = ((0, 2), (1,), (0, 1, 2))
    layer = TableConv2d(3, table, 2).double()
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    expected = torch.zeros(1, 3, 3, 4, dtype=torch.float64)
    kernel = 0
    for to, inputs in enumerate(table):
        expected[0, to] += layer.bias[to].detach()
        for of in inputs:
            for row, column in itertools.product(range(3), range(4)):
                window = x[0, of, row : row + 2, column : column + 2]
                expected[0, to, row, column] += (window * layer.kernels[kernel].detach()).sum()
            kernel += 1
    torch.testing.assert_close(layer(x), expected)


def test_squash_values() -> None:
    values = Squash()(torch.tensor([0.0, 1.0, -1.0, 1e6], dtype=torch.float64))
    torch.testing.assert_close(values, torch.tensor([0.0, 1.0, -1.0, 1.7159], dtype=torch.float64), atol=1e-5, rtol=0)
    assert Squash()(torch.tensor(0.5)).item() == pytest.approx(1.7159 * math.tanh(1 / 3))


def test_subsampling_equals_loops() -> None:
    torch.manual_seed(2)
    layer = Subsampling(3)
    x = torch.randn(2, 3, 4, 6)
    expected = torch.empty(2, 3, 2, 3)
    for n, c, row, column in itertools.product(range(2), range(3), range(2), range(3)):
        total = sum(x[n, c, 2 * row + i, 2 * column + j].item() for i in (0, 1) for j in (0, 1))
        expected[n, c, row, column] = total * layer.weight[c].item() + layer.bias[c].item()
    torch.testing.assert_close(layer(x).detach(), expected)


def test_output_equals_loops_and_its_codes_are_fixed() -> None:
    layer = DistanceToBitmaps()
    assert parameters(layer) == 0
    torch.manual_seed(3)
    states = torch.randn(3, 84, dtype=torch.float64)
    codes = digit_bitmaps().tolist()
    expected = [[-sum((x - w) ** 2 for x, w in zip(state, code, strict=True)) for code in codes] for state in states]
    torch.testing.assert_close(layer.double()(states), torch.tensor(expected, dtype=torch.float64))
    # a state that is a class's code has penalty 0 there, and that class is the argmax
    scores = layer(digit_bitmaps().double())
    assert scores.argmax(dim=1).tolist() == list(range(10))
    assert scores.diagonal().tolist() == [0.0] * 10


def test_digit_bitmaps_are_ten_distinct_codes() -> None:
    codes = digit_bitmaps()
    assert codes.shape == (10, 84)
    assert set(codes.flatten().tolist()) == {-1.0, 1.0}
    apart = [(a != b).sum().item() for a, b in itertools.combinations(codes, 2)]
    assert min(apart) >= 8
    # a row of the bitmap is 7 cells: the 7 begins with a full bar, the 1 is a stem of two cells
    assert (codes[7][:7] == 1).all()
    assert codes[1].view(12, 7)[4].tolist() == [-1, -1, -1, 1, 1, -1, -1]


def test_original_starts_within_the_papers_bounds(original: LeNet5Original) -> None:
    fan_in = {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120}
    for name, inputs in fan_in.items():
        for parameter in original.get_submodule(name).parameters():
            assert parameter.abs().max() <= 2.4 / inputs
        weight = original.get_submodule(name).weight
        if weight.numel() > 100:
            assert weight.abs().max() > 0.95 * 2.4 / inputs
            assert weight.std().item() == pytest.approx(2.4 / inputs / math.sqrt(3), rel=0.1)
    first = 0
    for inputs in C3_TABLE:  # F differs between the maps of c3
        kernels = original.c3.kernels[first : first + len(inputs)]
        bound = 2.4 / (25 * len(inputs))
        assert 0.9 * bound < kernels.abs().max() <= bound
        first += len(inputs)


def test_original_learns_ten_drawn_digits_with_the_map_loss(original: LeNet5Original) -> None:
    drawings = digit_bitmaps().view(10, 1, 12, 7)
    ink = nn.functional.pad(nn.functional.interpolate(drawings, scale_factor=2), (9, 9, 4, 4), value=-1)
    x = torch.where(ink > 0, INK, BACKGROUND)
    targets = torch.arange(10)
    optimiser = torch.optim.Adam(original.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = map_loss(original(x), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    assert original(x).argmax(dim=1).tolist() == targets.tolist()
    assert original.output.bitmaps.equal(digit_bitmaps())


def test_map_loss_is_equation_9() -> None:
    penalties = [[0.5, 3.0, 1.0], [2.0, 0.1, 4.0]]
    right = [0, 2]
    j = 0.3
    expected = sum(
        y[d] + math.log(math.exp(-j) + sum(math.exp(-value) for value in y))
        for y, d in zip(penalties, right, strict=True)
    )
    loss = map_loss(-torch.tensor(penalties, dtype=torch.float64), torch.tensor(right), j)
    assert loss.item() == pytest.approx(expected / 2, abs=1e-12)


def test_map_loss_stays_finite_where_exponentials_do_not() -> None:
    scores = torch.tensor([[-5e3, -4e3], [0.0, -9e3]], requires_grad=True)
    loss = map_loss(scores, torch.tensor([0, 1]), j=1e4)
    loss.backward()
    assert loss.item() == pytest.approx((1e3 + 9e3) / 2)
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_map_loss_refuses_a_constant_that_is_not_positive() -> None:
    with pytest.raises(OptionError, match="positive j"):
        map_loss(torch.zeros(1, 2), torch.tensor([0]), j=0.0)


def test_modern_has_its_parameters_and_names() -> None:
    network = LeNet5()
    names = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "flatten", "fc4", "relu4", "fc5"]
    assert [name for name, _ in network.named_children()] == names
    counts = [parameters(network.get_submodule(name)) for name in ("conv1", "conv2", "conv3", "fc4", "fc5")]
    assert counts == [156, 2416, 48_120, 10_164, 850]
    assert parameters(network) == 61_706
    shapes = output_shapes(network, torch.zeros(2, 1, 32, 32))
    assert [shapes[name] for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "flatten", "fc4", "fc5")] == [
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (120, 1, 1),
        (120,),
        (84,),
        (10,),
    ]
    assert network(torch.zeros(3, 1, 32, 32)).shape == (3, 10)


def test_modern_options() -> None:
    network = LeNet5(num_classes=7, pool="avg", activation="tanh")
    names = [name for name, _ in network.named_children()]
    assert names == [
        "conv1",
        "tanh1",
        "pool1",
        "conv2",
        "tanh2",
        "pool2",
        "conv3",
        "tanh3",
        "flatten",
        "fc4",
        "tanh4",
        "fc5",
    ]
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        first = torch.tanh(nn.functional.conv2d(x, network.conv1.weight, network.conv1.bias))
        pooled = first.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
        torch.testing.assert_close(network.pool1(network.get_submodule("tanh1")(network.conv1(x))), pooled)
        assert network(x).shape == (2, 7)


@pytest.mark.parametrize("options", [{"pool": "sum"}, {"activation": "gelu"}, {"num_classes": 0}])
def test_modern_refuses_other_options(options: dict) -> None:
    with pytest.raises(OptionError, match=r"LeNet5 (has no|needs)"):
        LeNet5(**options)


def test_weights_come_back_from_their_state(original: LeNet5Original) -> None:
    state = original.state_dict()
    assert set(state) >= {"c3.kernels", "s2.weight", "output.bitmaps"}
    torch.manual_seed(99)
    other = LeNet5Original()
    x = torch.randn(1, 1, 32, 32)
    assert not torch.equal(other(x), original(x))
    other.load_state_dict(state)
    assert torch.equal(other(x), original(x))
