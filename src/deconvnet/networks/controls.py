"""Networks to compare with: weights moved by noise, or shuffled."""

from __future__ import annotations

import copy
import dataclasses
import math

import torch

from deconvnet.errors import OptionError
from deconvnet.networks.network import Network


def with_weight_noise(network: Network, cosine: float, seed: int = 0) -> Network:
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


def with_shuffled_weights(network: Network, seed: int = 0) -> Network:
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
