"""Which kernel does a step on windows: one for each operation that keeps rows and columns apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from deconvnet.incremental.capture import CapturedStep, PerBatch, local_response_norm
from deconvnet.incremental.fields import WindowedValue
from deconvnet.incremental.kernels import (
    Kernel,
    PaddingKernel,
    PointwiseKernel,
    ReshapeKernel,
    average_pool,
    convolution,
    max_pool,
)
from deconvnet.incremental.simplify import OutputItem, PaddedConvolution
from deconvnet.tracing.lrn import neighbour_band

aten = torch.ops.aten
_Fields = Mapping[int, WindowedValue]
_Values = Sequence[Any]
_POINTWISE = {
    "abs", "add", "celu", "clamp", "clamp_max", "clamp_min", "cos", "div", "elu", "eq", "erf", "exp", "expm1", "ge",
    "gelu", "gt", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "le", "leaky_relu", "log", "log1p",
    "log_sigmoid_forward", "logical_not", "lt", "maximum", "minimum", "mish", "mul", "ne", "neg", "pow",
    "reciprocal", "relu", "relu6", "rsqrt", "rsub", "sigmoid", "sign", "silu", "sin", "softplus", "softshrink", "sqrt",
    "square", "sub", "tanh", "threshold", "where", "to", "_to_copy",
}  # fmt: skip


def operation_name(step: CapturedStep) -> str:
    """The name of a step's operation, such as "relu"."""
    target = step.target.target if isinstance(step.target, OutputItem) else step.target
    return str(getattr(target, "overloadpacket", getattr(target, "__name__", target))).removeprefix("aten.")


def choose_kernel(steps: list[CapturedStep], i: int, fields: _Fields, values: _Values) -> Kernel | None:
    """Step ``i`` on windows; None where it needs whole maps."""
    step = steps[i]
    assert step.target is not None
    if step.shape is None or not step.shape or step.shape[0] != PerBatch(1, 0):
        return None
    if any(isinstance(size, PerBatch) for size in step.shape[1:]):
        return None
    target = step.target.target if isinstance(step.target, OutputItem) else step.target
    source = step.inputs[0]
    if isinstance(target, PaddedConvolution):
        return convolution(i, source, target, _size(step)) if fields[source].axes == (2, 3) else None
    if target is aten.cat.default:
        return _cat(step, fields)
    if target is local_response_norm._opoverload or target is local_response_norm:
        return _response_norm(step, fields)
    packet = operation_name(step)
    if packet in _POINTWISE and not isinstance(step.target, OutputItem):
        return _pointwise(step, fields, values)
    if len([j for j in step.inputs if j in fields]) != 1 or source not in fields:
        return None
    builder = _BUILDERS.get(packet)
    return None if builder is None else builder(step, source, fields, values)


def _size(step: CapturedStep) -> tuple[int, int]:
    assert step.shape is not None
    height, width = step.shape[2:4]
    assert isinstance(height, int)
    assert isinstance(width, int)
    return height, width


def _argument(step: CapturedStep, index: int, default: Any) -> Any:
    return step.args[index] if len(step.args) > index else default


def _pair(value: Any) -> tuple[int, int]:
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return (found[0], found[-1])


def _max_pool(step: CapturedStep, source: int, fields: _Fields, _values: _Values) -> Kernel | None:
    if fields[source].axes != (2, 3) or not isinstance(step.target, OutputItem) or step.target.index != 0:
        return None
    kernel = _pair(step.args[1])
    stride = _pair(_argument(step, 2, None) or kernel)
    return max_pool(source, kernel, stride, _pair(_argument(step, 3, 0)), _pair(_argument(step, 4, 1)), _size(step))


def _average_pool(step: CapturedStep, source: int, fields: _Fields, _values: _Values) -> Kernel | None:
    whole = fields[source]
    if whole.axes != (2, 3):
        return None
    kernel = _pair(step.args[1])
    stride = _pair(_argument(step, 2, None) or kernel)
    padding, counted = _pair(_argument(step, 3, 0)), _argument(step, 5, True)
    size = (whole.height, whole.width)
    return average_pool(source, kernel, stride, padding, counted, _argument(step, 6, None), size, _size(step))


def _adaptive_pool(step: CapturedStep, source: int, fields: _Fields, _values: _Values) -> Kernel | None:
    """Where the map is a whole multiple of what is wanted, it is an average pool."""
    whole, size = fields[source], _size(step)
    if whole.axes != (2, 3) or whole.height % size[0] or whole.width % size[1] or size == (1, 1):
        return None
    kernel = (whole.height // size[0], whole.width // size[1])
    return average_pool(source, kernel, kernel, (0, 0), True, None, (whole.height, whole.width), size)


def _pad(step: CapturedStep, source: int, fields: _Fields, _values: _Values) -> Kernel | None:
    amounts, value = step.args[1], _argument(step, 2, 0.0)
    assert step.shape is not None
    rank, whole = len(step.shape), fields[source]
    if whole.axes != (rank - 2, rank - 1) or len(amounts) not in (2, 4) or value not in (0, -torch.inf):
        return None
    left, _, top, _ = (*amounts, 0, 0)[:4]
    height, width = step.shape[-2:]
    assert isinstance(height, int)
    assert isinstance(width, int)
    return PaddingKernel(source, (top, left), (height, width), float(value), whole.axes)


def _response_norm(step: CapturedStep, fields: _Fields) -> Kernel | None:
    """Local response normalization (Krizhevsky et al. 2012, sec. 3.3); the sum over channels as a matrix product."""
    whole = fields[step.inputs[0]]
    if whole.axes != (2, 3):
        return None
    size, alpha, beta, k = step.args[1:]
    band = neighbour_band(whole.shape[1], size, 1, whole.clean.dtype, whole.clean.device) * (alpha / size)
    shift = torch.full((whole.shape[1],), float(k)).to(whole.clean)

    def operation(x: Tensor, height: int, width: int) -> Tensor:
        rows = whole.rows(x)
        scale = torch.addmm(shift, rows * rows, band)
        if beta == 0.75:
            root = scale.rsqrt_()
            found = rows * root * root.sqrt()
        else:
            found = rows / scale.pow_(beta)
        return whole.from_rows(found, height, width)

    return ReshapeKernel(step.inputs[0], operation, (2, 3))


def _reshape(step: CapturedStep, source: int, fields: _Fields, _values: _Values) -> Kernel | None:
    """Allowed where rows and columns stay axes of their own, next to each other."""
    whole = fields[source]
    assert step.shape is not None
    if whole.axes[1] != whole.axes[0] + 1:
        return None
    before, after = [1, *whole.shape[1:]], [1, *step.shape[1:]]
    above = positions(tuple(before[: whole.axes[0]]))
    for axis in range(1, len(after) - 1):
        found = positions(tuple(after[:axis]))
        if found == above and (after[axis], after[axis + 1]) == (whole.height, whole.width):
            rest = list(after[1:])

            def operation(x: Tensor, height: int, width: int, axis: int = axis, rest: list[Any] = rest) -> Tensor:
                return x.reshape(len(x), *rest[: axis - 1], height, width, *rest[axis + 1 :])

            return ReshapeKernel(source, operation, (axis, axis + 1))
    return None


def _permute(step: CapturedStep, source: int, fields: _Fields, _values: _Values) -> Kernel | None:
    assert step.shape is not None
    rank = len(step.shape)
    if operation_name(step) == "permute":
        order = [d % rank for d in step.args[1]]
    else:
        order = list(range(rank))
        a, b = (d % rank for d in step.args[1:3])
        order[a], order[b] = order[b], order[a]
    if order[0] != 0:
        return None
    axes = fields[source].axes
    moved = (order.index(axes[0]), order.index(axes[1]))
    return ReshapeKernel(source, lambda x, _h, _w: x.permute(order), moved)


def _slice(step: CapturedStep, source: int, fields: _Fields, _values: _Values) -> Kernel | None:
    """Parts of an axis that is neither rows nor columns nor the batch."""
    whole = fields[source]
    dim = _argument(step, 1 if operation_name(step) == "slice" else 2, 0)
    dim = dim % len(whole.shape)
    if dim == 0 or dim in whole.axes or isinstance(step.args[-1], PerBatch):
        return None
    return ReshapeKernel(source, lambda x, _h, _w: step.target(x, *step.args[1:]), whole.axes)  # type: ignore[misc]


def _layer_norm(step: CapturedStep, source: int, fields: _Fields, values: _Values) -> Kernel | None:
    whole = fields[source]
    rank, normalized = len(whole.shape), len(step.args[1])
    if not isinstance(step.target, OutputItem) or step.target.index or max(whole.axes) >= rank - normalized:
        return None
    return _with_constants(step, source, whole.axes, values)


def _linear(step: CapturedStep, source: int, fields: _Fields, values: _Values) -> Kernel | None:
    """On the last axis, where that is neither rows nor columns."""
    whole = fields[source]
    if step.inputs[0] != source or max(whole.axes) == len(whole.shape) - 1:
        return None
    return _with_constants(step, source, whole.axes, values)


def _batch_norm(step: CapturedStep, source: int, fields: _Fields, values: _Values) -> Kernel | None:
    whole = fields[source]
    training = step.args[5] if len(step.args) == 8 else False
    if not isinstance(step.target, OutputItem) or step.target.index or training or min(whole.axes) < 2:
        return None
    return _with_constants(step, source, whole.axes, values)


def _with_constants(step: CapturedStep, source: int, axes: tuple[int, int], values: _Values) -> Kernel | None:
    constants = {j: values[j] for j in step.inputs if j != source}
    return PointwiseKernel(step.target, step.args, step.kwargs or {}, (source,), axes, constants)  # type: ignore[arg-type]


def _prelu(step: CapturedStep, source: int, fields: _Fields, values: _Values) -> Kernel | None:
    return _with_constants(step, source, (2, 3), values) if fields[source].axes == (2, 3) else None


def _cat(step: CapturedStep, fields: _Fields) -> Kernel | None:
    if any(j not in fields for j in step.inputs):
        return None
    axes = {fields[j].axes for j in step.inputs}
    assert step.shape is not None
    dim = _argument(step, 1, 0) % len(step.shape)
    if len(axes) != 1 or dim == 0 or dim in next(iter(axes)):
        return None
    return PointwiseKernel(step.target, step.args, step.kwargs or {}, tuple(step.inputs), axes.pop())  # type: ignore[arg-type]


def _pointwise(step: CapturedStep, fields: _Fields, values: _Values) -> Kernel | None:
    """Each position from the same position of the fields and of constants."""
    assert step.shape is not None
    rank = len(step.shape)
    moving = tuple(dict.fromkeys(j for j in step.inputs if j in fields))
    own = {tuple(a - len(fields[j].shape) for a in fields[j].axes) for j in moving}
    if len(own) != 1:
        return None
    back = own.pop()
    axes = (back[0] + rank, back[1] + rank)
    size = (step.shape[axes[0]], step.shape[axes[1]])
    if any((fields[j].height, fields[j].width) != size for j in moving):
        return None
    constants: dict[int, Tensor | WindowedValue] = {}
    for j in set(step.inputs) - set(moving):
        constant = values[j]
        extent = [constant.shape[a] if constant.dim() >= -a else 1 for a in back]
        if extent == [1, 1]:
            constants[j] = constant
        elif constant.dim() == rank and constant.shape[0] == 1 and tuple(extent) == size:
            constants[j] = WindowedValue(constant, axes)
            constants[j].load(None)  # type: ignore[union-attr]
        else:
            return None
    return PointwiseKernel(step.target, step.args, step.kwargs or {}, moving, axes, constants)  # type: ignore[arg-type]


_BUILDERS: dict[str, Callable[[CapturedStep, int, _Fields, _Values], Kernel | None]] = {
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _average_pool,
    "_adaptive_avg_pool2d": _adaptive_pool,
    "constant_pad_nd": _pad,
    "reshape": _reshape,
    "permute": _permute,
    "transpose": _permute,
    "slice": _slice,
    "split": _slice,
    "split_with_sizes": _slice,
    "chunk": _slice,
    "deconvnet.linear": _linear,
    "native_layer_norm": _layer_norm,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
}


def positions(shape: tuple[int | PerBatch, ...]) -> float:
    """The product of a shape, the batch counted as one."""
    found = 1.0
    for size in shape:
        found *= size.at(1) if isinstance(size, PerBatch) else size
    return found
