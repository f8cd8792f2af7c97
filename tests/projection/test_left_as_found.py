"""The model comes back as it was, and the caller's own torch modes do not matter."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from deconvnet.errors import DeconvnetError, ModelError
from deconvnet.projection import project
from deconvnet.tracing.receptive import receptive_fields


class Net(nn.Module):
    """Batch norm, dropout, one branch kept in eval mode, one frozen layer, a hook, gradients left behind."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.5)
        self.conv2 = nn.Conv2d(6, 4, 3)
        self.head = nn.Linear(4, 3)
        self.broken: str = ""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.drop(self.pool(self.relu(self.norm(self.conv1(x)))))
        if self.broken == "middle":
            raise RuntimeError("broken in the middle")
        x = self.conv2(x)
        if self.broken == "end":
            raise RuntimeError("broken at the end")
        return x, self.head(self.relu(x).mean((2, 3)))

    def train(self, mode: bool = True) -> Net:
        raise AssertionError("the user's own train() was called")


def net() -> Net:
    model = Net()
    for module in (model.conv1, model.drop, model.norm):
        module.training = False
    model.norm.running_mean += 0.3
    model.conv1.weight.requires_grad_(False)
    model.conv2.weight.grad = torch.ones_like(model.conv2.weight)
    model.conv2.register_forward_hook(lambda *_: None)
    return model


PHOTOS = torch.randn((2, 3, 12, 14), generator=torch.Generator().manual_seed(0))
UNITS = ["conv1:2", "conv2:1", "head:0"]


def state(model: nn.Module) -> dict[str, Any]:
    modules = dict(model.named_modules())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": {name: module.training for name, module in modules.items()},
        "hooks": {name: [dict(getattr(module, kind)) for kind in hooks] for name, module in modules.items()},
        "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "parameters": {
            name: (id(each), each.requires_grad, each._version, each.tolist(), each.grad, each.is_leaf)
            for name, each in model.named_parameters()
        },
        "buffers": {name: (id(each), each._version, each.tolist()) for name, each in model.named_buffers()},
        "torch's hooks": (
            len(torch_module._global_forward_hooks),
            len(torch_module._global_forward_pre_hooks),
            len(torch.overrides._get_current_function_mode_stack()),  # type: ignore[attr-defined]
        ),
        "grad": torch.is_grad_enabled(),
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    grads = [{name: each[4] for name, each in snapshot["parameters"].items()} for snapshot in (before, after)]
    assert all(grads[0][name] is grads[1][name] for name in grads[0])
    assert grads[0]["conv2.weight"] is not None
    assert bool((grads[0]["conv2.weight"] == 1).all())
    for snapshot in (before, after):
        snapshot["parameters"] = {name: each[:4] + each[5:] for name, each in snapshot["parameters"].items()}
    assert after == before


def test_the_model_is_unchanged() -> None:
    model = net()
    before = state(model)
    photos = PHOTOS.clone()
    project(model, photos, UNITS)
    receptive_fields(model, (3, 12, 14))
    assert_same(before, state(model))
    assert torch.equal(photos, PHOTOS)
    assert photos.grad is None
    assert not photos.requires_grad


@pytest.mark.parametrize(
    ("units", "broken", "error"),
    [
        (["head:0"], "end", ModelError),
        (["conv2:1"], "middle", ModelError),
        (["conv2:99"], "", DeconvnetError),
        (["conv2:0@50,0"], "", DeconvnetError),
    ],
)
def test_the_model_is_unchanged_after_an_exception(units: list[str], broken: str, error: type[Exception]) -> None:
    model = net()
    model.broken = broken
    before = state(model)
    with pytest.raises(error):
        project(model, PHOTOS, units)
    assert_same(before, state(model))


def test_an_exception_on_the_way_down_leaves_nothing() -> None:
    def broken(signal: Tensor, forward_input: Tensor) -> Tensor:
        raise ZeroDivisionError

    model = net()
    before = state(model)
    with pytest.raises(ZeroDivisionError):
        project(model, PHOTOS, ["head:0", "conv2:1"], rule=broken)
    assert_same(before, state(model))


def test_training_mode_makes_no_difference() -> None:
    model = net()
    expected = project(model, PHOTOS, UNITS).pixels
    for module in model.modules():
        module.training = True
    assert np.array_equal(project(model, PHOTOS, UNITS).pixels, expected)


@contextmanager
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_grad_mode_makes_no_difference(mode: Any) -> None:
    expected = project(net(), PHOTOS, UNITS).pixels
    with mode():
        model = net() if mode is not torch.inference_mode else inference_net()
        photos = PHOTOS + 0  # an inference tensor under inference_mode
        found = project(model, photos, UNITS).pixels
        enabled = torch.is_grad_enabled()
    assert np.array_equal(found, expected)
    assert enabled == (mode is torch.enable_grad)


def inference_net() -> Net:
    """The same network, its weights made under inference_mode."""
    model = Net()
    model.norm.running_mean += 0.3
    assert model.conv1.weight.is_inference()
    return model


def test_a_frozen_model_and_photos_with_a_graph() -> None:
    expected = project(net(), PHOTOS, UNITS).pixels
    model = net()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    photos = PHOTOS.clone().requires_grad_()
    assert np.array_equal(project(model, photos * 1, UNITS).pixels, expected)
    assert photos.grad is None
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_an_input_changed_in_place() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3))
    photos = PHOTOS.clone()
    found = project(model, photos, ["1:0"])
    assert torch.equal(photos, PHOTOS)
    assert found.relus == (1, 1)
    assert (found.pixels >= 0).all()
    assert found.pixels.max() > 0


def test_what_comes_after_the_last_asked_layer_does_not_matter() -> None:
    model = net()
    expected = project(model, PHOTOS, ["conv2:1"]).pixels
    model.broken = "end"
    assert np.array_equal(project(model, PHOTOS, ["conv2:1"]).pixels, expected)
    alone = project(model, PHOTOS, ["conv2:1"], batch_size=1)
    np.testing.assert_allclose(alone.pixels, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ModelError, match="RuntimeError: broken at the end"):
        project(model, PHOTOS, ["conv2:1", "head:0"])


def test_later_batches_end_early() -> None:
    model = net()
    ran: list[int] = []
    model.head.register_forward_pre_hook(lambda *_: ran.append(1))
    project(model, PHOTOS.repeat(2, 1, 1, 1), ["conv2:1"], batch_size=1)
    assert len(ran) == 1  # the first pass alone looks how often each layer runs


def test_nothing_is_kept() -> None:
    model = net()
    alive: list[weakref.ref[Tensor]] = []
    model.conv2.register_forward_hook(lambda _m, _i, output: alive.append(weakref.ref(output)))
    for _ in range(3):
        project(model, PHOTOS, UNITS)
    gc.collect()
    assert len(alive) == 3
    assert not any(each() is not None for each in alive)


def test_batch_norm_without_running_statistics_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Conv2d(4, 4, 3))
    with pytest.raises(ModelError, match="layer '1' applies a batch norm without running statistics"):
        project(model, PHOTOS, ["2:0"])
    assert project(model, PHOTOS, ["0:0"]).active.all()
