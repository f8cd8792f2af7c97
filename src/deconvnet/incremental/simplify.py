"""A captured computation made shorter, with the same answers up to rounding.

Operations that give several tensors become one step for each that is used; batch normalization after a convolution
becomes part of its weights; zero padding before a convolution becomes part of its padding; copies disappear; what does
not depend on the photo is computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.fx.node import map_aggregate

from deconvnet.incremental.capture import Capture, CapturedStep, PerBatch, Ref

aten = torch.ops.aten
_COPIES = {
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    aten.contiguous.default,
    aten.lift_fresh_copy.default,
}
_VIEWS = {aten.view.default, aten._unsafe_view.default}
_NORMS = {aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default}


@dataclass(frozen=True)
class OutputItem:
    """One of several tensors that an operation gives."""

    target: Callable[..., Any]
    index: int

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.target(*args, **kwargs)[self.index]


@dataclass(frozen=True)
class PaddedConvolution:
    """A convolution with its padding on each side: top, left, bottom, right. Weights may have been rescaled."""

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int

    def __call__(self, x: Tensor) -> Tensor:
        top, left, bottom, right = self.padding
        if (top, left) != (bottom, right):
            x = torch.nn.functional.pad(x, (left, right, top, bottom))
            top = left = 0
        return torch.nn.functional.conv2d(
            x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups
        )


def at_batch(value: Any, batch: int) -> Any:
    """Arguments with every integer that depends on the batch size worked out."""
    if isinstance(value, PerBatch):
        return value.at(batch)
    if isinstance(value, (list, tuple)):
        return type(value)(at_batch(v, batch) for v in value)
    if isinstance(value, dict):
        return {key: at_batch(v, batch) for key, v in value.items()}
    return value


def fill_in(value: Any, known: Callable[[int], Any]) -> Any:
    """Arguments with every reference replaced by what ``known`` gives for it."""
    if isinstance(value, Ref):
        return known(value.step)
    if isinstance(value, (list, tuple)):
        return type(value)(fill_in(v, known) for v in value)
    if isinstance(value, dict):
        return {key: fill_in(v, known) for key, v in value.items()}
    return value


@torch.no_grad()
def simplify(found: Capture) -> Capture:
    """The shorter computation; step 0 is still the photo."""
    steps = _separate(list(found.steps))
    alias = {i: _origin(steps, i) for i in range(len(steps))}
    steps = [replace(s, args=_renamed(s.args, alias), kwargs=_renamed(s.kwargs, alias)) for s in steps]
    output, maps = alias[found.output], {name: alias[i] for name, i in found.maps.items()}
    found = _reachable(Capture(steps, output, maps))
    _fold_constants(found.steps)
    _convolutions(found.steps, {found.output, *found.maps.values()})
    return _reachable(found)


def _separate(steps: list[CapturedStep]) -> list[CapturedStep]:
    """``getitem(operation(...), i)`` as one step; views that also take what does not lie in one piece."""
    for i, step in enumerate(steps):
        if step.target in _VIEWS:
            steps[i] = replace(step, target=aten.reshape.default)
        if getattr(step.target, "__name__", "") == "getitem" and isinstance(step.args[0], Ref):
            whole = steps[step.args[0].step]
            assert whole.target is not None
            steps[i] = replace(
                step, target=OutputItem(whole.target, step.args[1]), args=whole.args, kwargs=whole.kwargs
            )
    return steps


def _origin(steps: list[CapturedStep], i: int) -> int:
    while steps[i].target in _COPIES:
        i = steps[i].args[0].step
    return i


def _renamed(args: Any, alias: dict[int, int]) -> Any:
    return fill_in(args, lambda i: Ref(alias[i]))


def _fold_constants(steps: list[CapturedStep]) -> None:
    """Compute what does not depend on the photo nor on the batch size."""
    for i, step in enumerate(steps):
        if step.target is None or step.shape is None or any(isinstance(size, PerBatch) for size in step.shape):
            continue
        if all(steps[j].value is not None for j in step.inputs) and not _per_batch((step.args, step.kwargs)):
            args = fill_in(step.args, lambda j: steps[j].value)
            kwargs = fill_in(step.kwargs or {}, lambda j: steps[j].value)
            steps[i] = CapturedStep(step.name, None, value=step.target(*args, **kwargs), shape=step.shape)


def _per_batch(args: Any) -> bool:
    found: list[Any] = []
    map_aggregate(args, lambda a: found.append(a) if isinstance(a, PerBatch) else a)
    return bool(found)


def _convolutions(steps: list[CapturedStep], kept: set[int]) -> None:
    """Convolutions as one kind of step, with the padding before them and the batch normalization after them."""
    uses = Counter(j for step in steps for j in step.inputs)
    uses.update(kept)
    for i, step in enumerate(steps):
        if step.target is aten.convolution.default:
            _convolution(steps, uses, i)
    for i, step in enumerate(steps):
        norm = step.target.target if isinstance(step.target, OutputItem) and step.target.index == 0 else step.target
        if norm in _NORMS and step.inputs and steps[step.inputs[0]].target.__class__ is PaddedConvolution:
            before = step.inputs[0]
            scaled = _normalized(steps, step, steps[before].target)  # type: ignore[arg-type]
            if uses[before] == 1 and scaled is not None:
                steps[i] = replace(step, target=scaled, args=steps[before].args, kwargs={})


def _convolution(steps: list[CapturedStep], uses: Counter[int], i: int) -> None:
    step = steps[i]
    x, w, b, stride, padding, dilation, transposed, _, groups = step.args
    weight = steps[w.step].value
    bias = None if b is None else steps[b.step].value
    if transposed or weight is None or weight.dim() != 4 or (b is not None and bias is None):
        return
    if any(isinstance(v, PerBatch) for v in (*stride, *padding, *dilation, groups)):
        return
    sides = (padding[0], padding[1], padding[0], padding[1])
    before = steps[x.step]
    if before.target is aten.constant_pad_nd.default and uses[x.step] == 1:
        amounts, value = before.args[1], (before.args[2] if len(before.args) > 2 else 0)
        if len(amounts) in (2, 4) and value == 0 and all(type(a) is int and a >= 0 for a in amounts):
            left, right, top, bottom = (*amounts, 0, 0)[:4]
            sides = (sides[0] + top, sides[1] + left, sides[2] + bottom, sides[3] + right)
            x = before.args[0]
    weight = weight.contiguous(memory_format=torch.channels_last)
    target = PaddedConvolution(weight, bias, tuple(stride), sides, tuple(dilation), groups)
    steps[i] = replace(step, target=target, args=(x,), kwargs={})


def _normalized(
    steps: list[CapturedStep], norm: CapturedStep, convolution: PaddedConvolution
) -> PaddedConvolution | None:
    """The convolution whose weights hold the batch normalization after it as well."""
    values = [a if a is None else steps[a.step].value for a in norm.args[1:5]]
    gamma, beta, mean, variance = values
    training = norm.args[5] if len(norm.args) == 8 else False
    if training or mean is None or variance is None:
        return None
    scale = torch.rsqrt(variance.double() + norm.args[-1])
    scale = scale if gamma is None else scale * gamma.double()
    bias = 0 if convolution.bias is None else convolution.bias.double()
    shift = (bias - mean.double()) * scale + (0 if beta is None else beta.double())
    dtype = convolution.weight.dtype
    weight = (convolution.weight.double() * scale[:, None, None, None]).to(dtype)
    return replace(convolution, weight=weight.contiguous(memory_format=torch.channels_last), bias=shift.to(dtype))


def _reachable(found: Capture) -> Capture:
    wanted = {0, found.output, *found.maps.values()}
    for i in range(len(found.steps) - 1, -1, -1):
        if i in wanted:
            wanted.update(found.steps[i].inputs)
    place = {old: new for new, old in enumerate(sorted(wanted))}
    steps = [
        replace(s, args=_renamed(s.args, place), kwargs=_renamed(s.kwargs, place))
        for s in (found.steps[i] for i in sorted(wanted))
    ]
    return Capture(steps, place[found.output], {name: place[i] for name, i in found.maps.items()})
