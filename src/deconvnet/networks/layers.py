"""The table of any network's layers: what each is made of, gives and sees.

Command: ``deconvnet layers NETWORK``; about a second.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deconvnet.errors import UnknownNameError
from deconvnet.tracing.modes import example_weight
from deconvnet.tracing.receptive import LayerField, receptive_fields
from deconvnet.tracing.recorder import ModuleCall, record_calls

if TYPE_CHECKING:
    from deconvnet.networks.network import Network

Size = int | tuple[int, int]


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
    """Every layer of a module, in the order in which they ran on a blank input.

    Parameters
    ----------
    module : nn.Module
        It comes back as it was. Weights without memory (``torch.device("meta")``) will do, where every step is known.
    input_shape : (int, int, int)
        Channels, height and width.

    Returns
    -------
    tuple of LayerRow
        Modules that hold others are listed too, with their own parameters alone (their output is often the only place
        where a residual sum or a ReLU can be met), but for plain sequences. Receptive fields come from the steps of the
        forward pass. Where one of these is not known, the field is measured (``LayerRow.measured``): the pixels that
        the gradient of the middle unit, of all maps together, reaches in two inputs of noise, weights that are all zero
        made random. A field measured is never larger than the true one.
    """
    parts = dict(module.named_modules(remove_duplicate=False))
    fields = {name: seen for name, seen in receptive_fields(module, input_shape).items() if name}
    fields = {name: seen for name, seen in fields.items() if not isinstance(parts[name], nn.Identity | nn.Sequential)}
    unknown = [name for name, seen in fields.items() if _is_unknown(seen)]
    measured = _measure(module, unknown, input_shape) if unknown else {}
    return tuple(_row(name, parts[name], seen, measured.get(name)) for name, seen in fields.items())


def layer_rows(network: Network) -> tuple[LayerRow, ...]:
    """Every layer of a network, a built-in one's or anyone's; see `layer_table`."""
    return network.layers() if network.is_builtin else layer_table(network.module, network.input_shape)


def without_memory(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose tensors have shapes but no memory."""
    memo: dict[int, Any] = {id(b): torch.empty_like(b, device="meta") for b in module.buffers()}
    memo |= {id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in module.parameters()}
    return copy.deepcopy(module, memo).eval()


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
    ours = type(part).__module__.startswith(__package__ or "deconvnet.networks")  # LeNet-5 has layers of its own
    works = ours or isinstance(part, nn.Conv2d | nn.Linear)
    weights = sum(p.numel() for p in own if p.ndim > 1)
    cells = output[1] * output[2] if (ours or isinstance(part, nn.Conv2d)) and len(output) == 3 else 1
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
