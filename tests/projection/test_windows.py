"""Through windows or through the whole maps: the same projections."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.reference import deconvnet_loops as loops
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from deconvnet.errors import ModelError, OptionError, UnitError
from deconvnet.networks.alexnet import alexnet
from deconvnet.networks.lenet5 import LeNet5
from deconvnet.networks.zfnet import zfnet
from deconvnet.projection import Projections, project
from deconvnet.projection._lrn import LrnConstants, LrnFactors
from deconvnet.runs import Unit


class Residual(nn.Module):
    """A strided block with a projected shortcut, and a plain one; batch norm; in-place sums."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.first, self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.short, self.short_norm = nn.Conv2d(8, 12, 1, stride=2), nn.BatchNorm2d(12)
        self.third, self.third_norm = nn.Conv2d(12, 12, 3, padding=1, groups=3), nn.BatchNorm2d(12, affine=False)
        self.out = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.norm(self.stem(x)), inplace=True))
        x = F.relu(self.second(F.relu(self.first(x))) + self.short_norm(self.short(x)))
        y = self.third_norm(self.third(x))
        y += x
        return self.out(F.relu(y) * 0.5 - self.second(x) / 3)


class Joining(nn.Module):
    """Branches of unlike windows, concatenated; channel splits; dilation, oblong kernels, uneven padding, slices."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 0))
        self.narrow, self.wide = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 6, (1, 7), padding=(0, 3))
        self.pooled = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
        self.dilated = nn.Conv2d(18, 8, 3, stride=2, padding=2, dilation=2)
        self.depthwise, self.even = (
            nn.Conv2d(8, 16, 3, groups=8, padding=1),
            nn.Conv2d(16, 6, 4, padding="same", dilation=2),
        )
        self.last = nn.Conv2d(6, 6, (2, 1), padding=(2, 1))
        self.frame = nn.ZeroPad2d((0, 1, -1, 2))
        self.average = nn.AvgPool2d((3, 2), (2, 3), padding=1, ceil_mode=True)
        self.scale = nn.Parameter(torch.randn(16, 1, 1))
        self.out = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu_()
        x = torch.cat([self.narrow(x), self.wide(x).relu(), self.pooled(x)], dim=1)
        x = F.max_pool2d(F.relu(self.dilated(self.frame(x))), 3, 1, padding=1)
        x = self.depthwise(x) * self.scale
        a, b = x.chunk(2, 1)
        x = self.even(torch.cat((b, F.relu(a)), 1))
        return self.out(self.average(self.last(F.relu(x))) + 0.1)[:, 1:5]


class Dilated(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1, dilation=2),
            nn.Conv2d(6, 8, 3, stride=3, padding=4, dilation=2, padding_mode="zeros"), nn.ReLU(inplace=True),
            nn.LocalResponseNorm(4, alpha=1.0), nn.Dropout(), nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(8, 5, 2, padding=1),
        )  # fmt: skip


class Shuffling(nn.Module):
    """Channel shuffles by views and by torch, average pooling of several kinds, adaptive pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.low = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, groups=3, padding=1)
        self.high, self.top = nn.Conv2d(12, 8, 3, groups=4), nn.Conv2d(8, 6, 2)
        self.inner, self.counted = nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), nn.AvgPool2d(3, 1, padding=1)
        self.shuffle, self.adaptive = nn.ChannelShuffle(4), nn.AdaptiveAvgPool2d((8, 8))
        self.out = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.by_views(self.stem(x).relu(), 3)
        x = self.inner(F.relu(self.low(x)))  # 32
        x = self.shuffle(self.adaptive(x))  # 8
        x = self.counted(F.relu(self.high(x), inplace=True)) * 2  # 6
        n, c, h, w = x.shape
        return self.out(self.top(x.reshape(n, 2, c // 2, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w).relu_()))

    @staticmethod
    def by_views(x: Tensor, groups: int) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int], str]] = {
    "zfnet": (lambda: zfnet(5, 112, 16, widths=(10, 12, 8)), (3, 112, 112), "conv5"),
    "zfnet conv1": (lambda: zfnet(5, 96, 16, widths=(10, 12, 8)), (3, 96, 96), "conv1"),
    "zfnet norm2": (lambda: zfnet(5, 96, 16, widths=(10, 12, 8)), (3, 96, 96), "norm2"),
    "alexnet": (lambda: alexnet(5), (3, 227, 227), "conv3"),
    "lenet5": (LeNet5, (1, 32, 32), "pool2"),
    "residual": (Residual, (3, 47, 50), "out"),
    "joining": (Joining, (3, 30, 41), "out"),
    "dilated": (Dilated, (3, 33, 30), "8"),
    "shuffling": (Shuffling, (3, 64, 64), "out"),
}  # fmt: skip


def build(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(6)
    model = NETS[name][0]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, -1, 2)
                nn.init.normal_(module.bias)
    return model.eval().to(dtype)


def photos(name: str, count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    size = (count, *NETS[name][1])
    return torch.randn(size, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


def everywhere(model: nn.Module, layer: str, image: Tensor) -> list[Unit]:
    """Units at the corners, the borders, the centre and between, of several channels."""
    shape = project(model, image[:1], [Unit(layer, 0)]).units[0]
    output: list[tuple[int, ...]] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, out: output.append(tuple(out.shape)))
    with torch.no_grad():
        model(image[:1])
    handle.remove()
    assert shape.layer == layer
    _, channels, height, width = output[-1]
    places = {(r, c) for r in {0, 1, height // 2, height - 1} & set(range(height)) for c in {0, width // 2, width - 1}}
    return [Unit(layer, (3 * i) % channels, place) for i, place in enumerate(sorted(places))] + [
        Unit(layer, channel) for channel in range(min(channels, 3))
    ]


def assert_equal(found: Projections, expected: Projections, tolerance: float) -> None:
    assert found.units == expected.units
    assert found.boxes == expected.boxes
    assert found.relus == expected.relus
    np.testing.assert_allclose(found.activations, expected.activations, rtol=tolerance, atol=tolerance)
    assert expected.active.any()
    for index in np.flatnonzero(expected.active):
        largest = np.abs(expected.pixels[index]).max()
        assert np.abs(found.pixels[index] - expected.pixels[index]).max() <= tolerance * largest, found.units[index]
        ours, theirs = found.projection(index), expected.projection(index)
        np.testing.assert_allclose(ours, theirs, atol=tolerance * largest, rtol=0)
    assert not found.pixels[~expected.active].any()


@pytest.mark.parametrize("name", NETS)
def test_windows_equal_the_whole_maps(name: str) -> None:
    layer = NETS[name][2]
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        model, two = build(name, dtype), photos(name, 2, dtype)
        units = everywhere(model, layer, two)
        found, expected = project(model, two, units), project(model, two, units, windows=False)
        assert found.windowed.all()
        assert not found.whole_maps
        assert not expected.windowed.any()
        assert expected.whole_maps == {layer: "windows=False"}
        assert_equal(found, expected, tolerance)


@pytest.mark.parametrize("lrn", ["identity", "grad"])
@pytest.mark.parametrize("unpool", ["sum", "place", "mean"])
@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
@pytest.mark.parametrize("name", ["zfnet", "residual", "joining", "dilated", "shuffling"])
def test_every_option(name: str, rule: str, unpool: str, lrn: str) -> None:
    model, one = build(name), photos(name, 1)
    units = everywhere(model, NETS[name][2], one)
    options: dict[str, Any] = {"rule": rule, "unpool": unpool, "lrn": lrn, "seed": "one"}
    found = project(model, one, units, **options)
    assert found.windowed.all()
    assert_equal(found, project(model, one, units, **options, windows=False), 1e-12)


@pytest.mark.parametrize("lrn", ["identity", "grad"])
@pytest.mark.parametrize("unpool", ["sum", "place", "mean"])
@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
def test_every_option_equals_the_loops_at_the_borders(rule: str, unpool: str, lrn: str) -> None:
    from tests.projection.test_against_loops import as_loops, net, photo

    model = net(torch.float64)
    layers, image = as_loops(model), photo(torch.float64)
    values = loops.forward(layers, image[0].numpy())[7]
    for row, column in ((0, 0), (0, 3), (3, 1), (3, 3), (1, 2)):
        channel = int(np.argmax(values[:, row, column]))
        found = project(model, image, [Unit("6", channel, (row, column))], rule=rule, unpool=unpool, lrn=lrn)
        unit = (channel, row, column)
        expected = loops.project(layers, image[0].numpy(), 7, unit, rule=rule, unpool=unpool, lrn=lrn)
        assert found.windowed.all()
        assert np.abs(found.pixels[0] - expected).max() <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
@pytest.mark.parametrize("lrn", ["identity", "grad"])
@pytest.mark.parametrize("name", [name for name in NETS if name != "alexnet"])
def test_cropped_forward_passes_equal_whole_ones(name: str, lrn: str, rule: str) -> None:
    """Different photos, units with positions: after the first photo windows alone are computed, upwards too."""
    dtypes = ((torch.float64, 1e-11), (torch.float32, 1e-5)) if rule == "deconvnet" else ((torch.float64, 1e-11),)
    for dtype, tolerance in dtypes:
        model = build(name, dtype)
        places = [unit for unit in everywhere(model, NETS[name][2], photos(name, 1, dtype)) if unit.position]
        several = photos(name, len(places), dtype)
        options: dict[str, Any] = {"rule": rule, "lrn": lrn, "photos": range(len(places))}
        forwards: list[int] = []
        with Watching(model, forwards):
            found = project(model, several, places, **options)
        # Only an average pool over uneven windows ("joining") has no cropped pass: there the others go through whole.
        assert forwards == ([1, len(places) - 1] if name == "joining" else [1])
        expected = project(model, several, places, **options, windows=False)
        assert found.windowed.all()
        assert_equal(found, expected, tolerance)


class Watching:
    """Notes the batch size of every forward pass."""

    def __init__(self, model: nn.Module, sizes: list[int]) -> None:
        self.model, self.sizes = model, sizes

    def __enter__(self) -> None:
        self.handle = self.model.register_forward_pre_hook(lambda _m, inputs: self.sizes.append(len(inputs[0])))

    def __exit__(self, *_: object) -> None:
        self.handle.remove()


def test_a_photo_with_many_units_shares_one_forward_pass() -> None:
    model, several = build("zfnet"), photos("zfnet", 5)
    units = [Unit("conv3", c, (1, 1)) for c in range(4)] + [
        Unit("conv3", c, (r, s)) for c in range(3) for r in range(6) for s in range(6)
    ]
    order = [0, 1, 2, 3] + [4] * 108
    sizes: list[int] = []
    with Watching(model, sizes):
        found = project(model, several, units, photos=order)
    assert sizes == [1]
    assert_equal(found, project(model, several, units, photos=order, windows=False), 1e-11)


class ByValue(nn.Module):
    """Takes another way for a photo of another kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.out = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        x = F.relu(x) if self.positive(x) else -F.relu(x)
        return self.out(self.conv2(x))

    @staticmethod
    def positive(x: Tensor) -> bool:
        return x.mean().item() > 0


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.mean().item() > 0,
        lambda x: bool((x.mean() > 0).all()),
        lambda x: x.detach().numpy().mean() > 0,
        lambda x: x.detach().mean().tolist() > 0,
        lambda x: float(x.detach().mean()) > 0,
        lambda x: int(x.detach().mean().sign()) > 0,
        lambda x: torch.equal(x.mean().abs(), x.mean()),
    ],
)
def test_a_way_that_depends_on_the_photo_is_followed(look: Callable[[Tensor], bool]) -> None:
    torch.manual_seed(0)
    model = ByValue().double()
    model.positive = look  # type: ignore[method-assign]
    several = torch.randn(6, 1, 30, 30, dtype=torch.float64) + torch.tensor([3, -3, 3, -3, 3, -3.0]).view(6, 1, 1, 1)
    unit = [Unit("out", c, (4, 5)) for c in (0, 1, 2, 3, 0, 1)]
    options: dict[str, Any] = {"activations": "gradient"}  # numbers taken out are refused else
    found = project(model, several, unit, photos=range(6), batch_size=1, **options)
    for index in range(6):
        alone = project(model, several[index : index + 1], unit[index : index + 1], windows=False, **options)
        assert found.active[index] == alone.active[0]
        np.testing.assert_allclose(found.pixels[index], alone.pixels[0], atol=1e-12)
        np.testing.assert_allclose(found.activations[index], alone.activations[0], atol=1e-12)


def test_several_layers_and_channels_last_photos() -> None:
    """The plans of several layers read the same switches, whatever their order in memory."""
    model, several = build("zfnet"), photos("zfnet", 2).contiguous(memory_format=torch.channels_last)
    units = [f"{layer}:{c}" for layer in ("conv2", "conv4", "conv5", "pool1") for c in range(3)]
    for unpool in ("sum", "place", "mean"):
        found = project(model, several, units, unpool=unpool)
        assert found.windowed.all()
        assert_equal(found, project(model, several, units, unpool=unpool, windows=False), 1e-12)


def test_what_has_no_windows_goes_through_the_whole_maps() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.conv1, self.conv2, self.conv3 = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv2(F.relu(self.conv1(x)))
            x = self.conv3(F.interpolate(x, scale_factor=2, mode="bilinear"))
            return self.fc(x.mean((2, 3)))

    images = torch.randn(3, 2, 16, 16)
    found = project(Net(), images, ["conv2:1", "conv3:1", "fc:0"])
    assert list(found.windowed) == [True] * 3 + [False] * 6
    assert set(found.whole_maps) == {"conv3", "fc"}
    assert "UpsampleBilinear2D" in found.whole_maps["conv3"]
    expected = project(Net(), images, ["conv2:1", "conv3:1", "fc:0"], windows=False)
    for index in range(9):
        np.testing.assert_allclose(found.pixels[index], expected.pixels[index], atol=1e-6)
    placed = [Unit("conv3", c, (5, 5)) for c in range(3)]
    alone = project(Net(), images, placed, photos=range(3))
    assert not alone.windowed.any()
    assert_equal(alone, project(Net(), images, placed, photos=range(3), windows=False), 1e-6)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        (lambda x: x.transpose(2, 3), "rearranges cells"),
        (lambda x: x.view(len(x), -1, 2, x.shape[2] // 2, x.shape[3]).transpose(2, 3).reshape(x.shape), "cells"),
        (lambda x: x.transpose(0, 1).reshape(x.shape), "may rearrange photos"),
        (lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), "rearranges cells"),
        (lambda x: F.adaptive_avg_pool2d(x, (5, 7)), "windows of unlike sizes"),
    ],
)
def test_views_that_move_more_than_maps_go_through_the_whole_maps(
    layout: Callable[[Tensor], Tensor], reason: str
) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Identity(), nn.Conv2d(4, 4, 3, padding=1)).double()
    model[1].forward = layout  # type: ignore[method-assign]
    four = torch.randn(4, 3, 12, 12, dtype=torch.float64)  # as many photos as maps: shapes alone tell nothing
    found = project(model, four, ["2:1@3,4"], seed="one", inactive="project", batch_size=4)
    assert not found.windowed.any()
    assert reason in found.whole_maps["2"]
    for number in range(1, 4) if "photos" not in reason else ():
        pixels = four[number : number + 1].clone().requires_grad_()
        (truth,) = torch.autograd.grad(model(pixels)[0, 1, 3, 4], pixels)
        np.testing.assert_allclose(found.pixels[number], truth[0].numpy(), atol=1e-12)


def test_in_place_steps_do_not_reach_a_branch_that_looks_on() -> None:
    """A sum passes one and the same signal down both branches; a map goes up through a ReLU and past it."""

    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(4)
            self.first, self.second, self.third = (nn.Conv2d(n, 5, 3, padding=1) for n in (1, 5, 5))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            y = self.second(x.relu()) + x
            return self.third(y.clone().relu() + y)

    model, several = Fork().double(), torch.randn(6, 1, 26, 26, dtype=torch.float64)
    units = [Unit("third", c % 5, (4 * c, 12)) for c in range(6)]
    for rule in ("deconvnet", "guided", "gradient"):
        options: dict[str, Any] = {"photos": range(6), "seed": "one", "inactive": "project", "rule": rule}
        forwards: list[int] = []
        with Watching(model, forwards):
            found = project(model, several, units, **options)
        assert forwards == [1]
        assert found.windowed.all()
        expected = project(model, several, units, windows=False, **options)
        np.testing.assert_allclose(found.activations, expected.activations, atol=1e-12)
        np.testing.assert_allclose(found.pixels, expected.pixels, atol=1e-12 * np.abs(expected.pixels).max())


def test_a_rule_of_ones_own_sees_whole_maps() -> None:
    def by_the_largest(signal: Tensor, forward_input: Tensor) -> Tensor:
        return signal / signal.abs().max().clamp(min=1e-9)

    found = project(build("zfnet"), photos("zfnet", 1), ["conv3:0"], rule=by_the_largest)
    assert not found.windowed.any()
    assert "rule" in found.whole_maps["conv3"]


def test_a_unit_that_sees_only_padding() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=5), nn.ReLU(), nn.Conv2d(2, 2, 1))
    nn.init.ones_(model[2].bias)
    found = project(model, torch.randn(1, 1, 8, 8), ["2:0@0,0", "2:0@7,7"], seed="one")
    assert found.active.all()
    assert not found.pixels[0].any()
    assert found.pixels[1].any()
    assert found.windowed.all()


def test_near_units_are_checked() -> None:
    model, several = build("zfnet"), photos("zfnet", 4)
    with pytest.raises(UnitError, match="conv3:99@0,0 is outside its layer"):
        project(model, several, [*["conv3:0@0,0"] * 3, "conv3:99@0,0"], photos=range(4))
    several[3, 0, 100, 100] = torch.nan
    with pytest.raises(ModelError, match="photo 3 holds NaN"):
        project(model, several, ["conv3:0@0,0"] * 4, photos=range(4))


@pytest.mark.parametrize("memory", [1, 10**6, 2**30])
def test_memory_changes_nothing(memory: int) -> None:
    model, several = build("zfnet"), photos("zfnet", 3)
    units = everywhere(model, "conv5", several)
    assert_equal(project(model, several, units, memory=memory), project(model, several, units, windows=False), 1e-12)
    with pytest.raises(OptionError, match="memory=0 is too small"):
        project(model, several, units, memory=0)


_PEAK = """
import resource, sys, torch
from deconvnet.networks.zfnet import zfnet
from deconvnet.projection import project
torch.set_num_threads(1)
torch.manual_seed(0)
net, photo = zfnet(5, 112, 16).eval(), torch.randn(1, 3, 112, 112)
count, memory = int(sys.argv[1]), int(sys.argv[2])
units = [f"conv3:{c % 384}@2,2" for c in range(count)]
project(net, photo, units[:1], memory=memory)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = project(net, photo, units, memory=memory)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 - sum(c.nbytes for c in found.crops))
"""


def test_memory_is_bounded() -> None:
    """Peak of a process of its own, less the result: no larger for 1,500 units than the budget allows."""

    def peak(count: int, memory: int) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(count), str(memory)], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    slack = 24 * 2**20  # the allocator's own
    assert peak(1500, 2**25) < 2**25 + slack


def test_a_thousand_projections_leave_nothing() -> None:
    torch.manual_seed(0)
    model, image = Residual().eval(), torch.randn(1, 3, 24, 24)
    model.requires_grad_(False)

    def alive() -> int:
        gc.collect()
        return sum(isinstance(each, Tensor) for each in gc.get_objects())

    import resource

    for _ in range(100):
        project(model, image, ["third:1"])
    before, memory = alive(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(900):
        project(model, image, [f"third:{number % 12}"])
    assert alive() <= before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 8 * 1024  # kB
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert not torch_module._global_forward_hooks
    assert not torch_module._global_forward_pre_hooks


def test_crops_hold_windows_and_pixels_are_made_when_asked_for() -> None:
    model, image = build("zfnet"), photos("zfnet", 1)
    every = project(model, image, [f"conv1:{c}@{p}" for p in ("0,0", "20,20") for c in range(96)])
    units: Sequence[Unit | str] = [
        *(
            next(u for u, on in zip(every.units, every.active, strict=True) if on and u.position == p)
            for p in ((0, 0), (20, 20))
        ),
        "fc6:0",
    ]
    found = project(model, image, units, seed="one")
    assert "pixels" not in vars(found)
    assert found.image == (3, 112, 112)
    for index in (0, 1):
        window = found.windows[index]
        assert found.crops[index].shape == (3, window.height, window.width)
        assert window == (found.boxes[index] or window).clip(112, 112)
    assert found.crops[2].shape == (3, 112, 112)
    pixels = found.pixels
    assert pixels is found.pixels
    assert pixels.shape == (3, 3, 112, 112)
    assert pixels.dtype == np.float64


def test_models_in_channels_last_are_computed_whole() -> None:
    torch.manual_seed(0)
    net = zfnet(5, 128, 16).eval().to(memory_format=torch.channels_last)
    photos = torch.randn(4, 3, 128, 128)
    units = [Unit("conv3", i, (3, 3)) for i in range(4)]
    near = project(net, photos, units, photos=range(4), seed="one")
    whole = project(net, photos, units, photos=range(4), seed="one", windows=False)
    assert np.array_equal(near.activations, whole.activations)  # the very same forward pass
    assert np.allclose(near.pixels, whole.pixels, rtol=1e-5, atol=1e-6)


def test_a_batch_of_units_does_not_write_over_the_last_one() -> None:
    """The pool works where it worked for the units before, and it is the last step on the way to the pixels."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 3, 3)).eval()
    photo = torch.randn(1, 1, 16, 16)
    units = [Unit("1", channel, (row, 2)) for channel in range(3) for row in range(6)]
    one_by_one = project(net, photo, units, memory=1)
    whole = project(net, photo, units, windows=False)
    assert one_by_one.windowed.all()
    assert_equal(one_by_one, whole, 1e-6)


@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalization_on_windows_equals_that_of_torch(size: int, layout: torch.memory_format) -> None:
    maps = (100 * torch.randn(2, 12, 9, 7)).contiguous(memory_format=layout)
    constants = LrnConstants(size, 1e-3, 0.75, 2.0)
    values, factors = constants.normalize_and_keep(maps)
    assert torch.allclose(values, F.local_response_norm(maps, size, 1e-3, 0.75, 2.0), rtol=3e-7, atol=0)
    wide = maps.double().requires_grad_()
    signal = torch.randn(maps.shape)
    (expected,) = torch.autograd.grad(F.local_response_norm(wide, size, 1e-3, 0.75, 2.0), wide, signal.double())
    for found in (factors.backward(signal), LrnFactors.of(maps, constants).backward(signal)):
        assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
