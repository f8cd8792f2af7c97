"""What would make a picture silently wrong is right, or refused in one sentence."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deconvnet.errors import ModelError, OptionError, UnitError
from deconvnet.projection import project
from deconvnet.tracing.receptive import receptive_fields

UNIT = ["4:1"]


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def net(function: Callable[[Tensor], Any]) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), Lambda(function), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))


def photos(count: int = 1) -> Tensor:
    return torch.randn(count, 3, 40, 42, generator=torch.Generator().manual_seed(1))


def assert_cropped_equals_whole(model: nn.Module, layer: str = "4", **options: Any) -> None:
    """Of later photos only windows are computed, where that is known to be right."""
    units = [f"{layer}:{i % 8}@{2 * i},{i}" for i in range(6)]
    settings: dict[str, Any] = {"photos": range(6), "seed": "one", "inactive": "project", "batch_size": 1, **options}
    found, expected = (project(model, photos(6), units, windows=windows, **settings) for windows in (True, False))
    np.testing.assert_allclose(found.activations, expected.activations, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.pixels, expected.pixels, rtol=1e-4, atol=1e-5 * np.abs(expected.pixels).max())


@pytest.mark.parametrize("own", [True, False])
def test_both_orders_of_a_batch_norms_arguments(own: bool) -> None:
    torch.manual_seed(3)
    mean, var, weight, bias = torch.randn(8), torch.rand(8) + 1, torch.randn(8), torch.randn(8)

    def normalize(x: Tensor) -> Tensor:
        if own:
            return torch.batch_norm(x, weight, bias, mean, var, False, 0.1, 1e-5, True)
        return F.batch_norm(x, mean, var, weight, bias)

    assert_cropped_equals_whole(net(normalize))


@pytest.mark.parametrize(
    "gate",
    [
        lambda x: x * x.detach().mean((2, 3), keepdim=True).sigmoid(),
        lambda x: x / x.detach().abs().max(),
        lambda x: F.conv2d(x, x.detach().mean((0, 2, 3)).view(1, 8, 1, 1).expand(8, 8, 1, 1)),
    ],
)
def test_one_photos_numbers_are_not_used_for_another(gate: Callable[[Tensor], Tensor]) -> None:
    assert_cropped_equals_whole(net(gate), activations="gradient", rule="gradient")


class WithinChannel(nn.LocalResponseNorm):
    """Caffe's other region: neighbours in space, not maps."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (1 + F.avg_pool2d(x**2, 5, 1, 2))


class Global(nn.LocalResponseNorm):
    def forward(self, x: Tensor) -> Tensor:
        return x / (1 + (x**2).flatten(2).sum(2)[:, :, None, None])


@pytest.mark.parametrize("kind", [WithinChannel, Global])
def test_normalization_across_space_is_not_taken_for_one_across_maps(kind: type[nn.LocalResponseNorm]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), kind(3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))
    assert_cropped_equals_whole(model)
    rows = receptive_fields(model, (3, 40, 42))["4"].rows
    assert rows is None or rows.size == 12


def data(x: Tensor) -> Tensor:
    x.data.clamp_(min=0)
    return x


def detached(x: Tensor) -> Tensor:
    x.detach().relu_()
    return x


def view(x: Tensor) -> Tensor:
    flat = x.view(-1)
    with torch.no_grad():
        flat.relu_()
    return x


def new_data(x: Tensor) -> Tensor:
    y = x * 1
    y.data = F.relu(x).data
    return y


@pytest.mark.parametrize("behind", [data, detached, view, new_data])
@pytest.mark.parametrize("activations", ["refuse", "gradient"])
def test_changes_behind_autograds_back_are_refused(behind: Callable[[Tensor], Tensor], activations: str) -> None:
    with pytest.raises(ModelError, match=r"layer '1' changes a tensor .* where autograd cannot follow"):
        project(net(behind), photos(), UNIT, activations=activations)


def test_changes_to_other_tensors_are_allowed() -> None:
    kept = torch.zeros(8)

    def remembering(x: Tensor) -> Tensor:
        kept.copy_(x.detach().mean((0, 2, 3)))
        kept.mul_(0.9)
        x.detach().clone().relu_()
        return x

    assert np.array_equal(
        project(net(remembering), photos(), UNIT).pixels, project(net(lambda x: x), photos(), UNIT).pixels
    )


def hooked(x: Tensor) -> Tensor:
    x.register_hook(lambda signal: signal * 0.5)
    return x


class Clone(torch.autograd.Function):  # named like a step of torch's own
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> Tensor:
        return -1000 * signals[0]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: torch.div(x, 0.1, rounding_mode="floor"), "layer '1' applies div with rounding"),
        (lambda x: F.dropout(x, 0.5, True), "layer '1' applies dropout that is on in eval mode too"),
        (hooked, "layer '1' applies a hook to its gradient"),
        (Clone.apply, "layer '1' applies an autograd function of its own, Clone,"),
        (lambda x: x / x.max().item(), r"layer '1' takes numbers out of .* \(item\)"),
        (lambda x: x * torch.from_numpy((x.detach().numpy() > 0).astype("f")), r"takes numbers out of .* \(numpy\)"),
        (nn.InstanceNorm2d(8), "layer '1.function' applies instance_norm"),
    ],
)
def test_steps_that_look_linear(function: Callable[[Tensor], Tensor], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        project(net(function), photos(), UNIT)
    project(net(function), photos(), UNIT, activations="gradient")


def test_dropout_in_eval_mode_is_nothing() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Conv2d(3, 8, 3), nn.Dropout2d(), nn.Conv2d(8, 8, 3))
    assert project(model, photos(), ["3:1"]).windowed.all()


def test_a_gradients_hook_is_heeded_when_allowed() -> None:
    found = project(net(hooked), photos(), UNIT, activations="gradient")
    plain = project(net(lambda x: x), photos(), UNIT)
    np.testing.assert_allclose(found.pixels, plain.pixels / 2, rtol=1e-5)
    assert "hook" in found.whole_maps["4"]


def test_a_function_inside_a_layer_is_not_blamed_on_the_next() -> None:
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.pool, self.conv2 = nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv2(self.pool(Clone.apply(self.conv1(x))))

    with pytest.raises(ModelError, match="the model applies an autograd function of its own, Clone,"):
        project(Inside(), photos(), ["conv2:1"])


def test_a_forward_hook_that_changes_the_asked_layer_is_seen() -> None:
    model = net(lambda x: x)
    model[4].register_forward_hook(lambda _module, _inputs, output: output * 2)
    hooks = dict(model[4]._forward_hooks)
    found = project(model, photos(), ["4:1@5,5"])
    assert found.activations[0] == pytest.approx(float(model.eval()(photos())[0, 1, 5, 5]), rel=1e-5)
    assert dict(model[4]._forward_hooks) == hooks


class Spread(nn.Module):
    """The whole photo in one cell, which then goes to all positions."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.last = nn.AvgPool2d((40, 42), 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.all(x))


@pytest.mark.parametrize(
    ("model", "unit"),
    [
        (nn.Sequential(nn.ReplicationPad2d(3), nn.Conv2d(3, 4, 3)), "1:0@0,0"),
        (nn.Sequential(nn.ReflectionPad2d((1, 0, 1, 0)), nn.Conv2d(3, 4, 2)), "1:0@0,0"),
        (Spread(), "last:0@20,20"),
    ],
)
def test_a_box_holds_all_that_a_unit_sees(model: nn.Module, unit: str) -> None:
    found = project(model, photos(), [unit], seed="one", inactive="project")
    assert np.count_nonzero(found.projection(0)) == np.count_nonzero(found.pixels)


def test_a_pixel_that_overflows_is_refused_also_outside_the_window() -> None:
    several = photos(4).double()
    several[2, 0, 39, 41] = 1e300
    units = [f"4:{i}@1,1" for i in range(4)]
    with pytest.raises(ModelError, match="photo 2 holds NaN or infinite pixels"):
        project(net(lambda x: x), several, units, photos=range(4), seed="one", inactive="project")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda model: torch.compile(model), "the model is compiled"),
        (lambda model: model[2].compile() or model, "layer '2' is compiled"),
        (lambda model: torch.jit.trace(model, photos()), "scripted or traced"),
        (lambda model: model.to("meta"), "no values"),
        (lambda model: nn.Sequential(nn.LazyConv2d(4, 3)), "no shape yet"),
        (lambda model: None, "a NoneType: give a torch.nn.Module"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_models_that_cannot_be_followed(change: Callable[[nn.Module], nn.Module], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        project(change(net(lambda x: x)), photos(), UNIT)


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = net(lambda x: x)

    def forward(self, x: Tensor) -> Any:
        return checkpoint(self.inner, x, use_reentrant=False)


def test_a_checkpoint_around_the_asked_layer() -> None:
    with pytest.raises(ModelError, match=r"autograd does not come down from layer 'inner\.4'"):
        project(Checkpointed(), photos(), ["inner.4:1"])


@pytest.mark.parametrize("size", [(3, 5, 5), (1, 40, 42)])
def test_photos_that_do_not_fit_the_model(size: tuple[int, ...]) -> None:
    shape = " x ".join(map(str, size))
    with pytest.raises(ModelError, match=f"does not run on photos of {shape}"):
        project(net(lambda x: x), torch.zeros(1, *size), UNIT)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"units": [3]}, UnitError, "3 is no unit"),
        ({"units": "4:1"}, UnitError, "is one unit: give a list of units"),
        ({"photos": [0.9]}, OptionError, "photo 0.9 is no index"),
        ({"batch_size": 1.5}, OptionError, r"batch_size=1.5 is no whole number"),
        ({"memory": "1"}, OptionError, "memory='1' is no whole number"),
        ({"rule": lambda signal, seen: None}, OptionError, "the rule gave None"),
        ({"rule": lambda signal, seen: signal.sum()}, OptionError, r"a tensor of shape \(\)"),
    ],
)
def test_arguments_of_a_wrong_kind(options: dict[str, Any], error: type[Exception], says: str) -> None:
    arguments: dict[str, Any] = {"units": UNIT, **options}
    with pytest.raises(error, match=says):
        project(net(lambda x: x), photos(), **arguments)


@pytest.mark.parametrize(
    ("company", "options"),
    [
        (lambda x: x - x.mean(), {}),
        (lambda x: x - x.mean(0), {}),
        (lambda x: x - x.mean((0, 2, 3), keepdim=True), {}),
        (lambda x: x if x.mean() > 0 else x * 0.1, {}),
        (lambda x: x / x.detach().abs().max(), {"activations": "gradient"}),
        (lambda x: x / x.abs().max().item(), {"activations": "gradient"}),
    ],
)
def test_a_photos_picture_does_not_depend_on_its_company(company: Callable[[Tensor], Tensor], options: Any) -> None:
    model = net(company)
    several = photos(3) * torch.tensor([1.0, 5.0, 0.2]).view(3, 1, 1, 1)
    found = project(model, several, UNIT, seed="one", inactive="project", **options)
    for index in range(3):
        alone = project(model, several[index : index + 1], UNIT, seed="one", inactive="project", **options)
        np.testing.assert_allclose(found.activations[index], alone.activations[0], rtol=1e-4, atol=1e-6)
        largest = np.abs(alone.pixels).max()
        np.testing.assert_allclose(found.pixels[index], alone.pixels[0], rtol=0, atol=1e-5 * largest)


def test_photos_that_have_nothing_to_do_with_each_other_go_together() -> None:
    model = net(lambda x: x.view(len(x), 2, 4, *x.shape[2:]).transpose(1, 2).reshape(x.shape) - x.mean(1, keepdim=True))
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    project(model, photos(5), UNIT)
    assert sizes == [5]


class FaintWithinChannel(nn.LocalResponseNorm):
    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + 5e-5 * F.avg_pool2d(x**2, 3, 1, 1)) ** -0.75


def test_normalization_across_space_is_told_from_a_dim_photo_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), FaintWithinChannel(3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))
    bright = photos(6) * torch.tensor([0.05, *[300.0] * 5]).view(6, 1, 1, 1)
    units = [f"4:{i}@{2 * i},{i}" for i in range(6)]
    settings: dict[str, Any] = {"photos": range(6), "seed": "one", "inactive": "project", "batch_size": 1}
    found, expected = (project(model, bright, units, windows=windows, **settings) for windows in (True, False))
    np.testing.assert_allclose(found.activations, expected.activations, rtol=1e-4)


def test_a_hook_does_not_cover_what_else_a_step_does() -> None:
    def both(x: Tensor) -> Tensor:
        x.data.clamp_(min=0)
        x.register_hook(lambda signal: signal)
        return x

    with pytest.raises(ModelError, match="where autograd cannot follow"):
        project(net(both), photos(), UNIT, activations="gradient")


class Head(nn.Module):
    """Takes numbers out behind the layers that are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net(lambda x: x)

    def forward(self, x: Tensor) -> list[float]:
        return self.body(x).amax((2, 3)).argmax(1).tolist()


def test_numbers_taken_out_behind_the_asked_layer_do_not_matter() -> None:
    assert project(Head(), photos(), ["body.4:1"]).windowed.all()


def test_a_scripted_part_is_refused() -> None:
    model = net(lambda x: x)
    model[2] = torch.jit.script(nn.ReLU())
    with pytest.raises(ModelError, match="layer '2' is scripted or traced"):
        project(model, photos(), UNIT)


def test_photos_are_named_by_whatever_is_an_index() -> None:
    found = project(net(lambda x: x), photos(3), UNIT * 3, photos=[*torch.tensor([2, 0]), np.int64(1)])  # type: ignore[list-item]
    assert found.photos == (2, 0, 1)


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        self.mean.mul_(0.9).add_(x.mean((0, 2, 3)), alpha=0.1)
        self.seen = self.seen + len(x)
        return self.second(x.relu())


def test_buffers_that_the_forward_writes_come_back() -> None:
    model = Remembering()
    project(model, photos(2), ["second:1"])
    assert not model.mean.any()
    assert not model.mean.requires_grad
    assert int(model.seen) == 0
    copy.deepcopy(model)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor, factor: Tensor) -> Tensor:
        return self.conv(x) * factor.view(-1, 1, 1, 1)


def test_nan_in_another_input_is_said() -> None:
    with pytest.raises(ModelError, match="another input of photo 1 holds NaN"):
        project(Two(), [photos(2), torch.tensor([1.0, float("nan")])], ["conv:1"])


def test_a_power_pool_is_no_hidden_relu() -> None:
    with pytest.raises(ModelError, match="layer '1' applies"):
        project(net(lambda x: F.lp_pool2d(x, 2, 2)), photos(), UNIT)
    project(net(lambda x: F.lp_pool2d(x, 2, 2)), photos(), UNIT, activations="gradient")


def test_a_step_without_a_derivative() -> None:
    with pytest.raises(ModelError, match="ask for a layer below that step"):
        project(net(lambda x: x // 1), photos(), UNIT, activations="gradient")
