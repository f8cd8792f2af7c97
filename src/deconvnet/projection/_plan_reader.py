"""Read a plan off the autograd graph between a layer and the pixels.

The graph is what the full backward pass would run, so the plan cannot miss a step. There is one only where every step
is one of `_steps`; elsewhere the full pass is taken.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from deconvnet.geometry import Window
from deconvnet.projection._path import kind_of, nodes_between, signed
from deconvnet.projection._plan import NoWindows, PlanEdge, PlanVertex, WindowPlan
from deconvnet.projection._rules import CELLWISE
from deconvnet.projection._steps import (
    AveragingStep,
    BranchStep,
    ConvolutionStep,
    NormalizationStep,
    RectificationStep,
    ScaleStep,
    ShiftStep,
    ShuffleStep,
    SkipStep,
    SliceStep,
    UnpoolingStep,
    WindowStep,
)


def read_plan(output: Tensor, leaf: Tensor, accumulator: Any, biases: dict[Any, Tensor | None]) -> WindowPlan:
    """The plan of a layer's output.

    Parameters
    ----------
    output : Tensor, N x C x H x W
    leaf : Tensor
        The pixels, N x C x H x W.
    accumulator : autograd node
        Of ``leaf``.
    biases : mapping of autograd node -> Tensor or None
        What convolutions and batch norms add in the forward pass; the graph itself does not hold it.

    Raises
    ------
    NoWindows
        If a step is not known to work on windows.
    """
    order = nodes_between(output.grad_fn, accumulator, _links)
    on_path = set(order)
    used: dict[Any, set[int]] = {output.grad_fn: {output.output_nr}}
    for node in order:
        for child, number in _links(node):
            if child in on_path:
                used.setdefault(child, set()).add(number)
    keys = [(node, number) for node in order for number in sorted(used[node])]
    index = {key: number for number, key in enumerate(keys)}
    vertices: list[PlanVertex] = []
    for node, number in keys:
        shape = leaf.shape if node is accumulator else _shape(node, number)
        if len(shape) != 4 or shape[0] != len(leaf):
            raise NoWindows(f"{kind_of(node)} gives a tensor that is not a batch of maps")
        if node is not accumulator and node._input_metadata[number].dtype != leaf.dtype:
            raise NoWindows(f"{kind_of(node)} gives numbers of another precision")
        edges: list[PlanEdge] = []
        has_forward = True
        if node is not accumulator:
            on = [child in on_path for child, _ in _links(node)]
            reader = _READERS.get(kind_of(node))
            if reader is None:
                raise NoWindows(f"{kind_of(node)} is not known to work on windows")
            try:
                steps = reader(node, on, number, biases)
            except RuntimeError as error:  # a saved tensor was overwritten
                raise NoWindows(f"{kind_of(node)} has lost what it needs: {error}") from None
            for slot, (child, nr) in enumerate(_links(node)):
                if on[slot]:
                    edges.append(PlanEdge(index[child, nr], steps[slot]))
            has_forward = kind_of(node) not in ("Add", "Sub", "Cat") or all(on)
        vertices.append(PlanVertex((shape[1], shape[2], shape[3]), tuple(edges), kind_of(node) == "Cat", has_forward))
    return WindowPlan(_in_place(vertices), leaf.element_size())


def _in_place(vertices: list[PlanVertex]) -> list[PlanVertex]:
    """Let a ReLU work in place where no other step can look at the tensor that it is given."""
    above: dict[int, list[PlanEdge]] = {}
    for vertex in vertices:
        for edge in vertex.edges:
            above.setdefault(edge.lower, []).append(edge)

    def one_of_its_own(edges: Sequence[PlanEdge]) -> bool:
        return len(edges) > 1 or (len(edges) == 1 and edges[0].step.fresh)  # several are added or joined

    changed: list[PlanVertex] = []
    for number, vertex in enumerate(vertices):
        edge = vertex.edges[0] if len(vertex.edges) == 1 else None
        if edge is not None and isinstance(edge.step, RectificationStep):
            step = replace(
                edge.step,
                alone_forward=len(above[edge.lower]) == 1 and one_of_its_own(vertices[edge.lower].edges),
                alone_backward=one_of_its_own(above.get(number, [])),
            )
            vertex = replace(vertex, edges=(PlanEdge(edge.lower, step),))
        changed.append(vertex)
    return changed


_REARRANGING = ("View", "UnsafeView", "ReshapeAlias", "Transpose", "Permute", "Clone")


def _links(node: Any) -> Any:
    """What a node passes its signal to. An overwritten tensor's old values get none; a chain of views is one step."""
    links = node.next_functions
    if kind_of(node) in _REARRANGING and len(_shape(node, 0)) == 4 and links[0][0] is not None:
        with contextlib.suppress(NoWindows):
            return _chain(node)[-1].next_functions
    return ((None, 0), *links[1:]) if kind_of(node) == "Copy" else links


def _shape(node: Any, number: int) -> tuple[int, ...]:
    return tuple(node._input_metadata[number].shape)


def _below(node: Any, slot: int) -> tuple[int, ...]:
    child, number = node.next_functions[slot]
    if kind_of(child) == "AccumulateGrad":
        return tuple(child.variable.shape)
    return _shape(child, number)


def _same_size(node: Any, slot: int) -> None:
    if _below(node, slot) != _shape(node, 0):
        raise NoWindows(f"{kind_of(node)} spreads one of its maps over another")


Steps = dict[int, WindowStep]
_Reader = Callable[[Any, list[bool], int, "dict[Any, Tensor | None]"], Steps]


def _same(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    _same_size(node, 0)
    return {0: WindowStep()}


def _clone(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    return _same(node, on, number, biases) if len(_below(node, 0)) == 4 else _layout(node, on, number, biases)


def _copy(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    _same_size(node, 1)
    return {1: WindowStep()}


def _lrn_skip(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    return {0: SkipStep(node.compute)}


def _convolution(node: Any, on: list[bool], number: int, biases: dict[Any, Tensor | None]) -> Steps:
    weight = node._saved_weight
    if node._saved_transposed or weight.ndim != 4 or on != [True, False, False]:
        raise NoWindows("a transposed convolution is not known to work on windows")
    rows, columns = (
        Window(weight.shape[2 + axis], node._saved_stride[axis], node._saved_padding[axis], node._saved_dilation[axis])
        for axis in (0, 1)
    )
    step = ConvolutionStep(weight.detach(), (rows, columns), node._saved_groups, biases.get(node), node in biases)
    return {0: step}


def _rectify(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    if node.rule not in CELLWISE:
        raise NoWindows("a rule of one's own is not known to work cell by cell")
    return {0: RectificationStep(node.rule, node.forward_input, node.is_relu)}


def _max_pool(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    if node.windows is None:
        raise NoWindows("an adaptive max pool is not known to work on windows")
    return {0: UnpoolingStep(node.switches, node.size, node.windows, node.unpool)}


def _lrn_gradient(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    return {0: NormalizationStep(node.saved_tensors[0].detach(), node.constants)}


def _average_pool(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    sizes, strides, paddings = (
        list(each) * (3 - len(each)) if each else []
        for each in (node._saved_kernel_size, node._saved_stride, node._saved_padding)
    )
    windows = [Window(sizes[a], (strides or sizes)[a], paddings[a]) for a in (0, 1)]
    (_, _, *lengths), (_, _, *counts) = _below(node, 0), _shape(node, 0)
    if node._saved_divisor_override is not None:
        return {0: AveragingStep((windows[0], windows[1]), float(node._saved_divisor_override))}
    cells: list[Tensor] = []
    for window, length, count in zip(windows, lengths, counts, strict=True):
        first = torch.arange(count) * window.stride - window.padding
        end = (first + window.size).clamp(max=length + window.padding)  # ceil mode: a window may overhang
        if not node._saved_count_include_pad:
            first, end = first.clamp(min=0), end.clamp(max=length)
        cells.append(end - first)
    example = node._saved_self
    divisors = (cells[0][:, None] * cells[1]).to(example.device, example.dtype)[None, :, :, None]
    return {0: AveragingStep((windows[0], windows[1]), divisors, inside=not node._saved_count_include_pad)}


def _adaptive_average_pool(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    (_, _, *lengths), (_, _, *counts) = _below(node, 0), _shape(node, 0)
    if any(length % count for length, count in zip(lengths, counts, strict=True)):
        raise NoWindows("adaptive average pooling with windows of unlike sizes is not known to work on windows")
    rows, columns = (Window(n // m, n // m) for n, m in zip(lengths, counts, strict=True))
    return {0: AveragingStep((rows, columns), float(rows.size * columns.size))}


def _layout(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    """Views and transpositions that end where they began but for the order of the maps: a channel shuffle."""
    chain = _chain(node)
    bottom, nr = chain[-1].next_functions[0]
    shape = tuple(bottom.variable.shape) if kind_of(bottom) == "AccumulateGrad" else _shape(bottom, nr)
    if any(_shape(each, 0)[0] != shape[0] or _moves_photos(each) for each in chain):
        raise NoWindows(f"{kind_of(node)} may rearrange photos, not maps alone")
    shape = (1, *shape[1:])  # one photo tells of all
    cells = torch.arange(math.prod(shape)).view(shape)
    moved = cells
    for each in reversed(chain):
        moved = _rearranged(moved, each)
    order = moved[0, :, 0, 0].div(math.prod(shape[2:]), rounding_mode="floor")
    if moved.shape != cells.shape or int(order.max()) >= shape[1] or not torch.equal(moved, cells[:, order]):
        raise NoWindows(f"{kind_of(node)} rearranges cells, not maps alone")
    return {0: ShuffleStep(order.to(node._input_metadata[0].device))}


def _channel_shuffle(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    groups = int(node._saved_groups)
    order = torch.arange(_below(node, 0)[1]).view(groups, -1).t().flatten()
    return {0: ShuffleStep(order.to(node._input_metadata[0].device))}


def _chain(node: Any) -> list[Any]:
    """From a node that gives maps down through nodes that only rearrange, to one whose input is a batch of maps."""
    chain = [node]
    while len(_below(chain[-1], 0)) != 4:
        child = chain[-1].next_functions[0][0]
        if kind_of(child) not in _REARRANGING:
            raise NoWindows(f"{kind_of(child)} gives a tensor that is not a batch of maps")
        chain.append(child)
    return chain


def _moves_photos(node: Any) -> bool:
    kind, axes = kind_of(node), len(_shape(node, 0))
    if kind == "Transpose":
        return 0 in (signed(node._saved_dim0) % axes, signed(node._saved_dim1) % axes)
    return kind == "Permute" and signed(node._saved_dims[0]) % axes != 0


def _rearranged(cells: Tensor, node: Any) -> Tensor:
    kind = kind_of(node)
    if kind == "Transpose":
        return cells.transpose(signed(node._saved_dim0), signed(node._saved_dim1))
    if kind == "Permute":
        return cells.permute([signed(dim) for dim in node._saved_dims])
    return cells.reshape((1, *_shape(node, 0)[1:]))


def _pad(node: Any, on: list[bool], number: int, biases: dict[Any, Tensor | None]) -> Steps:
    amounts = [signed(each) for each in node._saved_pad]
    if any(amounts[4:]):
        raise NoWindows("padding along the maps is not known to work on windows")
    left, top = (amounts[0] if amounts else 0), (amounts[2] if len(amounts) > 2 else 0)
    return {0: ShiftStep((top, left), node in biases)}  # noted there only if it pads with zeros


def _add(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    steps: Steps = {}
    sign = -1 if kind_of(node) == "Sub" else 1
    for slot in range(2):
        if on[slot]:
            _same_size(node, slot)
            factor = 1 if slot == 0 else sign * node._saved_alpha
            steps[slot] = WindowStep() if factor == 1 else ScaleStep(float(factor))
    return steps


def _times(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    slot = on.index(True)
    _same_size(node, slot)
    factor = node._saved_other if slot == 0 else node._saved_self
    dividing = kind_of(node) == "Div"
    if dividing and getattr(node, "_saved_rounding_mode", None):
        raise NoWindows("a division with rounding is not known to work on windows")
    if sum(on) != 1 or (dividing and slot == 1):
        raise NoWindows(f"{kind_of(node)} of two signals is not known to work on windows")
    factor = _everywhere(factor, node)
    return {slot: ScaleStep(1 / factor if dividing else factor)}


def _everywhere(factor: Tensor, node: Any) -> Tensor | float:
    if factor.numel() == 1:
        return float(factor)
    if factor.ndim > 4 or factor.ndim < 3 or any(n != 1 for n in (*factor.shape[-2:], *factor.shape[:-3])):
        raise NoWindows(f"{kind_of(node)} by numbers that differ from cell to cell is not known to work on windows")
    return factor.detach()


def _batch_norm(node: Any, on: list[bool], number: int, biases: dict[Any, Tensor | None]) -> Steps:
    if node._saved_training or on != [True, False, False]:
        raise NoWindows("a batch norm without running statistics is not known to work on windows")
    factor = (node._saved_running_var + node._saved_eps).rsqrt()
    if node._saved_weight is not None:
        factor = factor * node._saved_weight
    shift = -node._saved_running_mean * factor
    bias = biases.get(node)
    if bias is not None:
        shift = shift + bias
    factor, shift = (each.detach()[None, :, None, None] for each in (factor, shift))
    return {0: ScaleStep(factor, shift, node in biases)}


def _cat(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    total = _shape(node, 0)[1]
    if _axis(node) != 1:
        raise NoWindows("a concatenation along an image axis is not known to work on windows")
    counts = [0 if child is None else _below(node, slot)[1] for slot, (child, _) in enumerate(node.next_functions)]
    constant = [slot for slot, (child, _) in enumerate(node.next_functions) if child is None]
    if constant:
        if constant[-1] - constant[0] >= len(constant):
            raise NoWindows("a concatenation with several constants is not known to work on windows")
        counts[constant[0]] = total - sum(counts)  # the graph does not tell, but they lie side by side
    steps: Steps = {}
    for slot, here in enumerate(on):
        if here:
            first = sum(counts[:slot])
            steps[slot] = BranchStep(first, first + counts[slot])
    assert sum(counts) == total
    return steps


def _split(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    if _axis(node) != 1:
        raise NoWindows("a split along an image axis is not known to work on windows")
    counts = [meta.shape[1] for meta in node._input_metadata]
    first = sum(counts[:number])
    return {0: SliceStep(first, first + counts[number], _below(node, 0)[1])}


def _slice(node: Any, on: list[bool], number: int, biases: Any) -> Steps:
    total, count = _below(node, 0)[1], _shape(node, 0)[1]
    if _axis(node) != 1 or node._saved_step != 1:
        raise NoWindows("a slice along an image axis is not known to work on windows")
    first = signed(node._saved_start)
    first = max(first + total, 0) if first < 0 else first
    return {0: SliceStep(first, first + count, total)}


def _axis(node: Any) -> int:
    return signed(node._saved_dim) % 4


_READERS: dict[str, _Reader] = {
    "Clone": _clone,
    "Alias": _same,
    "AdaptiveAvgPool2D": _adaptive_average_pool,
    "ChannelShuffle": _channel_shuffle,
    "View": _layout,
    "UnsafeView": _layout,
    "ReshapeAlias": _layout,
    "Transpose": _layout,
    "Permute": _layout,
    "Copy": _copy,
    "LrnSkip": _lrn_skip,
    "Convolution": _convolution,
    "Rectify": _rectify,
    "MaxPool": _max_pool,
    "LrnGradient": _lrn_gradient,
    "AvgPool2D": _average_pool,
    "ConstantPadNd": _pad,
    "Add": _add,
    "Sub": _add,
    "Mul": _times,
    "Div": _times,
    "NativeBatchNorm": _batch_norm,
    "CudnnBatchNorm": _batch_norm,
    "Cat": _cat,
    "Split": _split,
    "SplitWithSizes": _split,
    "Slice": _slice,
}
