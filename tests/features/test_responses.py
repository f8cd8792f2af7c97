"""Feature vectors of layers, as the modules gave them."""

from __future__ import annotations

import pytest
import torch

import deconvnet
from deconvnet.errors import ModelError
from deconvnet.experiments.correspondence.measure import _signs
from deconvnet.features.responses import responses


def test_before_a_relu_that_writes_over_it(torchvision):
    network = deconvnet.load("torchvision:resnet18", input_size=64)
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found, scores = responses(network, batch, ["bn1", "relu"])  # its ReLU works in place
    with torch.inference_mode():
        maps = network.module.bn1(network.module.conv1(batch)).flatten(1)
        assert torch.allclose(found["bn1"], maps, atol=1e-5)
        assert (found["bn1"] < -0.1).any()
        assert torch.allclose(found["relu"], maps.relu(), atol=1e-5)
        assert torch.allclose(scores, network.module(batch), atol=1e-4)


def test_layers_without_a_feature_vector(small_network):
    class Pair(torch.nn.Module):
        def forward(self, x):
            return x, x

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.unused, self.log = Pair(), torch.nn.ReLU(), torch.nn.Identity()

        def forward(self, x):
            return self.log(self.pair(x)[0].log()).flatten(1)

    network = deconvnet.Network("model", Model(), small_network.preprocessing, ())
    batch = -torch.ones(1, 3, 64, 64)
    for layer, part in (("pair", "no floating-point tensor"), ("unused", "does not run"), ("log", "NaN or infinity")):
        with pytest.raises(ModelError, match=part):
            responses(network, batch, [layer])
    assert not network.module.pair._forward_hooks


def test_rounding_is_no_change():
    whole = torch.tensor([[2.0, 1.0, 0.5, 0.0, 0.3]])
    masked = whole + torch.tensor([[0.0, 1e-6, -1e-6, 1e-4, -0.1]])
    assert _signs(whole, masked).tolist() == [[0, 0, 0, -1, 1]]
