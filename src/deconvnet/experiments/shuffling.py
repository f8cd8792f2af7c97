"""A network that has learned nothing, with the same sizes of weights: the control that a finding must differ from."""

from __future__ import annotations

import copy
import dataclasses

import torch

from deconvnet.errors import OptionError
from deconvnet.networks import Network


def shuffled(network: Network, seed: int = 0) -> Network:
    """A copy whose weights are in a random order, tensor by tensor; the given network stays as it is.

    Each weight tensor keeps its numbers, and so its mean, spread and share of zeros; biases and the statistics of
    normalisations keep their places.

    Parameters
    ----------
    network : Network
    seed : int
        0 or more.

    Returns
    -------
    Network
        Its name says so.

    Raises
    ------
    OptionError
        If the seed is negative.
    """
    if seed < 0:
        raise OptionError(f"seed must be at least 0, not {seed}.")
    generator = torch.Generator().manual_seed(seed)
    module = copy.deepcopy(network.module)
    with torch.no_grad():
        for weights in module.parameters():
            if weights.ndim > 1:
                order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
                weights.copy_(weights.flatten()[order].reshape(weights.shape))
    card = {key: value for key, value in network.card.items() if key != "title"}
    name = f"{network.title}, weights shuffled"
    return dataclasses.replace(network, name=name, module=module, card=card, address=network.address)
