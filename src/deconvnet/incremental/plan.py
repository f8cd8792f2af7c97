"""What becomes of each step: a window of its own for each covered photo as far as possible, whole maps from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deconvnet.errors import ModelError
from deconvnet.incremental.capture import Capture, PerBatch, Step, local_response_norm
from deconvnet.incremental.fields import WindowedValue
from deconvnet.incremental.kernels import (
    ConvolutionKernel,
    Kernel,
    PaddingKernel,
    PointwiseKernel,
    ReshapeKernel,
    average_pool,
    convolution,
    max_pool,
)
from deconvnet.incremental.simplify import Convolution, Part, at_batch, fill_in

aten = torch.ops.aten
_POINTWISE = {
    "abs", "add", "celu", "clamp", "clamp_max", "clamp_min", "cos", "div", "elu", "eq", "erf", "exp", "expm1", "ge",
    "gelu", "gt", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "le", "leaky_relu", "log", "log1p",
    "log_sigmoid_forward", "logical_not", "lt", "maximum", "minimum", "mish", "mul", "ne", "neg", "pow",
    "reciprocal", "relu", "relu6", "rsqrt", "rsub", "sigmoid", "sign", "silu", "sin", "softplus", "softshrink", "sqrt",
    "square", "sub", "tanh", "threshold", "where", "to", "_to_copy",
}  # fmt: skip
_TOLD = 0.01  # share of the multiply-adds from which on whole maps are worth a note


@dataclass
class Plan:
    """The steps of a network for one photo.

    Attributes
    ----------
    steps : list of Step
    values : list of Tensor or None
        Constants, and the clean values (batch 1) that the computation still needs.
    fields : mapping of int to WindowedValue
        Steps whose value changes only in windows.
    kernels : mapping of int to Kernel
        How; for the fields but the photo.
    output : int
    maps : mapping of str to int
    tail : set of int
        Steps after the last map: they run on many covered photos at once.
    users : list of list of int
        For each step, those that take its value.
    notes : tuple of str
    """

    steps: list[Step]
    values: list[Any]
    fields: dict[int, WindowedValue]
    kernels: dict[int, Kernel]
    output: int
    maps: dict[str, int]
    tail: set[int]
    notes: tuple[str, ...]
    users: list[list[int]] = field(default_factory=list)


@torch.no_grad()
def plan(found: Capture, photo: Tensor, clean_output: Tensor) -> Plan:
    """Run the photo through the steps, keep what windows need, and choose how each step is done.

    Raises
    ------
    ModelError
        If the steps do not give the model's own answer (``clean_output``) to the photo.
    """
    steps = found.steps
    values: list[Any] = []
    fields: dict[int, WindowedValue] = {}
    kernels: dict[int, Kernel] = {}
    wide: list[tuple[int, str]] = []
    varying = {0}
    users: list[list[int]] = [[] for _ in steps]
    for i, step in enumerate(steps):
        for j in set(step.inputs):
            users[j].append(i)
        if i == 0:
            values.append(photo)
            fields[0] = WindowedValue(photo, (2, 3))
            continue
        if step.target is None:
            values.append(step.value)
            continue
        args = fill_in(at_batch(step.args, 1), values.__getitem__)
        kwargs = fill_in(at_batch(step.kwargs or {}, 1), values.__getitem__)
        values.append(step.target(*args, **kwargs))
        moving = [j for j in step.inputs if j in fields]
        if any(j in varying for j in step.inputs):
            varying.add(i)
        if moving and all(j in fields or j not in varying for j in step.inputs):
            kernel = _kernel(steps, i, fields, values)
            if kernel is not None:
                kernels[i], fields[i] = kernel, WindowedValue(values[i], kernel.axes)
                continue
        if moving and _spatial(step):
            wide.append((i, _name(step)))
    _check(values[found.output], clean_output)
    tail = _tail(found, users)
    notes = _notes(steps, fields, wide, tail)
    values = [step.value for step in steps]
    _release(fields, kernels, users, {found.output, *found.maps.values()})
    return Plan(steps, values, fields, kernels, found.output, found.maps, tail, notes, users)


def _release(
    fields: dict[int, WindowedValue], kernels: dict[int, Kernel], users: list[list[int]], kept: set[int]
) -> None:
    """Forget clean values that nobody reads again."""
    for i, whole in fields.items():
        kernel = kernels.get(i)
        if i == 0 or (isinstance(kernel, ConvolutionKernel) and kernel.may_tile):
            continue  # photos are covered; changes are added to the convolution's clean value
        if i not in kept and all(j in kernels and not kernels[j].reads_beyond() for j in users[i]):
            whole.forget()


def _check(found: Tensor, expected: Tensor) -> None:
    scale = float(expected.abs().max())
    if not torch.isfinite(expected).all():
        raise ModelError("the model gives NaN or infinity for this photo: check its weights.")
    if float((found - expected).abs().max()) > 1e-3 * max(scale, 1e-30):
        raise ModelError(
            "the model's answer to the photo is not reproduced by following it step by step (does it draw random "
            "numbers?): use deconvnet.incremental.plain."
        )


def _name(step: Step) -> str:
    target = step.target.target if isinstance(step.target, Part) else step.target
    return str(getattr(target, "overloadpacket", getattr(target, "__name__", target))).removeprefix("aten.")


def _spatial(step: Step) -> bool:
    return bool(step.shape and len(step.shape) > 2)


def _tail(found: Capture, users: list[list[int]]) -> set[int]:
    """Steps with flat values after which only flat values follow."""
    tail: set[int] = set()
    for i in range(len(found.steps) - 1, 0, -1):
        shape = found.steps[i].shape
        flat = found.steps[i].target is not None and shape is not None and len(shape) <= 2
        if flat and all(j in tail for j in users[i]) and shape and shape[0] == PerBatch(1, 0):
            tail.add(i)
    return tail


def _notes(
    steps: list[Step], fields: dict[int, WindowedValue], wide: list[tuple[int, str]], tail: set[int]
) -> tuple[str, ...]:
    """Where whole maps begin, and their share of the work where it counts."""
    work = [_multiplications(steps, i) for i in range(len(steps))]
    whole = sum(work[i] for i in range(len(steps)) if i not in fields and i not in tail)
    share = whole / max(sum(work), 1.0)
    if not wide or share < _TOLD:
        return ()
    first, name = wide[0]
    return (
        f"{name} (step {first} of {len(steps)}, after {_layers_before(steps, first)} convolutions) mixes positions of "
        f"the map: from there on whole maps are computed, {share:.0%} of the multiply-adds.",
    )


def _layers_before(steps: list[Step], i: int) -> int:
    return sum(isinstance(step.target, Convolution) for step in steps[:i])


def _multiplications(steps: list[Step], i: int) -> float:
    """Of convolutions and of layers on the last axis; the others count little."""
    step = steps[i]
    if not step.shape:
        return 0.0
    if isinstance(step.target, Convolution):
        return cost_of_position(step) * _product(step.shape[2:])
    weight = steps[step.args[1].step].value if _name(step) == "deconvnet.linear" else None
    return 0.0 if weight is None else weight.shape[1] * _product(step.shape[1:])


def cost_of_position(step: Step) -> float:
    """Multiply-adds of one position of all maps; 0 where it is no convolution."""
    if not isinstance(step.target, Convolution):
        return 0.0
    weight = step.target.weight
    return float(weight.numel())


def _product(shape: tuple[int | PerBatch, ...]) -> float:
    found = 1.0
    for size in shape:
        found *= size.at(1) if isinstance(size, PerBatch) else size
    return found


def _kernel(steps: list[Step], i: int, fields: dict[int, WindowedValue], values: list[Any]) -> Kernel | None:
    """The step on windows; None where it needs whole maps."""
    step = steps[i]
    assert step.target is not None
    if step.shape is None or not step.shape or step.shape[0] != PerBatch(1, 0):
        return None
    if any(isinstance(size, PerBatch) for size in step.shape[1:]):
        return None
    target = step.target.target if isinstance(step.target, Part) else step.target
    source = step.inputs[0]
    if isinstance(target, Convolution):
        return convolution(i, source, target, _size(step)) if fields[source].axes == (2, 3) else None
    if target is aten.cat.default:
        return _cat(step, fields)
    if target is local_response_norm._opoverload or target is local_response_norm:
        return _response_norm(step, fields)
    packet = _name(step)
    if packet in _POINTWISE and not isinstance(step.target, Part):
        return _pointwise(step, fields, values)
    if len([j for j in step.inputs if j in fields]) != 1 or source not in fields:
        return None
    builder = _BUILDERS.get(packet)
    return None if builder is None else builder(step, source, fields, values)


def _size(step: Step) -> tuple[int, int]:
    assert step.shape is not None
    height, width = step.shape[2:4]
    assert isinstance(height, int)
    assert isinstance(width, int)
    return height, width


def _argument(step: Step, index: int, default: Any) -> Any:
    return step.args[index] if len(step.args) > index else default


def _pair(value: Any) -> tuple[int, int]:
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return (found[0], found[-1])


def _max_pool(step: Step, source: int, fields: dict[int, WindowedValue], _values: list[Any]) -> Kernel | None:
    if fields[source].axes != (2, 3) or not isinstance(step.target, Part) or step.target.index != 0:
        return None
    kernel = _pair(step.args[1])
    stride = _pair(_argument(step, 2, None) or kernel)
    return max_pool(source, kernel, stride, _pair(_argument(step, 3, 0)), _pair(_argument(step, 4, 1)), _size(step))


def _average_pool(step: Step, source: int, fields: dict[int, WindowedValue], _values: list[Any]) -> Kernel | None:
    whole = fields[source]
    if whole.axes != (2, 3):
        return None
    kernel = _pair(step.args[1])
    stride = _pair(_argument(step, 2, None) or kernel)
    padding, counted = _pair(_argument(step, 3, 0)), _argument(step, 5, True)
    size = (whole.height, whole.width)
    return average_pool(source, kernel, stride, padding, counted, _argument(step, 6, None), size, _size(step))


def _adaptive_pool(step: Step, source: int, fields: dict[int, WindowedValue], _values: list[Any]) -> Kernel | None:
    """Where the map is a whole multiple of what is wanted, it is an average pool."""
    whole, size = fields[source], _size(step)
    if whole.axes != (2, 3) or whole.height % size[0] or whole.width % size[1] or size == (1, 1):
        return None
    kernel = (whole.height // size[0], whole.width // size[1])
    return average_pool(source, kernel, kernel, (0, 0), True, None, (whole.height, whole.width), size)


def _pad(step: Step, source: int, fields: dict[int, WindowedValue], _values: list[Any]) -> Kernel | None:
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


def _response_norm(step: Step, fields: dict[int, WindowedValue]) -> Kernel | None:
    """Local response normalization (Krizhevsky et al. 2012, sec. 3.3); the sum over channels as a matrix product."""
    whole = fields[step.inputs[0]]
    if whole.axes != (2, 3):
        return None
    size, alpha, beta, k = step.args[1:]
    channel = torch.arange(whole.shape[1])
    distance = channel[None, :] - channel[:, None]  # PyTorch: size // 2 below, (size - 1) // 2 above
    near = (distance <= size // 2) & (distance >= -((size - 1) // 2))
    band = near.to(whole.clean) * (alpha / size)
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


def _reshape(step: Step, source: int, fields: dict[int, WindowedValue], _values: list[Any]) -> Kernel | None:
    """Allowed where rows and columns stay axes of their own, next to each other."""
    whole = fields[source]
    assert step.shape is not None
    if whole.axes[1] != whole.axes[0] + 1:
        return None
    before, after = [1, *whole.shape[1:]], [1, *step.shape[1:]]
    above = _product(tuple(before[: whole.axes[0]]))
    for axis in range(1, len(after) - 1):
        found = _product(tuple(after[:axis]))
        if found == above and (after[axis], after[axis + 1]) == (whole.height, whole.width):
            rest = list(after[1:])

            def operation(x: Tensor, height: int, width: int, axis: int = axis, rest: list[Any] = rest) -> Tensor:
                return x.reshape(len(x), *rest[: axis - 1], height, width, *rest[axis + 1 :])

            return ReshapeKernel(source, operation, (axis, axis + 1))
    return None


def _permute(step: Step, source: int, fields: dict[int, WindowedValue], _values: list[Any]) -> Kernel | None:
    assert step.shape is not None
    rank = len(step.shape)
    if _name(step) == "permute":
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


def _slice(step: Step, source: int, fields: dict[int, WindowedValue], _values: list[Any]) -> Kernel | None:
    """Parts of an axis that is neither rows nor columns nor the batch."""
    whole = fields[source]
    dim = _argument(step, 1 if _name(step) == "slice" else 2, 0)
    dim = dim % len(whole.shape)
    if dim == 0 or dim in whole.axes or isinstance(step.args[-1], PerBatch):
        return None
    return ReshapeKernel(source, lambda x, _h, _w: step.target(x, *step.args[1:]), whole.axes)  # type: ignore[misc]


def _layer_norm(step: Step, source: int, fields: dict[int, WindowedValue], values: list[Any]) -> Kernel | None:
    whole = fields[source]
    rank, normalized = len(whole.shape), len(step.args[1])
    if not isinstance(step.target, Part) or step.target.index or max(whole.axes) >= rank - normalized:
        return None
    return _with_constants(step, source, whole.axes, values)


def _linear(step: Step, source: int, fields: dict[int, WindowedValue], values: list[Any]) -> Kernel | None:
    """On the last axis, where that is neither rows nor columns."""
    whole = fields[source]
    if step.inputs[0] != source or max(whole.axes) == len(whole.shape) - 1:
        return None
    return _with_constants(step, source, whole.axes, values)


def _batch_norm(step: Step, source: int, fields: dict[int, WindowedValue], values: list[Any]) -> Kernel | None:
    whole = fields[source]
    training = step.args[5] if len(step.args) == 8 else False
    if not isinstance(step.target, Part) or step.target.index or training or min(whole.axes) < 2:
        return None
    return _with_constants(step, source, whole.axes, values)


def _with_constants(step: Step, source: int, axes: tuple[int, int], values: list[Any]) -> Kernel | None:
    constants = {j: values[j] for j in step.inputs if j != source}
    return PointwiseKernel(step.target, step.args, step.kwargs or {}, (source,), axes, constants)  # type: ignore[arg-type]


def _prelu(step: Step, source: int, fields: dict[int, WindowedValue], values: list[Any]) -> Kernel | None:
    return _with_constants(step, source, (2, 3), values) if fields[source].axes == (2, 3) else None


def _cat(step: Step, fields: dict[int, WindowedValue]) -> Kernel | None:
    if any(j not in fields for j in step.inputs):
        return None
    axes = {fields[j].axes for j in step.inputs}
    assert step.shape is not None
    dim = _argument(step, 1, 0) % len(step.shape)
    if len(axes) != 1 or dim == 0 or dim in next(iter(axes)):
        return None
    return PointwiseKernel(step.target, step.args, step.kwargs or {}, tuple(step.inputs), axes.pop())  # type: ignore[arg-type]


def _pointwise(step: Step, fields: dict[int, WindowedValue], values: list[Any]) -> Kernel | None:
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


_BUILDERS: dict[str, Callable[[Step, int, dict[int, WindowedValue], list[Any]], Kernel | None]] = {
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
