"""Captum as an oracle where it is right: every ReLU an nn.ReLU, no LRN."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from captum.attr import Deconvolution, GuidedBackprop
from torch import nn

from deconvnet.projection import project


def net(pool: nn.Module) -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), pool, nn.Conv2d(8, 12, 3, groups=2), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12 * 3 * 3, 10), nn.ReLU(), nn.Linear(10, 5),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, padding=1)], ids=["apart", "overlapping"])
@pytest.mark.parametrize(("rule", "oracle"), [("deconvnet", Deconvolution), ("guided", GuidedBackprop)])
def test_equals_captum(rule: str, oracle: type, pool: nn.Module) -> None:
    model = net(pool)
    photos = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        winners = model(photos).argmax(1)
    found = project(model, photos, [f"10:{int(w)}" for w in winners], photos=range(3), rule=rule, unpool="sum")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it sets hooks
        expected = oracle(model).attribute(photos.clone().requires_grad_(), target=winners).detach().numpy()
    expected = expected * found.activations[:, None, None, None]  # its seed is 1, ours the activation
    assert found.active.all()
    assert np.abs(found.pixels - expected).max() <= 1e-5 * np.abs(expected).max()
    ones = project(model, photos, [f"10:{int(w)}" for w in winners], photos=range(3), rule=rule, seed="one")
    np.testing.assert_allclose(ones.pixels * found.activations[:, None, None, None], expected, rtol=1e-4, atol=1e-6)
