"""Models that take several tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import deconvnet
from deconvnet.errors import ModelError, OptionError
from deconvnet.geometry import Box
from deconvnet.projection import project
from deconvnet.runs import Unit


class TwoBranches(nn.Module):
    """A photo and a depth map; a number scales the joined maps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.photo, self.depth = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(1, 5, 5, padding=2)
        self.joined = nn.Conv2d(9, 6, 3)
        self.score = nn.Linear(6, 3)

    def forward(self, photo: Tensor, depth: Tensor, factor: Tensor | None = None) -> Tensor:
        x = torch.cat([self.photo(photo).relu(), self.depth(depth).relu()], 1)
        if factor is not None:
            x = x * factor.view(-1, 1, 1, 1)
        return self.score(self.joined(F.max_pool2d(x, 2)).relu().mean((2, 3)))


PHOTO = torch.randn((4, 3, 16, 18), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
DEPTH = torch.randn((4, 1, 16, 18), generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def by_hand(model: TwoBranches, number: int, unit: Unit, onto: int) -> np.ndarray:
    """The deconvnet's steps one after the other (Sec. 2.1), from one joined map to one input."""
    photo, depth = PHOTO[number : number + 1], DEPTH[number : number + 1]
    with torch.no_grad():
        maps = torch.cat([model.photo(photo).relu(), model.depth(depth).relu()], 1)
        pooled, switches = F.max_pool2d(maps, 2, return_indices=True)
        top = model.joined(pooled)
        assert unit.position is not None
        signal = torch.zeros_like(top)
        signal[0, unit.channel, unit.position[0], unit.position[1]] = 1.0
        signal = F.conv_transpose2d(signal, model.joined.weight)
        signal = F.max_unpool2d(signal, switches, 2, output_size=maps.shape[2:])
        signal = signal[:, :4] if onto == 0 else signal[:, 4:]
        layer, padding = (model.photo, 1) if onto == 0 else (model.depth, 2)
        return F.conv_transpose2d(signal.relu(), layer.weight, padding=padding)[0].numpy()


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("onto", [0, 1])
def test_each_input_has_its_own_picture(onto: int, windows: bool) -> None:
    model = TwoBranches().double()
    units = [Unit("joined", channel, (channel, 2)) for channel in range(4)]
    options: dict[str, Any] = {"seed": "one", "inactive": "project", "windows": windows, "onto": onto}
    found = project(model, (PHOTO, DEPTH), units, photos=range(4), **options)
    assert found.onto == onto
    assert found.image == ((3, 16, 18), (1, 16, 18))[onto]
    assert found.windowed.all() == windows
    assert found.boxes[1] == (Box(1, 3, 9, 11), Box(0, 2, 10, 12))[onto]
    for number, unit in enumerate(units):
        expected = by_hand(model, number, unit, onto)
        assert np.abs(expected).max() > 1e-3
        assert np.abs(found.pixels[number] - expected).max() <= 1e-12 * np.abs(expected).max()


def test_the_other_input_plays_its_part() -> None:
    """The unit's value and switches depend on it, row by row, also in a batch of other order."""
    model = TwoBranches().double()
    factor = torch.tensor([1.0, 2.0, -3.0, 0.5])  # of another precision
    units = ["score:0", "joined:3@2,2"]
    found = project(model, [PHOTO, DEPTH, factor], units, seed="one", inactive="project", rule="gradient")
    for index, (unit, number) in enumerate(zip(found.units, found.photos, strict=True)):
        pixels = PHOTO[number : number + 1].clone().requires_grad_()
        outputs: list[Tensor] = []
        handle = model.get_submodule(unit.layer).register_forward_hook(lambda _m, _i, out, to=outputs: to.append(out))
        model(pixels, DEPTH[number : number + 1], factor[number : number + 1].double())
        handle.remove()
        value = outputs[0][(0, unit.channel, *(unit.position or ()))]
        assert found.activations[index] == pytest.approx(value.item())
        (expected,) = torch.autograd.grad(value, pixels)
        np.testing.assert_allclose(found.pixels[index], expected[0].numpy(), atol=1e-12)


def test_several_photos_with_places_are_not_cropped_by_the_first_ones_other_input() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.first, self.second = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor, gates: Tensor) -> Tensor:
            return self.second((self.first(x) * gates[:, :, None, None]).relu())

    model, gates = Gated().double(), torch.rand((5, 3), dtype=torch.float64) + 0.1
    pixels = torch.randn((5, 1, 30, 30), dtype=torch.float64)
    units = [Unit("second", 0, (3, 3))] * 5
    options: dict[str, Any] = {"photos": range(5), "seed": "one", "inactive": "project", "batch_size": 1}
    found = project(model, (pixels, gates), units, **options)
    for number in range(5):
        one = slice(number, number + 1)
        alone = project(model, (pixels[one], gates[one]), units[:1], seed="one", inactive="project", windows=False)
        np.testing.assert_allclose(found.pixels[number], alone.pixels[0], atol=1e-12)
        np.testing.assert_allclose(found.activations[number], alone.activations[0], atol=1e-12)


class Constants(nn.Module):
    """Concatenates constants with maps, on either side, and between."""

    def __init__(self, where: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second, self.where = nn.Conv2d(1, 3, 3), nn.Conv2d(8, 2, 3), where

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        one, two = (torch.ones((len(x), count, *x.shape[2:])).to(x) for count in (1, 4))
        order = {"before": [one, two, x], "after": [x, two, one], "around": [one, x, two]}
        return self.second(torch.cat(order[self.where], 1))


@pytest.mark.parametrize(("where", "windowed"), [("before", True), ("after", True), ("around", False)])
def test_constants_in_a_concatenation(where: str, windowed: bool) -> None:
    model, pixels = Constants(where).double(), torch.randn((2, 1, 20, 20), dtype=torch.float64)
    units = [Unit("second", 1, (r, c)) for r, c in ((0, 0), (4, 5), (15, 2))]
    options: dict[str, Any] = {"seed": "one", "inactive": "project"}
    found, expected = project(model, pixels, units, **options), project(model, pixels, units, **options, windows=False)
    assert found.windowed.all() == windowed
    np.testing.assert_allclose(found.pixels, expected.pixels, atol=1e-13)


def test_whole_numbers_as_another_input_and_the_public_door() -> None:
    class Prompted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.conv = nn.Embedding(5, 4), nn.Conv2d(3, 4, 3)

        def forward(self, index: Tensor, x: Tensor) -> Tensor:
            return self.conv(x).relu() + self.table(index)[:, :, None, None]

    model = nn.Sequential()
    model.add_module("inner", Prompted())
    inner = model.get_submodule("inner")
    index = torch.tensor([4, 0, 1, 1])
    found = deconvnet.project(inner, (index, PHOTO), ["conv:1"], onto=1)
    assert found.pixels.any()
    assert found.onto == 1


def test_refusals() -> None:
    model = TwoBranches().double()
    for inputs, onto, message in (
        ((PHOTO, DEPTH), 2, "onto=2 is no input: the model is given 2"),
        ((PHOTO, DEPTH), -1, "onto=-1 is no input"),
        (PHOTO, 1, "onto=1 is no input: the model is given 1"),
        ((PHOTO, DEPTH[:3]), 0, r"\(4, 3, 16, 18\) and \(3, 1, 16, 18\) do not go together"),
        ((PHOTO, torch.tensor(1.0)), 0, "do not go together"),
        ((PHOTO, DEPTH, torch.ones(4)), 2, "are not photos"),
        ((PHOTO, 3), 0, "inputs hold a int: give a float tensor"),
        ((), 0, "inputs hold a NoneType"),
        ({"photo": PHOTO}, 0, "inputs hold a dict"),
    ):
        with pytest.raises(OptionError, match=message):
            project(model, inputs, ["joined:0"], onto=onto)  # type: ignore[arg-type]
    for inputs, message in (
        (PHOTO, r"forward does not take one input \(missing a required argument: 'depth'\)"),
        ((PHOTO, DEPTH, DEPTH, DEPTH), r"forward does not take 4 inputs \(too many positional arguments\)"),
    ):
        with pytest.raises(ModelError, match=message):
            project(model, inputs, ["joined:0"])
    with pytest.raises(ModelError, match=r"layer 'depth' does not depend on the pixels .* choose the input with onto="):
        project(model, (PHOTO, DEPTH), ["depth:0"])
    assert project(model, (PHOTO, DEPTH), ["depth:0"], onto=1).active.any()
    broken = DEPTH.clone()
    broken[2, 0, 0, 0] = torch.nan
    with pytest.raises(ModelError, match="another input of photo 2 holds NaN"):
        project(model, (PHOTO, broken), ["joined:0"])
