"""The table of a built-in network's layers: kernel, stride, output, parameters, receptive field."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from deconvnet.geometry import ReceptiveField, Window


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes
    ----------
    name, kind : str
        Name in the network, and class of the module.
    kernel, stride, padding : int, (int, int) or None
        Of a convolution or pool, in cells of the map it reads; rows and columns where these differ.
    output : tuple of int
        Shape without the batch: (channels, height, width) or (units,).
    parameters : int
        Trainable weights and biases.
    multiply_adds : int
        Multiplications with a weight, for one input.
    receptive_field, receptive_stride : int, (int, int) or None
        Side of the square of input pixels that one unit sees, and the distance between neighbours' squares;
        ``None`` once a layer sees the whole input.
    receptive_start : int, (int, int) or None
        First row (= column) that the unit at position 0 sees; negative where padding moves it out of the image.
    measured : bool
        Whether the receptive field was measured rather than computed, so that it may be larger than said.
    """

    name: str
    kind: str
    kernel: int | tuple[int, int] | None
    stride: int | tuple[int, int] | None
    padding: int | tuple[int, int] | None
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int | tuple[int, int] | None
    receptive_stride: int | tuple[int, int] | None
    receptive_start: int | tuple[int, int] | None
    measured: bool = False


def layer_table(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[LayerRow, ...]:
    """Walk a sequence of layers.

    Parameters
    ----------
    module : nn.Module
        A built-in network, whose forward runs its children in order; it is not run, only a copy without weights is.
    input_shape : (int, int, int)
        Channels, height and width.

    Returns
    -------
    tuple of LayerRow
        In the order of the forward pass.
    """
    rows: list[LayerRow] = []
    field: ReceptiveField | None = ReceptiveField()
    ghost = _ghost(module)
    x = torch.empty((1, *input_shape), device="meta")
    for name, part in ghost.named_children():
        x = part(x)
        window = _window(part)
        if isinstance(part, nn.Flatten | nn.Linear):
            field = None
        elif window is not None and field is not None:
            field = field.through(window)
        output = tuple(x.shape[1:])
        rows.append(
            LayerRow(
                name,
                type(part).__name__,
                window.size if window else None,
                window.stride if window else None,
                window.padding if window else None,
                output,
                sum(p.numel() for p in part.parameters()),
                _multiply_adds(part, output),
                field.size if field else None,
                field.stride if field else None,
                field.start if field else None,
            )
        )
    return tuple(rows)


def _ghost(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose tensors have shapes but no memory."""
    memo: dict[int, Any] = {id(b): torch.empty_like(b, device="meta") for b in module.buffers()}
    memo |= {id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in module.parameters()}
    return copy.deepcopy(module, memo).eval()


def _window(part: nn.Module) -> Window | None:
    if not hasattr(part, "kernel_size"):
        return None
    return Window(_one(part.kernel_size), _one(part.stride), _one(part.padding))


def _one(value: Any) -> int:
    """The size along one axis (built-in networks are square)."""
    return int(value[0] if isinstance(value, tuple) else value)


def _multiply_adds(part: nn.Module, output: tuple[int, ...]) -> int:
    weights = sum(p.numel() for p in part.parameters() if p.ndim > 1)
    return weights * (output[1] * output[2] if len(output) == 3 else 1)
