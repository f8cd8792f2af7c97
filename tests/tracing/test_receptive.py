"""Receptive fields against the table of the paper's network and against what autograd finds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.errors import ModelError
from deconvnet.geometry import Box, receptive_box
from deconvnet.tracing.receptive import receptive_fields


def test_zfnet() -> None:
    def block(*arguments: int, padding: int = 0) -> list[nn.Module]:
        return [nn.Conv2d(*arguments, padding=padding), nn.ReLU(inplace=True)]

    net = nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        *block(3, 4, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5),  # 1 2 3 4
        *block(4, 4, 5, 2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5),  # 5 6 7 8
        *block(4, 4, 3, padding=1), *block(4, 4, 3, padding=1), *block(4, 4, 3, padding=1),  # 9 11 13
        nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.Linear(4 * 36, 2),  # 15 16 17
    )  # fmt: skip
    fields = receptive_fields(net, (3, 224, 224))
    expected = {
        "1": (7, 2), "3": (11, 4), "5": (27, 8), "7": (43, 16), "9": (75, 16), "11": (107, 16), "13": (139, 16),
        "15": (171, 32),
    }  # fmt: skip
    for layer, (size, stride) in expected.items():
        for axis in (fields[layer].rows, fields[layer].columns):
            assert axis is not None
            assert (axis.size, axis.stride) == (size, stride)
    sizes = {layer: fields[layer].shape[1:] for layer in expected}
    assert [sizes[layer][0] for layer in expected] == [110, 55, 26, 13, 13, 13, 13, 6]
    assert fields["1"].box(0, 0) == Box(0, 0, 7, 7)
    assert fields["17"].whole
    assert fields["17"].box() == Box(0, 0, 224, 224)
    assert fields["17"].shape == (2,)
    assert list(fields) == [str(index) for index in range(18)]


class Branches(nn.Module):
    """A residual sum, a concatenation of unequal kernels, groups, dilation, even and oblong kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, (3, 5), stride=(2, 1), padding=(1, 0))
        self.grouped = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.narrow, self.wide = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, (1, 5), padding=(0, 2))
        self.even = nn.Conv2d(4, 4, 4, padding="same", dilation=2)
        self.mix = nn.Conv2d(4, 4, 1)
        self.residual, self.joined, self.last = nn.Identity(), nn.Identity(), nn.AvgPool2d((2, 3), (2, 1))
        self.shuffled = nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu_()
        y = self.grouped(x)
        y += x
        x = self.residual(y)
        x = self.joined(torch.cat([self.narrow(x), self.wide(x)], dim=1))
        x = self.even(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x, z = self.mix(x).chunk(2, 1)
        return self.last(F.leaky_relu(self.shuffled(torch.cat([z, x], 1) * 0.5)))


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze, self.out = nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 3)
        self.pool = nn.AdaptiveAvgPool2d((4, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv(x))
        return self.out(x * self.squeeze(x).sigmoid())


def plain() -> nn.Module:
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(2, 3, 4, stride=2), nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
        nn.BatchNorm2d(3), nn.Dropout(), nn.Conv2d(3, 3, 3, padding=1), nn.Flatten(), nn.LazyLinear(2),
    )  # fmt: skip


@pytest.mark.parametrize("build", [plain, Branches, Gate])
def test_equals_what_autograd_finds(build: Callable[[], nn.Module]) -> None:
    """With positive weights and photos every cell of the field has a gradient, and none outside it has."""
    model = build().eval()
    size = (2, 18, 17)
    model(torch.zeros(1, *size))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().add_(0.1)
    fields = receptive_fields(model, size)
    outputs: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _m, _i, output, name=name: outputs.update({name: output * 1}))
    photo = torch.rand(1, *size).requires_grad_()
    model(photo)
    assert set(fields) == set(outputs) - {""}
    checked = 0
    for layer, field in fields.items():
        output = outputs[layer]
        assert field.shape == output.shape[1:]
        places = (
            [(row, col) for row in range(output.shape[2]) for col in range(output.shape[3])]
            if output.ndim == 4
            else [()]
        )
        for place in places:
            (found,) = torch.autograd.grad(output[(0, slice(None), *place)].sum(), photo, retain_graph=True)
            support = found[0].abs().sum(0) > 0
            rows, columns = support.any(1).nonzero(), support.any(0).nonzero()
            box = field.box(*place)
            if field.mirrored and box is None:  # at the border it sees cells that the padding repeats
                assert field.rows is not None
                assert field.columns is not None
                assert not receptive_box(field.rows, field.columns, *place).inside(*size[1:])
                continue
            assert box is not None, layer
            if not len(rows):  # a window may lie wholly in the padding
                continue
            hull = Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
            inside = box.clip(*size[1:])
            if build is Branches and inside != box:  # a dilated filter has gaps, which can lie on the border
                assert inside.top <= hull.top < hull.bottom <= inside.bottom, (layer, place)
                assert inside.left <= hull.left < hull.right <= inside.right, (layer, place)
            else:
                assert hull == inside, (layer, place)
                checked += 1
    assert checked > 100


def test_what_is_not_known_is_not_guessed() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 2)
    )
    fields = receptive_fields(net, (1, 10, 10))
    assert fields["0"].box(0, 0) == Box(0, 0, 3, 3)
    for layer in "12":
        assert fields[layer].box(0, 0) is None
        assert not fields[layer].whole
    for layer in "34":
        assert fields[layer].box() == Box(0, 0, 10, 10)


def test_only_images_are_taken() -> None:
    for shape in ((10, 10), (1, 1, 1, 10, 10)):
        with pytest.raises(ModelError, match="is not an image"):
            receptive_fields(nn.Conv2d(1, 1, 1), shape)
    assert math.prod(receptive_fields(nn.Sequential(nn.Conv2d(1, 1, 3)), (1, 1, 8, 9))["0"].shape) == 42


def test_a_sum_with_an_unknown_map_is_unknown() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.mixed = nn.Conv2d(1, 2, 3), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.mixed(x + F.interpolate(F.avg_pool2d(x, 2), scale_factor=2))

    fields = receptive_fields(Sum(), (1, 10, 10))
    assert fields["conv"].box(1, 1) == Box(1, 1, 4, 4)
    assert fields["mixed"].box(1, 1) is None
