"""Where a network's stages end: the outputs that stand for "layer 1, layer 2, ..." of the papers."""

from __future__ import annotations

from torch import nn

from deconvnet.errors import OptionError
from deconvnet.networks import LayerRow, Network
from deconvnet.networks.layers import layer_rows

_PASSING = nn.Dropout | nn.Dropout2d | nn.Flatten | nn.Identity | nn.ZeroPad2d  # give on what they got
_FOLLOWING = nn.BatchNorm2d | nn.BatchNorm1d | nn.LayerNorm | nn.GroupNorm | nn.PReLU  # have weights and start nothing


def stage_ends(network: Network) -> tuple[LayerRow, ...]:
    """The last output of each stage but the class scores.

    A stage starts at each convolution, linear layer or block that holds some, and goes on through the activation, pool
    and normalisation that follow: in ZFNet norm1, norm2, relu3, relu4, pool5, relu6 and relu7. Plain sequences are
    opened; blocks of other kinds count as one.

    Raises
    ------
    OptionError
        If there is none; layers must then be named.
    """
    parts = dict(network.module.named_modules(remove_duplicate=False))
    ends: list[LayerRow] = []
    for row in layer_rows(network):
        part = parts[row.name]
        if isinstance(part, nn.Sequential | _PASSING) or not row.output or not _is_open(row.name, parts):
            continue
        starts = any(True for _ in part.parameters()) and not isinstance(part, _FOLLOWING)
        if starts or not ends:
            ends.append(row)
        else:
            ends[-1] = row
    scored = bool(ends) and isinstance(parts[ends[-1].name], nn.Linear)  # the class scores are at the end
    found = ends[:-1] if scored else ends
    if not found:
        raise OptionError(
            f"{network.name} has no layers before its class scores that can be told apart: name them with --layer "
            f"(`deconvnet layers {network.address}` lists them)."
        )
    return tuple(found)


def _is_open(name: str, parts: dict[str, nn.Module]) -> bool:
    """Whether a module lies in the network itself or in plain sequences inside it."""
    above = name.split(".")[:-1]
    return all(type(parts[".".join(above[: i + 1])]) is nn.Sequential for i in range(len(above)))
