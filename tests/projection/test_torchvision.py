"""Photos of which only windows are computed, on torchvision's networks: the same as with whole maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deconvnet.projection import project
from deconvnet.runs import Unit

PLACES = {
    "resnet18": ("layer2.1.conv1", (6, 7)),
    "densenet121": ("features.denseblock2.denselayer3.conv2", (6, 7)),
    "googlenet": ("inception3b.branch3.1.conv", (5, 6)),
    "mnasnet0_5": ("layers.9.1.layers.6", (8, 7)),
    "shufflenet_v2_x0_5": ("stage2.2.branch2.5", (6, 7)),
    "squeezenet1_1": ("features.4.expand3x3", (7, 7)),
    "regnet_x_400mf": ("trunk_output.block2.block2-0.f.c.0", (6, 7)),
}


@pytest.mark.parametrize("name", PLACES)
def test_cropped_forward_passes(torchvision, name: str) -> None:
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    model = torchvision.models.get_model(name, weights=None, **options).double().eval()
    layer, (row, column) = PLACES[name]
    several = torch.randn(5, 3, 128, 128, dtype=torch.float64)
    units = [Unit(layer, i, (row - i % 2, column - i)) for i in range(5)]
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    found, expected = (
        project(model, several, units, photos=range(5), seed="one", inactive="project", windows=windows)
        for windows in (True, False)
    )
    assert sizes == [1, 5]  # one photo shows the way, the others are not run
    assert found.windowed.all()
    np.testing.assert_allclose(found.activations, expected.activations, rtol=1e-9, atol=1e-12)
    for index in range(5):
        largest = np.abs(expected.pixels[index]).max()
        assert largest > 0
        np.testing.assert_allclose(found.pixels[index], expected.pixels[index], rtol=0, atol=1e-10 * largest)
