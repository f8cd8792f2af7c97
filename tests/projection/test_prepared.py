"""One forward pass that answers outputs, strongest units and projections, as `project` would."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from deconvnet.errors import DeconvnetError, ModelError, OptionError, UnitError, UnknownNameError
from deconvnet.projection import prepare, project


class Counted(nn.Module):
    """Convolutions, LRN, pools and a classifier; counts its own forward passes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv1 = nn.Conv2d(3, 8, 5, stride=2)
        self.norm = nn.LocalResponseNorm(3)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6 * 7 * 7, 5)
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        x = self.pool(self.norm(self.conv1(x).relu_()))
        return self.head(self.drop(self.conv2(x).relu_().flatten(1)))


class Failing(Counted):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise RuntimeError("broken at the end")


class Coupling(Counted):
    """Each photo is shifted by the mean over the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0, keepdim=True))


LAYERS = ("conv1", "pool", "conv2", "head")


def images(count: int = 1, seed: int = 0) -> Tensor:
    return torch.randn((count, 3, 31, 31), generator=torch.Generator().manual_seed(seed))


def assert_same(found, expected) -> None:
    assert found.units == expected.units
    assert found.photos == expected.photos
    assert found.boxes == expected.boxes
    assert found.relus == expected.relus
    assert found.whole_maps == expected.whole_maps
    np.testing.assert_array_equal(found.windowed, expected.windowed)
    np.testing.assert_array_equal(found.activations, expected.activations)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    settings = ("rule", "unpool", "lrn", "seed", "activation_policy", "inactive", "onto", "image")
    assert [getattr(found, name) for name in settings] == [getattr(expected, name) for name in settings]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rule": "guided", "unpool": "place", "lrn": "grad"},
        {"rule": "gradient", "seed": "one", "inactive": "project"},
        {"windows": False, "unpool": "mean"},
        {"rule": lambda signal, forward_input: signal.clamp(min=0) * 0.5},
    ],
)
def test_projections_are_bit_for_bit_those_of_project(options):
    units = ["conv1:3", "pool:1", "conv2:4", "conv2:2@1,5", "head:1", "head:0"]
    model, photos = Counted(), images(3)
    prepared = prepare(model, photos, LAYERS, **options)
    assert model.passes == 1
    assert_same(prepared.project(units), project(Counted(), photos, units, **options))
    chosen = {"photos": [2, 0, 0, 1, 1, 2]}
    assert_same(prepared.project(units, **chosen), project(Counted(), photos, units, **options, **chosen))
    assert_same(prepared.project(units[::-1]), project(Counted(), photos, units[::-1], **options))
    assert model.passes == 1


def test_outputs_are_what_the_model_gives_by_itself():
    model, photos = Counted().eval(), images(2)
    prepared = prepare(model, photos, LAYERS)
    seen = {}
    handles = [
        getattr(model, layer).register_forward_hook(lambda _m, _i, out, layer=layer: seen.update({layer: out.clone()}))
        for layer in LAYERS
    ]
    with torch.inference_mode():
        answer = model(photos)
    for handle in handles:
        handle.remove()
    assert list(prepared.outputs) == list(prepared.layers) == list(LAYERS)
    for layer in LAYERS:
        assert torch.equal(prepared.outputs[layer], seen[layer])
        assert not prepared.outputs[layer].requires_grad
    assert torch.equal(prepared.output, answer)
    assert not prepared.output.requires_grad
    with pytest.raises(TypeError):
        prepared.outputs["conv1"] = photos  # type: ignore[index]


def test_a_layer_asked_for_alone_still_gives_the_final_output():
    model, photos = Counted().eval(), images()
    prepared = prepare(model, photos, ["conv1"])
    with torch.inference_mode():
        assert torch.equal(prepared.output, model(photos))
    assert_same(prepared.project(["conv1:2"]), project(model, photos, ["conv1:2"]))


def test_strongest_units_by_hand():
    class Given(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.flat = nn.Conv2d(1, 4, 1, bias=False), nn.Flatten()
            self.first.weight.data = torch.tensor([1.0, -1.0, 1.0, 2.0]).view(4, 1, 1, 1)

        def forward(self, x):
            return self.flat(self.first(x))

    photos = torch.zeros(2, 1, 2, 3)
    photos[0] = torch.tensor([[1.0, 3.0, 0.0], [3.0, 0.0, 1.0]])
    photos[1, 0, 1, 2] = -5.0
    prepared = prepare(Given(), photos, ["first", "flat"])
    assert list(map(str, prepared.strongest("first", 9))) == ["first:3@0,1", "first:0@0,1", "first:2@0,1"]
    assert list(map(str, prepared.strongest("first", 2))) == ["first:3@0,1", "first:0@0,1"]
    assert list(map(str, prepared.strongest("first", 9, active=False)))[3:] == ["first:1@0,0"]
    assert list(map(str, prepared.strongest("first", 9, 1))) == ["first:1@1,2"]
    # flat is channel, row, column: 6 a channel
    assert list(map(str, prepared.strongest("flat", 3))) == ["flat:19", "flat:21", "flat:1"]
    assert len(prepared.strongest("flat", 99, active=False)) == 24


def test_photos_that_have_to_do_with_each_other_go_alone():
    model, photos = Coupling(), images(3)
    prepared = prepare(model, photos, ["conv2"])
    assert model.passes == 4  # one showed that they do
    for photo in range(3):
        alone = project(Coupling(), photos[[photo]], ["conv2:1"])
        np.testing.assert_array_equal(prepared.project(["conv2:1"], photos=[photo]).pixels, alone.pixels)
    assert prepared.output.shape == (3, 5)
    assert_same(prepared.project(["conv2:1"]), project(Coupling(), photos, ["conv2:1"]))


def test_a_model_that_fails_after_the_layers_still_projects():
    prepared = prepare(Failing(), images(), ["conv2"])
    assert_same(prepared.project(["conv2:1"]), project(Failing(), images(), ["conv2:1"]))
    with pytest.raises(ModelError, match="does not run on photos of 3 x 31 x 31"):
        _ = prepared.output


def test_the_model_is_as_it_was_and_questions_change_nothing():
    model = Counted().train()
    model.conv1.weight.requires_grad_(False)
    model.conv1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    prepared = prepare(model, images(), LAYERS)
    modes = [module.training for module in model.modules()]
    assert modes == [name != "conv1" for name, _ in model.named_modules()]
    with torch.inference_mode():
        first = prepared.project(["conv2:1", "conv1:0"])
    second = prepared.project(["conv2:1", "conv1:0"])
    assert_same(first, second)
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not torch_module._global_forward_hooks
    assert not torch_module._global_forward_pre_hooks
    assert torch.is_grad_enabled()


def test_memory_is_released_when_it_is_dropped():
    model = Counted()
    gc.collect()
    gc.disable()
    try:
        prepared = prepare(model, images(), LAYERS, rule="guided", lrn="grad")
        prepared.project(["conv2:1", "head:0"])
        kept = [weakref.ref(each) for each in prepared._passes[0].outputs.values()]
        kept += [weakref.ref(prepared._passes[0].leaf), weakref.ref(prepared._passes[0].mode)]
        assert all(each() is not None for each in kept)
        del prepared
        assert [each() for each in kept] == [None] * len(kept)
    finally:
        gc.enable()


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.gate, self.head = nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 2, 3)

    def forward(self, x):
        return self.head(self.gate(self.conv(x)))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"layers": ["conv11"]}, UnknownNameError, "did you mean conv1"),
        ({"layers": []}, OptionError, "there is no layer to prepare"),
        ({"rule": "magic"}, OptionError, "there is no rule 'magic'"),
        ({"inactive": "project"}, OptionError, 'seed="one"'),
        ({"batch_size": 0}, OptionError, "too small"),
        ({"inputs": torch.zeros(3, 31, 31)}, OptionError, "are not photos"),
        ({"inputs": torch.full((1, 3, 31, 31), torch.nan)}, ModelError, "photo 0 holds NaN"),
        ({"inputs": torch.zeros(1, 3, 2, 2)}, ModelError, "does not run on photos of 3 x 2 x 2"),
        ({"inputs": [images(), images()]}, ModelError, "does not take 2 inputs"),
        ({"model": Gated(), "layers": ["head"]}, ModelError, "neither linear nor a ReLU"),
        ({"model": torch.jit.script(nn.Sequential(nn.ReLU()))}, ModelError, "scripted or traced"),
    ],
)
def test_refusals_before_the_first_question(change, error, words):
    given = {"model": Counted(), "inputs": images(), "layers": ["conv1"], **change}
    with pytest.raises(error, match=words):
        prepare(given.pop("model"), given.pop("inputs"), given.pop("layers"), **given)
    assert not torch_module._global_forward_hooks


def test_a_step_behind_the_layers_is_not_refused():
    model, photos = Gated(), images()
    assert_same(prepare(model, photos, ["conv"]).project(["conv:1"]), project(model, photos, ["conv:1"]))


def test_refused_questions():
    prepared = prepare(Counted(), images(2), ["conv1", "head"])
    for units, error, words in (
        (["conv2:1"], UnknownNameError, "conv2"),
        (["conv1:8"], UnitError, "channels are 0 to 7"),
        (["head:1@0,0"], UnitError, "has a position"),
        ("conv1:1", UnitError, "is one unit"),
        ([], OptionError, "there is no unit"),
    ):
        with pytest.raises(error, match=words):
            prepared.project(units)
    with pytest.raises(OptionError, match="outside the batch"):
        prepared.project(["conv1:1"], photos=[2])
    for call, words in (
        (("conv1", 0), "count must be at least 1"),
        (("conv2", 1), "conv2"),
        (("conv1", 1, 2), "there is no photo 2"),
    ):
        with pytest.raises(DeconvnetError, match=words):
            prepared.strongest(*call)


def test_changed_weights_are_never_used_silently():
    model = Counted()
    prepared = prepare(model, images(), ["conv2"], windows=False)
    with torch.no_grad():
        model.conv2.weight.add_(1)
    with pytest.raises(ModelError, match="autograd does not come down"):
        prepared.project(["conv2:1"])
