"""Noise that moves every layer's weights by the same angle."""

from __future__ import annotations

import pytest
import torch

from deconvnet.errors import OptionError
from deconvnet.networks.controls import with_weight_noise


def test_every_layer_is_turned_by_the_same_angle(small_network):
    before = small_network.fingerprint
    moved = with_weight_noise(small_network, 0.8, seed=3)
    assert small_network.fingerprint == before
    weights = dict(small_network.module.named_parameters())
    for name, value in moved.module.named_parameters():
        a, b = weights[name].detach().double().flatten(), value.detach().double().flatten()
        if value.ndim > 1:
            assert (a @ b / a.norm() / b.norm()).item() == pytest.approx(0.8, abs=1e-5)
        else:
            assert torch.equal(a, b)


def test_nothing_at_all_another_seed_and_refusals(small_network):
    assert with_weight_noise(small_network, 1.0).fingerprint == small_network.fingerprint
    assert with_weight_noise(small_network, 0.9).fingerprint == with_weight_noise(small_network, 0.9).fingerprint
    assert (
        with_weight_noise(small_network, 0.9).fingerprint != with_weight_noise(small_network, 0.9, seed=1).fingerprint
    )
    for cosine, seed in ((0, 0), (1.1, 0), (0.9, -1)):
        with pytest.raises(OptionError):
            with_weight_noise(small_network, cosine, seed)
