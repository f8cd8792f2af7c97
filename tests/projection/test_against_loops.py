"""The engine against the paper's sentences as plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.reference import deconvnet_loops as loops
from torch import nn

from deconvnet.errors import OptionError
from deconvnet.projection import project


def net(dtype: torch.dtype) -> nn.Sequential:
    """Two convolutions with overlapping pools and LRN, a third, and a classifier; 20 x 20 pixels."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=1, padding=1),  # 18
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),  # 9
        nn.LocalResponseNorm(3, alpha=2.0, beta=0.75, k=1.0),
        nn.Conv2d(6, 8, 3, stride=2),  # 4
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 1, padding=1),  # 4
        nn.Conv2d(8, 5, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(80, 4),
    ).to(dtype)


def as_loops(model: nn.Sequential) -> list[Any]:
    def array(tensor: torch.Tensor | None) -> loops.Array:
        assert tensor is not None
        return tensor.detach().double().numpy()

    layers: list[Any] = []
    for layer in model:
        match layer:
            case nn.Conv2d():
                stride, padding = layer.stride[0], layer.padding[0]
                assert isinstance(padding, int)
                layers.append(loops.Conv(array(layer.weight), array(layer.bias), stride, padding))
            case nn.ReLU():
                layers.append(loops.Relu())
            case nn.MaxPool2d():
                layers.append(loops.MaxPool(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode))
            case nn.LocalResponseNorm():
                layers.append(loops.Lrn(layer.size, layer.alpha, layer.beta, layer.k))
            case nn.Flatten():
                layers.append(loops.Flatten())
            case nn.Linear():
                layers.append(loops.Linear(array(layer.weight), array(layer.bias)))
    return layers


def photo(dtype: torch.dtype) -> torch.Tensor:
    return torch.randn((1, 3, 20, 20), generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("lrn", ["identity", "grad"])
@pytest.mark.parametrize("unpool", ["sum", "place", "mean"])
@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
def test_every_option_equals_the_loops(rule: str, unpool: str, lrn: str) -> None:
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        model = net(dtype)
        found = project(model, photo(dtype), ["8:1"], rule=rule, unpool=unpool, lrn=lrn)
        row, column = found.units[0].position or (0, 0)
        pixels = photo(torch.float64)[0].numpy() if dtype == torch.float64 else photo(dtype)[0].double().numpy()
        expected = loops.project(as_loops(model), pixels, 9, (1, row, column), rule=rule, unpool=unpool, lrn=lrn)
        assert np.abs(expected).max() > 1e-6
        assert np.abs(found.pixels[0] - expected).max() <= tolerance * np.abs(expected).max()
        assert found.pixels.dtype == (np.float64 if dtype == torch.float64 else np.float32)


@pytest.mark.parametrize("layer", range(11))
def test_every_layer_equals_the_loops(layer: int) -> None:
    model, image = net(torch.float64), photo(torch.float64)
    layers = as_loops(model)
    activations = loops.forward(layers, image[0].numpy())[layer + 1]
    strongest = np.unravel_index(np.argmax(activations), activations.shape)
    cell = tuple(int(axis) for axis in strongest)
    place = f"@{cell[1]},{cell[2]}" if len(cell) == 3 else ""
    for seed in ("activation", "one"):
        found = project(model, image, [f"{layer}:{cell[0]}{place}"], seed=seed)
        expected = loops.project(layers, image[0].numpy(), layer + 1, cell, seed=seed)
        assert found.activations[0] == pytest.approx(activations[cell], abs=1e-12)
        assert np.abs(found.pixels[0] - expected).max() <= 1e-9 * np.abs(expected).max()
        # Without a position, the map's strongest one is taken.
        again = project(model, image, [f"{layer}:{cell[0]}"], seed=1.0 if seed == "one" else seed)
        assert again.units == found.units
        assert np.array_equal(again.pixels, found.pixels)


def test_overlapping_pools_share_switches_here() -> None:
    """Otherwise the three ways of unpooling could not be told apart."""
    results = [
        project(net(torch.float64), photo(torch.float64), ["8:1"], unpool=way) for way in ("sum", "place", "mean")
    ]
    for i in range(3):
        for j in range(i):
            assert np.abs(results[i].pixels - results[j].pixels).max() > 1e-3 * np.abs(results[i].pixels).max()


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
def test_a_unit_that_is_not_active_is_projected_if_asked_for(rule: str, windows: bool) -> None:
    model, image = net(torch.float64), photo(torch.float64)
    layers = as_loops(model)
    for layer in (4, 5, 7, 10):
        activations = loops.forward(layers, image[0].numpy())[layer + 1]
        cell = tuple(int(axis) for axis in np.unravel_index(np.argmin(activations), activations.shape))
        assert activations[cell] <= 0
        unit = f"{layer}:{cell[0]}" + (f"@{cell[1]},{cell[2]}" if len(cell) == 3 else "")
        options = {"rule": rule, "windows": windows, "seed": "one"}
        found = project(model, image, [unit], **options, inactive="project")
        expected = loops.project(layers, image[0].numpy(), layer + 1, cell, rule=rule, seed="one", inactive="project")
        assert np.abs(expected).max() > 1e-6 or (layer == 5 and rule != "deconvnet")  # the ReLU's own mask
        assert np.abs(found.pixels[0] - expected).max() <= 1e-9 * np.abs(expected).max()
        assert list(found.active) == [False]
        assert found.inactive == "project"
        assert found.windowed[0] == (windows and layer < 10)
        assert not project(model, image, [unit], **options).pixels.any()


def test_a_unit_that_is_not_active_is_projected_on_cropped_photos_too() -> None:
    """Of several photos the later ones are computed on windows alone."""
    model = net(torch.float64)
    several = torch.randn((5, 3, 20, 20), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    layers = as_loops(model)
    maps = [loops.forward(layers, each.numpy())[5][:, 2, 1] for each in several]
    units = [f"4:{int(np.argmin(values))}@2,1" for values in maps]
    every = project(model, several, units, photos=range(5), seed="one", inactive="project")
    assert not every.active.any()
    assert every.windowed.all()
    assert not project(model, several, units, photos=range(5), seed="one").pixels.any()
    for index, unit in enumerate(every.units):
        cell = (unit.channel, 2, 1)
        expected = loops.project(layers, several[index].numpy(), 5, cell, seed="one", inactive="project")
        assert np.abs(every.pixels[index] - expected).max() <= 1e-9 * np.abs(expected).max()


def test_nothing_to_start_from_is_refused() -> None:
    with pytest.raises(OptionError, match='give seed="one" too'):
        project(net(torch.float64), photo(torch.float64), ["4:1"], inactive="project")
    with pytest.raises(OptionError, match="inactive='all' is not known: choose from nothing, project"):
        project(net(torch.float64), photo(torch.float64), ["4:1"], seed="one", inactive="all")
