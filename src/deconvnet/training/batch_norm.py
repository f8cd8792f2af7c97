"""Batch normalisation for the time of training only (Ioffe & Szegedy 2015), folded into the weights afterwards.

The paper's networks have none, and without it learn slowly from few photos. In evaluation a batch normalisation is one
factor and one shift a map, which the weights and biases before it can take over exactly: what is trained with it and
then folded is the paper's network, layer by layer.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


def with_batch_norm(module: nn.Module) -> nn.Sequential:
    """The network with a batch normalisation after every convolution and fully connected layer but the last.

    Parameters
    ----------
    module : nn.Module
        A network whose children run in order. Its layers are shared, not copied.

    Returns
    -------
    nn.Sequential
        The same children by the same names; after ``conv1`` comes ``conv1_bn``.
    """
    layers = [name for name, part in module.named_children() if isinstance(part, nn.Conv2d | nn.Linear)]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, part in module.named_children():
        parts[name] = part
        if isinstance(part, nn.Conv2d):
            parts[f"{name}_bn"] = nn.BatchNorm2d(part.out_channels)
        elif isinstance(part, nn.Linear) and name != layers[-1]:
            parts[f"{name}_bn"] = nn.BatchNorm1d(part.out_features)
    return nn.Sequential(parts)


@torch.no_grad()
def folded_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of the network without batch normalisation that answers as this one does in evaluation.

    Parameters
    ----------
    module : nn.Module
        What :func:`with_batch_norm` returned; a network without batch normalisation gives its own state.

    Returns
    -------
    dict of str to Tensor
        Copies, on the module's device.
    """
    state = {name: value.detach().clone() for name, value in module.state_dict().items() if "_bn." not in name}
    for name, norm in module.named_children():
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        layer = name.removesuffix("_bn")
        assert norm.running_var is not None
        assert norm.running_mean is not None
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
        state[f"{layer}.weight"] = weight * factor.view(-1, *[1] * (weight.ndim - 1))
        state[f"{layer}.bias"] = (bias - norm.running_mean) * factor + norm.bias
    return state
