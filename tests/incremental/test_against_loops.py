"""The engine against plain loops in float64 that share no code with it: every covered photo through every layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.reference import occlusion_loops as loops
from torch import Tensor, nn

from deconvnet.incremental import prepare

BOUND = 1e-5  # of the largest value


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def conv(module: nn.Conv2d, name: str = "") -> loops.Conv:
    bias = None if module.bias is None else array(module.bias)
    return loops.Conv(array(module.weight), bias, module.stride[0], int(module.padding[0]), module.groups, name)


def norm(module: nn.BatchNorm2d) -> loops.BatchNorm:
    assert module.running_mean is not None
    assert module.running_var is not None
    parts = (module.running_mean, module.running_var, module.weight, module.bias)
    return loops.BatchNorm(*(array(part) for part in parts), module.eps)


def linear(module: nn.Linear) -> loops.Linear:
    return loops.Linear(array(module.weight), array(module.bias))


def lenet() -> tuple[nn.Module, list[Any], tuple[int, int, int], list[str]]:
    a, b, c, d = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, 3), nn.Linear(54, 10), nn.Linear(10, 4)
    model = nn.Sequential(
        a, nn.ReLU(), nn.MaxPool2d(2), b, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), c, nn.ReLU(), d, nn.Softmax(1)
    )
    twin = [
        conv(a, "0"), loops.Relu(), loops.MaxPool(2, 2), conv(b), loops.Relu("4"), loops.MaxPool(2, 2),
        loops.Flatten(), linear(c), loops.Relu(), linear(d), loops.Softmax(),
    ]  # fmt: skip
    return model, twin, (1, 20, 20), ["0", "4"]


def alexnet() -> tuple[nn.Module, list[Any], tuple[int, int, int], list[str]]:
    a, b, c, d = (
        nn.Conv2d(3, 8, 7, 2, 2),
        nn.Conv2d(8, 8, 5, 1, 2, groups=2),
        nn.Conv2d(8, 6, 3, 1, 1),
        nn.Linear(36, 5),
    )
    response, pool = nn.LocalResponseNorm(5, 0.5, 0.75, 2.0), nn.MaxPool2d(3, 2)
    model = nn.Sequential(a, nn.ReLU(), response, pool, b, nn.ReLU(), response, pool, c, nn.ReLU(), nn.Flatten(), d)
    lrn, overlapping = loops.Lrn(5, 0.5, 0.75, 2.0), loops.MaxPool(3, 2)
    twin = [
        conv(a, "0"), loops.Relu(), lrn, overlapping, conv(b, "4"), loops.Relu(), lrn, overlapping,
        conv(c), loops.Relu("9"), loops.Flatten(), linear(d),
    ]  # fmt: skip
    return model, twin, (3, 32, 30), ["0", "4", "9"]


class Block(nn.Module):
    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.Conv2d(out, out, 3, 1, 1)
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(out) for _ in range(3))
        self.shortcut = nn.Conv2d(into, out, 1, stride, bias=False) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        found = self.norm2(self.second(torch.relu(self.norm1(self.first(x)))))
        return torch.relu(found + (x if self.shortcut is None else self.norm3(self.shortcut(x))))

    def twin(self, name: str) -> list[Any]:
        main = [conv(self.first), norm(self.norm1), loops.Relu(), conv(self.second), norm(self.norm2)]
        shortcut = [] if self.shortcut is None else [conv(self.shortcut), norm(self.norm3)]
        return [loops.Residual(main, shortcut), loops.Relu(name)]


def resnet() -> tuple[nn.Module, list[Any], tuple[int, int, int], list[str]]:
    a, same, down, last = nn.Conv2d(3, 6, 3, 1, 1), Block(6, 6, 1), Block(6, 8, 2), nn.Linear(8, 5)
    first = nn.BatchNorm2d(6)
    model = nn.Sequential(
        a, first, nn.ReLU(), nn.MaxPool2d(3, 2, 1), same, down, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.weight, module.bias):
                assert tensor is not None
                nn.init.normal_(tensor)
            assert module.running_var is not None
            nn.init.uniform_(module.running_var, 0.5, 2)
    twin = [
        conv(a), norm(first), loops.Relu("2"), loops.MaxPool(3, 2, 1), *same.twin("4"), *down.twin("5"),
        loops.GlobalAverage(), linear(last),
    ]  # fmt: skip
    return model, twin, (3, 24, 22), ["2", "4", "5"]


@pytest.mark.parametrize("network", [lenet, alexnet, resnet])
@pytest.mark.parametrize("kind", ["number", "colour", "picture"])
def test_answers_sums_and_maxima_equal_those_of_loops(network: Callable[..., Any], kind: str) -> None:
    torch.manual_seed(3)
    with torch.no_grad():
        model, twin, shape, maps = network()
    photo = torch.randn(shape) * 2
    fill = {"number": 1.5, "colour": torch.randn(shape[0]), "picture": torch.randn(shape)}[kind]
    whole = torch.as_tensor(fill, dtype=torch.float32).reshape((-1, 1, 1) if kind != "picture" else shape).expand(shape)
    height, width = shape[1:]
    windows = [(3, 5, 9, 11), (-2, -3, 4, 4), (height - 3, 0, height + 4, width), (7, 7, 8, 8), (0, 0, height, width)]
    found = prepare(model.eval(), photo, maps=maps).run(windows, fill)
    outputs, sums, maxima = [], {name: [] for name in maps}, {name: [] for name in maps}
    for window in windows:
        heard: dict[str, np.ndarray] = {}
        outputs.append(loops.answer(twin, loops.cover(array(photo), window, array(whole)), heard))
        for name in maps:
            activity, largest = loops.activity(heard[name])
            sums[name].append(activity)
            maxima[name].append(largest)
    near(found.outputs, outputs)
    assert np.ptp(found.outputs, axis=0).max() > 0.01 * np.abs(found.outputs).max()  # covering changes the answer
    for name in maps:
        near(found.sums[name], sums[name])
        near(found.maxima[name], maxima[name])


def near(found: np.ndarray, expected: list[np.ndarray]) -> None:
    wanted = np.stack(expected)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= BOUND * np.abs(wanted).max()
