"""Which units are projected for which photos, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.errors import DeconvnetError, ModelError, OptionError, UnitError, UnknownNameError
from deconvnet.geometry import Box
from deconvnet.projection import project
from deconvnet.runs import Unit


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv1 = nn.Conv2d(2, 6, 5, stride=2, padding=1)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5)
        self.conv2 = nn.Conv2d(6, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(5, 4)
        self.unused = nn.Conv2d(1, 1, 1)
        self.split = Two()
        self.tokens = nn.Flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        x = self.norm1(self.pool1(x))
        x = self.relu(self.conv2(x))
        self.tokens(x)
        self.split(x)
        return F.softmax(self.fc(x.amax((2, 3))), 1)


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


PHOTOS = torch.randn((5, 2, 22, 19), generator=torch.Generator().manual_seed(8))


def test_unit_major_order_and_one_by_one_answers() -> None:
    units = ["conv2:1", "conv2:4@1,2", "fc:2", "conv1:0", "pool1:3"]
    together = project(Net(), PHOTOS, units)
    assert len(together) == 25
    assert together.photos == (0, 1, 2, 3, 4) * 5
    assert [str(unit).split("@")[0] for unit in together.units[::5]] == [
        "conv2:1",
        "conv2:4",
        "fc:2",
        "conv1:0",
        "pool1:3",
    ]
    assert together.units[5:10] == (Unit("conv2", 4, (1, 2)),) * 5
    for index, (unit, photo) in enumerate(zip(together.units, together.photos, strict=True)):
        alone = project(Net(), PHOTOS[photo : photo + 1], [unit])
        assert alone.units == (unit,)
        assert alone.active[0] == together.active[index]
        assert alone.boxes[0] == together.boxes[index]
        np.testing.assert_allclose(alone.activations[0], together.activations[index], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(alone.pixels[0], together.pixels[index], rtol=1e-4, atol=1e-6)


def test_a_different_unit_for_each_photo() -> None:
    units = [Unit("conv2", 0), "conv2:3", "fc:1", "conv2:2", "conv1:5", "conv2:0"]
    photos = [4, 0, 0, 2, 2, 1]
    found = project(Net(), PHOTOS, units, photos=photos)
    assert found.photos == tuple(photos)
    everything = project(Net(), PHOTOS, units)
    for index, photo in enumerate(photos):
        same = index * 5 + photo
        assert found.units[index] == everything.units[same]
        assert found.active[index] == everything.active[same]
        np.testing.assert_allclose(found.pixels[index], everything.pixels[same], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batch_size_changes_nothing(batch_size: int) -> None:
    units = ["conv2:0", "fc:1", "conv1:2"]
    expected, found = project(Net(), PHOTOS, units), project(Net(), PHOTOS, units, batch_size=batch_size)
    assert found.units == expected.units
    assert found.boxes == expected.boxes
    assert found.relus == expected.relus
    np.testing.assert_allclose(found.pixels, expected.pixels, rtol=1e-4, atol=1e-6)


def test_a_unit_that_is_not_active_projects_to_nothing() -> None:
    model = Net()
    with torch.no_grad():
        model.conv2.bias[1] = -100.0
        model.fc.bias[2] = -100.0
    for seed in ("activation", "one"):
        found = project(model, PHOTOS[:1], ["conv2:1", "fc:2", "conv1:0"], seed=seed)
        assert list(found.active) == [False, False, True]
        assert found.activations[0] < 0
        assert found.activations[1] < 0
        assert not found.pixels[:2].any()
        assert found.pixels[2].any()
        assert found.seed == seed


def test_of_equal_strongest_positions_the_first_is_taken() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    nn.init.ones_(model[0].weight)
    photo = torch.zeros(1, 1, 4, 5)
    photo[0, 0, [1, 1, 3], [3, 4, 0]] = 2.0
    assert project(model, photo, ["0:0"]).units[0].position == (1, 3)


def test_boxes_and_crops() -> None:
    found = project(Net(), PHOTOS[:1], ["conv1:0@0,0", "conv1:0@4,3", "fc:0", "conv2:1@4,3"])
    assert found.boxes[0] == Box(-1, -1, 4, 4)
    assert found.boxes[1] == Box(7, 5, 12, 10)
    assert found.boxes[2] == Box(0, 0, 22, 19)
    for index in (0, 1, 2, 3):
        box = found.boxes[index]
        assert box is not None
        crop = found.projection(index)
        assert crop.shape == (2, box.height, box.width)
        # Nothing of the projection lies outside the receptive field.
        assert np.isclose(np.abs(crop).sum(), np.abs(found.pixels[index]).sum())
    assert not found.projection(0)[:, 0].any()
    assert not found.projection(0)[:, :, 0].any()
    assert np.array_equal(found.projection(0)[:, 1:, 1:], found.pixels[0][:, :4, :4])


def test_what_was_done_is_recorded() -> None:
    found = project(Net(), PHOTOS[:1], ["fc:0"], rule="guided", unpool="mean", lrn="grad", activations="gradient")
    assert (found.rule, found.unpool, found.lrn, found.seed) == ("guided", "mean", "grad", "activation")
    assert found.activation_policy == "gradient"
    assert found.relus == (2,)


def test_a_module_that_ran_twice_gives_its_last_output() -> None:
    found = project(Net(), PHOTOS, ["relu:3"], batch_size=2)
    assert found.relus == (2,) * 5
    last = project(Net(), PHOTOS, ["conv2:3"], batch_size=2)
    assert last.active.any()
    assert [unit.position for unit in found.units] == [unit.position for unit in last.units]
    assert np.array_equal(found.pixels[last.active], last.pixels[last.active])


class OwnArithmetic(nn.LocalResponseNorm):
    def forward(self, input: Tensor) -> Tensor:
        total = F.avg_pool3d(F.pad(input.square().unsqueeze(1), (0, 0, 0, 0, 2, 2)), (5, 1, 1), stride=1).squeeze(1)
        return input / (self.k + self.alpha * total) ** self.beta


class OwnNode(nn.LocalResponseNorm):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, maps: Tensor) -> Tensor:
            ctx.save_for_backward(maps)
            return F.local_response_norm(maps, 5)

        @staticmethod
        def backward(ctx: Any, *signals: Tensor) -> Tensor:
            with torch.enable_grad():
                maps = ctx.saved_tensors[0].detach().requires_grad_()
                return torch.autograd.grad(F.local_response_norm(maps, 5), maps, signals[0])[0]

    def forward(self, input: Tensor) -> Tensor:
        return self.Function.apply(input)  # type: ignore[return-value]


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, 5)


@pytest.mark.parametrize("own", [OwnArithmetic, OwnNode, Functional])
@pytest.mark.parametrize("lrn", ["identity", "grad"])
def test_every_lrn_is_lrn(own: type[nn.Module], lrn: str) -> None:
    model = Net()
    usual = Net()
    model.norm1 = {OwnArithmetic: OwnArithmetic(5, alpha=3.0), OwnNode: OwnNode(5), Functional: Functional()}[own]
    usual.norm1 = nn.LocalResponseNorm(5, alpha=getattr(model.norm1, "alpha", 1e-4))
    found, expected = (project(each, PHOTOS, ["conv2:1"], lrn=lrn) for each in (model, usual))
    np.testing.assert_allclose(found.pixels, expected.pixels, rtol=1e-4, atol=1e-6)
    assert found.boxes == expected.boxes
    assert found.boxes[0] is not None


def test_an_autograd_function_of_the_models_own_is_refused_by_its_layer() -> None:
    class Square(nn.Module):
        class Function(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, maps: Tensor) -> Tensor:
                return maps.square()

        def forward(self, x: Tensor) -> Tensor:
            return self.Function.apply(x)  # type: ignore[return-value]

    model = nn.Sequential(nn.Conv2d(2, 3, 3), Square(), nn.Conv2d(3, 3, 3))
    with pytest.raises(ModelError, match="layer '1' applies an autograd function of its own, Function,"):
        project(model, PHOTOS, ["2:0"])


def test_half_precision_and_photos_of_another_precision() -> None:
    def small() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(6, 4, 3))

    expected = project(small(), PHOTOS, ["3:1"])
    places = expected.units
    half = project(small().to(torch.bfloat16), PHOTOS, places, photos=range(5))
    assert half.pixels.dtype == np.float32
    assert np.corrcoef(half.pixels.ravel(), expected.pixels.ravel())[0, 1] > 0.95
    wide = project(small().double(), PHOTOS, places, photos=range(5))
    assert wide.pixels.dtype == np.float64
    np.testing.assert_allclose(wide.pixels, expected.pixels, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("units", "error", "message"),
    [
        (["conv9:0"], UnknownNameError, "there is no layer 'conv9': did you mean conv"),
        ([Unit("", 0)], UnknownNameError, "there is no layer ''"),
        (["conv1"], UnitError, "is not a unit"),
        (["conv2:5"], UnitError, r"unit conv2:5 is outside its layer, whose shape is 5 x 5 x 4 .*channels are 0 to 4"),
        (["fc:4"], UnitError, "unit fc:4 is outside its layer, whose shape is 4 "),
        (["conv1:0@10,0"], UnitError, "rows are 0 to 9, columns 0 to 8"),
        (["conv1:0@0,9"], UnitError, "rows are 0 to 9, columns 0 to 8"),
        (["fc:0@0,0"], UnitError, "has a position, but its layer, of 4 units, has none"),
        (["unused:0"], ModelError, "layer 'unused' did not run"),
        (["split:0"], ModelError, "layer 'split' gives a tuple"),
        (["tokens:0"], ModelError, r"layer 'tokens' gives a tensor of shape \(5, 5, 20\)"),
        ([], OptionError, "there is no unit to project"),
    ],
)
def test_units_that_are_refused(units: list[Unit | str], error: type[DeconvnetError], message: str) -> None:
    with pytest.raises(error, match=message):
        project(Net(), PHOTOS, units)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "deconv"}, "there is no rule 'deconv'"),
        ({"unpool": "max"}, "unpool='max' is not known: choose from sum, place, mean"),
        ({"lrn": "skip"}, "lrn='skip'"),
        ({"seed": 2.0}, "seed=2.0"),
        ({"activations": "ignore"}, "activations='ignore'"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"photos": [0, 1]}, "photos has length 2 and units has length 1"),
        ({"photos": [5]}, "photo 5 is outside the batch"),
        ({"photos": [-1]}, "photo -1 is outside the batch"),
    ],
)
def test_options_that_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        project(Net(), PHOTOS, ["conv1:0"], **options)  # type: ignore[arg-type]


def test_numbers_that_are_refused() -> None:
    for shape in ((2, 22, 19), (0, 2, 22, 19)):
        with pytest.raises(OptionError, match="are not photos"):
            project(Net(), torch.zeros(shape), ["conv1:0"])
    with pytest.raises(OptionError, match="are not photos"):
        project(Net(), torch.zeros(1, 2, 22, 19, dtype=torch.uint8), ["conv1:0"])
    photos = PHOTOS.clone()
    photos[3, 0, 4, 4] = torch.nan
    with pytest.raises(ModelError, match="photo 3 holds NaN"):
        project(Net(), photos, ["conv1:0"], batch_size=2)
    model = Net()
    with torch.no_grad():
        model.conv2.weight[0, 0, 0, 0] = torch.nan
    assert project(model, PHOTOS, ["conv1:0"]).active.all()
    with pytest.raises(ModelError, match="layer 'conv2' gives NaN or infinite activations for photo 0"):
        project(model, PHOTOS, ["conv2:1"])


def test_a_layer_that_autograd_cannot_reach_is_refused() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv2(self.conv1(x).detach())

    assert project(Cut(), PHOTOS, ["conv1:0"]).active.any()
    with pytest.raises(ModelError, match="layer 'conv2' does not depend on the pixels"):
        project(Cut(), PHOTOS, ["conv2:0"])
