"""A ReLU is a ReLU, however it is written; so is a max pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.errors import ModelError
from deconvnet.projection import Projections, project

Function = Callable[[Tensor], Tensor]


def in_place_and_forgotten(x: Tensor) -> Tensor:
    F.relu(x, inplace=True)
    return x


def on_views(x: Tensor) -> Tensor:
    x[:, :2].relu_()
    F.relu(x[:, 2:], inplace=True)
    return x


def overwritten_later(x: Tensor) -> Tensor:
    y = x.relu()
    x.fill_(-1)
    return y


RELUS: dict[str, Function] = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU(inplace)": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu(input=)": lambda x: F.relu(input=x),
    "F.relu(inplace)": lambda x: F.relu(x, inplace=True),
    "F.relu(inplace), result not used": in_place_and_forgotten,
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "x.relu": lambda x: x.relu(),
    "x.relu_": lambda x: x.relu_(),
    "x.clamp(min=0)": lambda x: x.clamp(min=0),
    "x.clamp(0)": lambda x: x.clamp(0),
    "x.clamp(0, inf)": lambda x: x.clamp(0, float("inf")),
    "x.clamp_(min=0)": lambda x: x.clamp_(min=0),
    "x.clip(0)": lambda x: x.clip(0),
    "torch.clamp(x, min=0.0)": lambda x: torch.clamp(x, min=0.0),
    "torch.clamp(x, min=tensor)": lambda x: torch.clamp(x, min=torch.zeros(())),
    "x.clamp_min(0)": lambda x: x.clamp_min(0),
    "x.clamp_min_(0)": lambda x: x.clamp_min_(0),
    "torch.clamp_min(x, 0)": lambda x: torch.clamp_min(x, 0),
    "torch.maximum(x, 0)": lambda x: torch.maximum(x, torch.zeros(())),
    "torch.maximum(0, x)": lambda x: torch.maximum(torch.zeros_like(x), x),
    "torch.max(x, 0)": lambda x: torch.max(x, torch.zeros_like(x)),
    "x.max(other=0)": lambda x: x.max(other=torch.zeros_like(x)),
    "F.threshold": lambda x: F.threshold(x, 0, 0),
    "nn.Threshold(inplace)": nn.Threshold(0.0, 0.0, inplace=True),
    "torch.ops.aten.relu": torch.ops.aten.relu,
    "in place, on views": on_views,
    "input overwritten afterwards": overwritten_later,
}

POOLS: dict[str, Function] = {
    "nn.MaxPool2d": nn.MaxPool2d(3, 2, 1),
    "F.max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "F.max_pool2d(return_indices)": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[0],
    "torch.max_pool2d": lambda x: torch.max_pool2d(x, 3, 2, 1),
    "torch.max_pool2d(lists)": lambda x: torch.max_pool2d(x, [3, 3], stride=[2, 2], padding=[1, 1]),
}


class Net(nn.Module):
    def __init__(self, relu: Function, pool: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 6, 3)
        self.relu, self.pool = relu, pool
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.pool(self.relu(self.conv1(x)))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return {"scores": self.fc(x.mean((2, 3))).softmax(1)}


def draw(relu: Function, pool: Function = POOLS["nn.MaxPool2d"], **options: Any) -> Projections:
    photos = torch.randn((2, 3, 17, 21), generator=torch.Generator().manual_seed(5))
    return project(Net(relu, pool), photos, ["conv1:1", "conv2:2", "conv3:3", "fc:1"], **options)


@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
@pytest.mark.parametrize("spelling", RELUS)
def test_every_relu_gives_the_same_bits(spelling: str, rule: str) -> None:
    expected, found = draw(RELUS["nn.ReLU"], rule=rule), draw(RELUS[spelling], rule=rule)
    assert expected.relus == ((0, 0, 1, 1, 2, 2, 3, 3))
    assert found.units == expected.units
    # An in-place ReLU does not reach back into the convolution's own output, which has negative values.
    assert np.array_equal(found.activations, expected.activations)
    if np.array_equal(found.windowed, expected.windowed):
        assert np.array_equal(found.pixels, expected.pixels)
    else:  # on the whole maps, because a view was overwritten
        assert spelling == "in place, on views"
        whole = draw(RELUS["nn.ReLU"], rule=rule, windows=False)
        assert np.array_equal(found.pixels[2:], whole.pixels[2:])
        assert np.abs(found.pixels - expected.pixels).max() <= 1e-5 * np.abs(expected.pixels).max()
    assert np.abs(expected.pixels[2:]).max() > 0


def test_the_rule_tells() -> None:
    plain, deconv = draw(F.relu, rule="gradient"), draw(F.relu)
    assert np.abs(plain.pixels - deconv.pixels).max() > 1e-3 * np.abs(plain.pixels).max()


@pytest.mark.parametrize("unpool", ["sum", "place", "mean"])
@pytest.mark.parametrize("spelling", POOLS)
def test_every_max_pool_gives_the_same_bits(spelling: str, unpool: str) -> None:
    expected, found = draw(F.relu, unpool=unpool), draw(F.relu, POOLS[spelling], unpool=unpool)
    assert np.array_equal(found.pixels, expected.pixels)


def test_adaptive_max_pool_of_equal_windows_is_max_pool() -> None:
    class Net(nn.Module):
        def __init__(self, pool: Function) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv1, self.pool, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), pool, nn.Conv2d(8, 8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv2(self.pool(self.conv1(x).relu()))

    photo = torch.randn(1, 3, 12, 18)
    for unpool in ("sum", "place"):
        one = project(Net(nn.MaxPool2d(3)), photo, ["conv2:0"], unpool=unpool)
        for pool in (nn.AdaptiveMaxPool2d((4, 6)), lambda x: F.adaptive_max_pool2d(x, (4, 6), return_indices=True)[0]):
            assert np.array_equal(project(Net(pool), photo, ["conv2:0"], unpool=unpool).pixels, one.pixels)
            assert project(Net(pool), photo, ["conv2:0"]).boxes == one.boxes


def by_mask(x: Tensor) -> Tensor:
    return x * (x > 0)


def by_hidden_mask(x: Tensor) -> Tensor:
    with torch.no_grad():
        mask = (x > 0).float()
    return x * mask


def behind_autograd(x: Tensor) -> Tensor:
    with torch.no_grad():
        x.relu_()
    return x


def by_assignment(x: Tensor) -> Tensor:
    x[x < 0] = 0
    return x


ODD: dict[str, Function] = {
    "x * (x > 0)": by_mask,
    "a mask made under no_grad": by_hidden_mask,
    "x[x < 0] = 0": by_assignment,
    "a mask from x.data": lambda x: x * (x.data > 0),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0),
    "abs": lambda x: (x + x.abs()) / 2,
    "fmax": lambda x: torch.fmax(x, torch.full_like(x, -1.0)),
    "maximum with a constant": lambda x: torch.maximum(x, torch.full_like(x, 0.1)),
    "clamp(0, 6)": lambda x: x.clamp(0, 6),
    "clamp(min=0.1)": lambda x: x.clamp(min=0.1),
    "threshold at 1": lambda x: F.threshold(x, 1, 0),
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "prelu": nn.PReLU(),
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "mish": F.mish,
    "a gate": lambda x: x * x.mean((2, 3), keepdim=True),
    "division by a signal": lambda x: x / (1 + x.mean((1, 2, 3), keepdim=True)),
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "group norm": lambda x: F.group_norm(x, 2),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_neither_linear_nor_a_relu_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"neither linear nor a ReLU.*conv2.*activations='gradient'.*'relu'"):
        draw(ODD[name])


@pytest.mark.parametrize("policy", ["refuse", "gradient", "relu"])
def test_what_autograd_cannot_see_is_refused_always(policy: str) -> None:
    with pytest.raises(ModelError, match=r"changes a tensor .* where autograd cannot follow"):
        draw(behind_autograd, activations=policy)


@pytest.mark.parametrize("name", ODD)
def test_gradient_policy_is_the_true_derivative(name: str) -> None:
    found = draw(ODD[name], rule="gradient", activations="gradient")
    assert found.activation_policy == "gradient"
    net = Net(ODD[name], POOLS["nn.MaxPool2d"]).eval()
    photos = torch.randn((2, 3, 17, 21), generator=torch.Generator().manual_seed(5)).requires_grad_()
    maps = net.conv2(net.pool(net.relu(net.conv1(photos))))
    row, column = found.units[2].position or (0, 0)
    (truth,) = torch.autograd.grad(maps[0, 2, row, column], photos)
    value = maps[0, 2, row, column].item()
    assert value > 0
    torch.testing.assert_close(torch.from_numpy(found.pixels[2]), truth[0] * value, rtol=1e-5, atol=1e-7)


def test_relu_policy_rectifies_like_a_relu() -> None:
    """Of a function that equals ReLU on these values, the pictures are equal too."""
    expected = draw(F.relu)
    for same in (lambda x: x.clamp(0, 1e6), lambda x: F.leaky_relu(x, 0.0), lambda x: F.hardtanh_(x, 0.0, 1e6)):
        found = draw(same, activations="relu")
        assert np.array_equal(found.pixels, expected.pixels)
        assert found.relus == expected.relus
    assert not np.array_equal(draw(torch.tanh, activations="relu").pixels, expected.pixels)


def test_an_activation_is_named_by_its_layer_and_only_if_on_the_path() -> None:
    lenet = nn.Sequential()
    lenet.add_module("conv1", nn.Conv2d(1, 4, 5))
    lenet.add_module("tanh1", nn.Tanh())
    lenet.add_module("conv2", nn.Conv2d(4, 4, 5))
    photo = torch.randn(1, 1, 12, 12)
    assert project(lenet, photo, ["conv1:0"]).relus == (0,)
    with pytest.raises(ModelError, match="layer 'tanh1' applies tanh"):
        project(lenet, photo, ["conv2:0"])


@pytest.mark.parametrize("between", [nn.Dropout(0.1), nn.Dropout2d(0.1), nn.Identity(), nn.AlphaDropout(0.1)])
def test_a_refusal_names_the_activation_not_the_dropout_behind_it(between: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), between, nn.Conv2d(4, 4, 3))
    with pytest.raises(ModelError, match="layer '1' applies gelu"):
        project(model, torch.randn(1, 3, 12, 12), ["3:0"])


@pytest.mark.parametrize(
    ("six", "name"),
    [
        (nn.ReLU6(), "layer '1' applies ReLU6,"),
        (nn.ReLU6(inplace=True), "layer '1' applies ReLU6,"),
        (nn.Hardtanh(0, 6), "layer '1' applies ReLU6,"),
        (nn.Hardtanh(), "layer '1' applies hardtanh,"),
    ],
)
def test_relu6_is_called_so(six: nn.Module, name: str) -> None:
    with pytest.raises(ModelError, match=name):
        project(nn.Sequential(nn.Conv2d(3, 4, 3), six, nn.Conv2d(4, 4, 3)), torch.randn(1, 3, 12, 12), ["2:0"])


LINEAR: dict[str, Function] = {
    "unfold": lambda x: x.unfold(2, 3, 2).sum(-1),
    "im2col": lambda x: F.fold(F.unfold(x, 3, padding=1) * 0.5, (x.shape[2], x.shape[3]), 3, padding=1),
    "a constant made like the signal": lambda x: x + torch.linspace(-1, 1, x.shape[1]).view(1, -1, 1, 1).to(x),
    "type_as": lambda x: x * torch.arange(x.shape[1]).view(1, -1, 1, 1).type_as(x),
    "expand_as": lambda x: x - torch.ones(x.shape[1], 1, 1).expand_as(x),
}


@pytest.mark.parametrize("name", LINEAR)
def test_what_is_linear_is_not_refused(name: str) -> None:
    """The deconvnet's step there is the transposed step: what autograd does."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), nn.Conv2d(4, 4, 3)).double()
    model[1].forward = LINEAR[name]  # type: ignore[method-assign]
    photo = torch.randn(1, 3, 14, 14, dtype=torch.float64)
    found = project(model, photo, ["2:1"], seed="one", inactive="project")
    pixels = photo.clone().requires_grad_()
    row, column = found.units[0].position or (0, 0)
    (truth,) = torch.autograd.grad(model(pixels)[0, 1, row, column], pixels)
    np.testing.assert_allclose(found.pixels[0], truth[0].numpy(), atol=1e-12)
    assert (found.boxes[0] is not None) == (name not in ("unfold", "im2col"))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_scripted_code_is_refused() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Identity(), nn.Conv2d(2, 2, 3))
    net[1].forward = torch.jit.trace(torch.relu, torch.zeros(2))  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="ReLU where it cannot be replaced"):
        project(net, torch.randn(1, 1, 9, 9), ["2:0"])


def test_a_users_own_rule() -> None:
    def halved(signal: Tensor, forward_input: Tensor) -> Tensor:
        return signal * (forward_input > 0) / 2

    found = project(
        Net(F.relu_, POOLS["nn.MaxPool2d"]), torch.randn(1, 3, 17, 21, generator=torch.Generator().manual_seed(5)),
        ["conv3:3"], rule=halved,
    )  # fmt: skip
    plain = draw(F.relu, rule="gradient")
    assert found.rule == "halved"
    np.testing.assert_allclose(found.pixels[0] * 4, plain.pixels[4], rtol=1e-4, atol=1e-7)
