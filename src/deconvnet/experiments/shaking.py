"""A network moved off its weights by noise, every layer as far: what a change alone does, without any training."""

from __future__ import annotations

import copy
import dataclasses
import math

import torch

from deconvnet.errors import OptionError
from deconvnet.networks import Network


def shaken(network: Network, cosine: float, seed: int = 0) -> Network:
    """A copy with noise added to each weight tensor, so that its cosine with what it was is the same in all.

    Parameters
    ----------
    network : Network
        Stays as it is.
    cosine : float
        Above 0, at most 1; the noise is at a right angle to the weights.
    seed : int
        0 or more.

    Returns
    -------
    Network
        Biases and the statistics of normalisations are as they were.

    Raises
    ------
    OptionError
        If an option is outside its range.
    """
    if not 0 < cosine <= 1:
        raise OptionError(f"cosine must be above 0 and at most 1, not {cosine}.")
    if seed < 0:
        raise OptionError(f"seed must be at least 0, not {seed}.")
    share = math.sqrt(1 / cosine**2 - 1)
    generator = torch.Generator().manual_seed(seed)
    module = copy.deepcopy(network.module)
    with torch.no_grad():
        for weights in module.parameters():
            length = weights.norm()
            if weights.ndim > 1 and weights.numel() > 1 and length > 0:
                noise = torch.randn(weights.shape, generator=generator).to(weights)
                noise -= weights * (noise * weights).sum() / length**2
                weights += share * length / noise.norm() * noise
    return dataclasses.replace(network, module=module)
