"""Maxima read at a max pool are those of the layer's own maps; and of every built-in network against plain loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deconvnet
from deconvnet.mining import Miner, mine
from deconvnet.mining.pools import covers
from deconvnet.networks import names


class Pools(nn.Module):
    """Convolution, ReLU in a chosen spelling, pool; whole-number weights and inputs, so that ties abound."""

    def __init__(self, pool: nn.MaxPool2d, relu: str = "module") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3)
        self.relu = nn.ReLU(inplace=relu == "inplace")
        self.pool = pool
        self.conv2 = nn.Conv2d(6, 4, 1)
        self.spelling = relu
        self.skips = False
        self.touches = False
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.randint(-1, 2, parameter.shape, generator=torch.Generator().manual_seed(number)))
            self.conv1.bias[0] = -50  # a dead map

    def forward(self, x):
        x = self.conv1(x)
        if self.touches:
            x.mul_(2)
        if self.spelling == "function":
            x = F.relu(x)
        elif self.spelling != "none":
            x = self.relu(x)
        x = F.max_pool2d(x, 3, 3) if self.skips else self.pool(x)  # a function is not seen
        x = x[0] if isinstance(x, tuple) else x
        return self.conv2(x)


def inputs(count: int = 20) -> torch.Tensor:
    return torch.randint(-1, 2, (count, 2, 11, 11), generator=torch.Generator().manual_seed(9)).float()


def assert_definition(net: Pools, miner: Miner, x: torch.Tensor, k: int = 4) -> None:
    with torch.no_grad():
        maps = {"conv1": net.conv1(x), "conv2": net(x)}
    for layer, values in maps.items():
        plane = values.clamp(min=0).flatten(2).numpy()
        top = miner.result()[layer]
        for channel in range(plane.shape[1]):
            best = plane[:, channel].max(axis=1)
            ranked = sorted(range(len(x)), key=lambda photo, best=best: -best[photo])[:k]
            assert top.photos[channel].tolist() == ranked
            assert top.values[channel].tolist() == best[ranked].tolist()
            width = values.shape[3]
            where = [divmod(int(plane[p, channel].argmax()), width) if best[p] > 0 else (0, 0) for p in ranked]
            assert [tuple(place) for place in top.positions[channel].tolist()] == where
            assert top.active[channel] == (best > 0).sum()


def mined(net: Pools, x: torch.Tensor) -> Miner:
    miner = Miner(net, ["conv1", "conv2"], k=4)
    for start in range(0, len(x), 3):
        miner.add(range(start, min(start + 3, len(x))), x[start : start + 3])
    return miner


POOLS = {
    "touching": (nn.MaxPool2d(3, 3), True),
    "overlapping": (nn.MaxPool2d(3, 2, ceil_mode=True), True),
    "padded": (nn.MaxPool2d(3, 2, 1), True),
    "with indices": (nn.MaxPool2d(3, 3, return_indices=True), True),
    "leaves a border": (nn.MaxPool2d(2), False),  # of 9 rows the last one
    "with gaps": (nn.MaxPool2d(2, 3, ceil_mode=True), False),
    "dilated": (nn.MaxPool2d(2, 1, dilation=2), False),
    "uneven": (nn.MaxPool2d((3, 9), (3, 9)), True),
}


@pytest.mark.parametrize("relu", ["module", "inplace", "function", "none"])
@pytest.mark.parametrize("name", POOLS)
def test_a_pool_is_read_only_where_it_covers_the_map(name, relu):
    pool, covering = POOLS[name]
    net, x = Pools(pool, relu), inputs()
    miner = mined(net, x)
    assert miner._tracker is not None
    assert miner._tracker.pooled("conv1") == (covering and relu != "function")  # a function's output is not followed
    assert not miner._tracker.pooled("conv2")
    assert_definition(net, miner, x)


def test_a_pool_that_does_not_come_again_is_done_without():
    net, x = Pools(nn.MaxPool2d(3, 3)), inputs()
    miner = Miner(net, ["conv1", "conv2"], k=4)
    miner.add(range(5), x[:5])
    assert miner._tracker is not None
    assert miner._tracker.pooled("conv1")
    net.skips = True
    miner.add(range(5, 20), x[5:])
    assert not miner._tracker.pooled("conv1")
    assert miner.count == 20
    assert_definition(net, miner, x)


def test_maps_that_were_written_over_on_the_way_are_not_read_at_the_pool():
    net, x = Pools(nn.MaxPool2d(3, 3)), inputs()
    net.touches = True  # the pool would see the layer's maps doubled
    miner = mined(net, x)
    assert miner._tracker is not None
    assert not miner._tracker.pooled("conv1")
    with torch.no_grad():
        best = net.conv1(x).amax((2, 3)).clamp(min=0)
    assert miner.result()["conv1"].values[:, 0].tolist() == best.amax(0).tolist()


@pytest.mark.parametrize("length", range(4, 16))
def test_covering_is_what_counting_cells_says(length):
    for size in (1, 2, 3):
        for stride in (1, 2, 3):
            for padding in range(size // 2 + 1):
                for ceil in (False, True):
                    pool = nn.MaxPool2d(size, stride, padding, ceil_mode=ceil)
                    ramp = torch.eye(length)[:, None, None, :]  # each cell alone in its map
                    cells = pool(ramp.expand(-1, -1, length, -1))
                    seen = bool((cells.amax((1, 2, 3)) == 1).all())
                    assert covers(pool, (length, length), cells.shape[2:]) == seen, (size, stride, padding, ceil)


@pytest.mark.parametrize("name", names())
def test_every_built_in_network_agrees_with_its_layers_run_one_by_one(name):
    torch.manual_seed(0)
    small = {} if name.startswith("lenet") else {"input_size": 64 if name == "zfnet" else 99, "fc_width": 16}
    network = deconvnet.load(name, weights=None, **small)
    generator = torch.Generator().manual_seed(1)
    x = 60 * torch.randn(10, *network.input_shape, generator=generator)
    x[3] = x[7] = x[1]  # ties
    named = [layer for layer, module in network.module.named_children() if not isinstance(module, nn.Dropout)]
    outputs: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        signal = x
        for layer, module in network.module.named_children():
            signal = module(signal)
            outputs[layer] = signal.clone()
    wanted = [layer for layer in named if outputs[layer].ndim in (2, 4)]
    batches = [(range(10), x), (range(10, 20), x)]  # the second batch is read at the pools
    found = mine(network.module, batches, wanted, k=5)
    for layer in wanted:
        maps = outputs[layer]
        best = maps.amax((2, 3)).clamp(min=0) if maps.ndim == 4 else maps
        best = torch.cat([best, best]).numpy()
        for channel in range(0, best.shape[1], 7):
            ranked = sorted(range(20), key=lambda photo, c=channel, b=best: -b[photo, c])[:5]
            assert found[layer].photos[channel].tolist() == ranked, (layer, channel)
            assert found[layer].values[channel].tolist() == best[ranked, channel].tolist()
            for place, photo in enumerate(ranked):
                if maps.ndim == 4 and best[photo, channel] > 0:
                    plane = maps[photo % 10, channel]
                    where = divmod(int(plane.flatten().numpy().argmax()), plane.shape[1])
                    assert tuple(found[layer].positions[channel, place].tolist()) == where
