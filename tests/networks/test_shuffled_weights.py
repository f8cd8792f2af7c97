"""The control network: the same numbers in another order."""

from __future__ import annotations

import pytest
import torch

from deconvnet.errors import OptionError
from deconvnet.features.responses import paper_layers
from deconvnet.networks.controls import with_shuffled_weights


def test_the_same_numbers_elsewhere(small_network):
    before = small_network.fingerprint
    control = with_shuffled_weights(small_network)
    assert small_network.fingerprint == before
    own, other = (network.module.state_dict() for network in (small_network, control))
    assert own.keys() == other.keys()
    for name, tensor in own.items():
        assert torch.equal(tensor.flatten().sort().values, other[name].flatten().sort().values), name
        assert torch.equal(tensor, other[name]) == name.endswith("bias"), name
    assert with_shuffled_weights(small_network).fingerprint == control.fingerprint
    assert with_shuffled_weights(small_network, seed=1).fingerprint != control.fingerprint
    assert control.title == "zfnet, weights shuffled"
    assert paper_layers(control) == paper_layers(small_network)
    with pytest.raises(OptionError, match="at least 0"):
        with_shuffled_weights(small_network, seed=-1)
