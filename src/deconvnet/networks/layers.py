"""The layers of any network: what each is made of, gives and sees.

Command: ``deconvnet layers NETWORK``; about a second.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deconvnet.errors import UnknownNameError
from deconvnet.networks.layer_table import LayerRow
from deconvnet.networks.network import Network
from deconvnet.tracing.modes import example_weight
from deconvnet.tracing.receptive import LayerField, receptive_fields
from deconvnet.tracing.recorder import ModuleCall, record_calls

Size = int | tuple[int, int]


def layer_rows(network: Network) -> tuple[LayerRow, ...]:
    """Every layer of a network, in the order in which they ran.

    Parameters
    ----------
    network : Network
        A built-in one, or anyone's. Of the latter, modules that hold others are listed too, with their own parameters
        alone (their output is often the only place where a residual sum or a ReLU can be met), but for plain sequences.

    Returns
    -------
    tuple of LayerRow
        Receptive fields come from the steps of the forward pass. Where one of these is not known, the field is measured
        (``LayerRow.measured``): the pixels that the gradient of the middle unit, of all maps together, reaches in two
        inputs of noise, weights that are all zero made random. A field measured is never larger than the true one.
    """
    if network.is_builtin:
        return network.layers()
    module = network.module
    parts = dict(module.named_modules(remove_duplicate=False))
    fields = {name: seen for name, seen in receptive_fields(module, network.input_shape).items() if name}
    fields = {name: seen for name, seen in fields.items() if not isinstance(parts[name], nn.Identity | nn.Sequential)}
    unknown = [name for name, seen in fields.items() if _is_unknown(seen)]
    measured = _measure(module, unknown, network.input_shape) if unknown else {}
    return tuple(_row(name, parts[name], seen, measured.get(name)) for name, seen in fields.items())


def convolutions(network: Network) -> list[str]:
    """Names of the convolutional layers that give maps, first to last."""
    if network.is_builtin:
        return [row.name for row in network.layers() if row.multiply_adds and len(row.output) == 3]
    parts = dict(network.module.named_modules(remove_duplicate=False))
    shapes = {
        name: seen.shape
        for name, seen in receptive_fields(network.module, network.input_shape).items()
        if isinstance(parts[name], nn.Conv2d) and len(seen.shape) == 3
    }
    maps = [name for name, shape in shapes.items() if shape[1:] != (1, 1)]  # not those of a gate over whole maps
    return maps or list(shapes)


def _is_unknown(seen: LayerField) -> bool:
    return len(seen.shape) == 3 and not seen.whole and seen.rows is None


def _row(name: str, part: nn.Module, seen: LayerField, measured: Size | None) -> LayerRow:
    leaf = not list(part.children())
    output = tuple(seen.shape)
    own = list(part.parameters(recurse=False))
    weights = sum(p.numel() for p in own if p.ndim > 1)
    cells = output[1] * output[2] if isinstance(part, nn.Conv2d) and len(output) == 3 else 1
    works = isinstance(part, nn.Conv2d | nn.Linear)
    size, stride, start = measured, None, None
    if seen.rows is not None and seen.columns is not None:
        size = _one(seen.rows.size, seen.columns.size)
        stride, start = _one(seen.rows.stride, seen.columns.stride), _one(seen.rows.start, seen.columns.start)
    windowed = leaf and hasattr(part, "kernel_size") and len(output) == 3
    return LayerRow(
        name,
        type(part).__name__,
        _pair(part, "kernel_size") if windowed else None,
        _pair(part, "stride") if windowed else None,
        _pair(part, "padding") if windowed else None,
        output,
        sum(p.numel() for p in own),
        weights * cells if works else 0,
        size,
        stride,
        start,
        measured is not None,
    )


def _pair(part: nn.Module, option: str) -> Size | None:
    value: Any = getattr(part, option, None)
    if isinstance(value, int):
        return value
    return _one(*value) if isinstance(value, tuple) and len(value) == 2 else None


def _one(rows: int, columns: int) -> Size:
    return rows if rows == columns else (rows, columns)


def _measure(module: nn.Module, names: list[str], shape: tuple[int, int, int]) -> dict[str, Size]:
    """Sides of the smallest rectangle of pixels that the middle unit's gradient reaches; none where that is all."""
    ghost = copy.deepcopy(module).eval().requires_grad_(False)
    example = example_weight(ghost, torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    for value in ghost.parameters():
        if value.is_floating_point() and not value.any():  # a branch that begins as nothing would see nothing
            value.copy_(torch.randn(value.shape, generator=generator))
    reached = {name: torch.zeros(shape[1:], dtype=torch.bool) for name in names}
    for _ in range(2):
        pixels = torch.randn((1, *shape), generator=generator).to(example).requires_grad_()
        outputs: dict[str, Tensor] = {}

        def keep(call: ModuleCall, outputs: dict[str, Tensor] = outputs) -> None:
            outputs[call.name] = call.output.clone()  # the model may overwrite the tensor itself

        parts = dict(ghost.named_modules(remove_duplicate=False))
        with record_calls({name: parts[name] for name in names}, keep), torch.enable_grad():
            ghost(pixels.clone())
        for name, output in outputs.items():
            middle = output[0, :, output.shape[2] // 2, output.shape[3] // 2]
            if not middle.requires_grad:
                continue
            seed = torch.randn(middle.shape, generator=generator).to(middle)
            (gradient,) = torch.autograd.grad(middle, pixels, seed, retain_graph=True, allow_unused=True)
            if gradient is not None:
                reached[name] |= (gradient[0] != 0).any(0).cpu()
    sizes: dict[str, Size] = {}
    for name, mask in reached.items():
        spans = [torch.nonzero(mask.any(1 - axis)).flatten() for axis in (0, 1)]
        if not all(len(span) for span in spans):
            continue
        height, width = (int(span[-1] - span[0]) + 1 for span in spans)
        if (height, width) != tuple(shape[1:]):
            sizes[name] = _one(height, width)
    return sizes


def check_layers(network: Network, layers: Sequence[str]) -> None:
    """Refuse names that are no layers of the network, offering the nearest."""
    known = [name for name, _ in network.module.named_modules() if name]
    for layer in layers:
        if layer not in known:
            raise UnknownNameError("layer", layer, known, f"`deconvnet layers {network.address}` lists them.")
