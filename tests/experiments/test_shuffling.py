"""The control network: the same numbers in another order."""

from __future__ import annotations

import pytest
import torch

from deconvnet.errors import OptionError
from deconvnet.experiments.responses import paper_layers
from deconvnet.experiments.shuffling import shuffled


def test_the_same_numbers_elsewhere(small_network):
    before = small_network.fingerprint
    control = shuffled(small_network)
    assert small_network.fingerprint == before
    own, other = (network.module.state_dict() for network in (small_network, control))
    assert own.keys() == other.keys()
    for name, tensor in own.items():
        assert torch.equal(tensor.flatten().sort().values, other[name].flatten().sort().values), name
        assert torch.equal(tensor, other[name]) == name.endswith("bias"), name
    assert shuffled(small_network).fingerprint == control.fingerprint
    assert shuffled(small_network, seed=1).fingerprint != control.fingerprint
    assert control.title == "zfnet, weights shuffled"
    assert paper_layers(control) == paper_layers(small_network)
    with pytest.raises(OptionError, match="at least 0"):
        shuffled(small_network, seed=-1)
