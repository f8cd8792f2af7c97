"""Weights and optimizer state carried over: to another input size, and from a network to begin with."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.errors import OptionError
from deconvnet.networks import Network


def resample_fc6(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for the same network at another input size: fc6's filters are resampled to the new last map.

    Parameters
    ----------
    old, new : mapping of str to Tensor
        State of the trained network, and of one built for the new size (for its shapes).

    Returns
    -------
    dict of str to Tensor
        ``old``, with ``fc6.weight`` (or the first fully connected layer's) interpolated between positions and scaled so
        that a constant map gives the same response (exactly from a map of 1 or 2 cells or to a multiple, else nearly).
    """
    out = dict(old)
    for key, value in new.items():
        if old[key].shape == value.shape:
            continue
        channels = _channels_before(old, key)
        before, after = (math.isqrt(w.shape[1] // channels) for w in (old[key], value))
        filters = old[key].view(-1, channels, before, before)
        grown = F.interpolate(filters, size=(after, after), mode="bilinear", align_corners=False)
        out[key] = (grown * (before / after) ** 2).reshape(value.shape)
    return out


def _channels_before(state: Mapping[str, Tensor], key: str) -> int:
    """Maps of the last convolution before a fully connected layer."""
    channels = 0
    for name, value in state.items():
        if name == key:
            break
        if value.ndim == 4:
            channels = value.shape[0]
    return channels


def begin_with(module: nn.Module, start: Network, classes: tuple[str, ...]) -> None:
    """Take over trained weights; the last layer only if it tells the same classes apart."""
    fresh = module.state_dict()
    trained = dict(start.module.state_dict())
    if start.classes != classes:
        last = [name for name in fresh if name.endswith(".weight")][-1].removesuffix("weight")
        trained.update({name: value for name, value in fresh.items() if name.startswith(last)})
    if fresh.keys() != trained.keys():
        raise OptionError(f"the weights to begin with need the options {dict(start.options)} of {start.name}.")
    module.load_state_dict(resample_fc6(trained, fresh))


def carry_state(
    old: nn.Module, old_optimizer: torch.optim.Optimizer, new: nn.Module, new_optimizer: torch.optim.Optimizer
) -> None:
    """Keep the optimizer's averages for all weights whose shape stayed."""
    for before, after in zip(old.parameters(), new.parameters(), strict=True):
        if before.shape == after.shape and before in old_optimizer.state:
            new_optimizer.state[after] = old_optimizer.state[before]
