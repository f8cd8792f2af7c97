"""Backward passes through windows: all units whose windows have one form together, as many as the memory allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deconvnet.geometry import Box
from deconvnet.projection._plan import PlanSpan, WindowPlan
from deconvnet.projection._steps import Alignment, OneHot, WindowBatch, dense

_FAST = 24 * 2**20
"""Bytes of the largest patch of a batch: about what a processor's cache holds (measured; 7 and 40 MiB were slower)."""


@dataclass(frozen=True)
class BackwardStart:
    """Where a backward pass starts.

    Attributes
    ----------
    index : int
        Of the projection in the result.
    row : int
        Of the photo in its batch.
    channel : int
    position : (int, int)
    value : float
        What the unit starts with.
    """

    index: int
    row: int
    channel: int
    position: tuple[int, int]
    value: float


@dataclass(frozen=True)
class WindowGroup:
    """Starts whose windows have one form, with the windows of each."""

    starts: list[BackwardStart]
    rows: list[PlanSpan]
    columns: list[PlanSpan]


def groups(plan: WindowPlan, starts: Sequence[BackwardStart], memory: int) -> list[WindowGroup]:
    """Group what is computed together. A unit that sees padding alone is left out: it projects to nothing."""
    by_form: dict[object, WindowGroup] = {}
    for start in starts:
        rows, columns = plan.span(0, start.position[0]), plan.span(1, start.position[1])
        if not rows.sizes[-1] or not columns.sizes[-1]:
            continue
        group = by_form.setdefault((rows.form, columns.form), WindowGroup([], [], []))
        group.starts.append(start)
        group.rows.append(rows)
        group.columns.append(columns)
    parts: list[WindowGroup] = []
    for group in by_form.values():
        size = batch(plan, group.rows[0], group.columns[0], memory)
        size = -(-len(group.starts) // -(-len(group.starts) // size))  # parts of one size: convolutions like no crumbs
        for first in range(0, len(group.starts), size):
            part = slice(first, first + size)
            parts.append(WindowGroup(group.starts[part], group.rows[part], group.columns[part]))
    return parts


def batch(plan: WindowPlan, rows: PlanSpan, columns: PlanSpan, memory: int) -> int:
    """How many units are computed at once in ``memory`` bytes; at least 1."""
    itemsize = plan.itemsize
    patches = [
        vertex.shape[0] * height * width * itemsize
        for vertex, height, width in zip(plan.vertices, rows.sizes, columns.sizes, strict=True)
    ]
    # All patches, forward and backward, and working space: an index (twice 8 bytes a cell) and copies of the largest.
    unit = 2 * sum(patches) + 8 * max(patches)
    return max(1, min(memory // unit, _FAST // max(patches)))


def boxes(group: WindowGroup) -> list[Box]:
    """The window of pixels of each unit, inside the image."""
    return [
        Box(r.starts[-1], c.starts[-1], r.starts[-1] + r.sizes[-1], c.starts[-1] + c.sizes[-1])
        for r, c in zip(group.rows, group.columns, strict=True)
    ]


def backward(plan: WindowPlan, group: WindowGroup, like: Tensor) -> Tensor:
    """The projections of a group on their windows of pixels, U x C x h x w.

    Parameters
    ----------
    plan, group
    like : Tensor
        Of the device and precision to work in.
    """
    rows, columns = group.rows[0], group.columns[0]

    def saved(number: int, which: int, fit: Alignment) -> Any:
        edge = plan.vertices[number].edges[which]
        return edge.step.saved_from_maps(places[number], places[edge.lower], fit)

    photos = torch.tensor([start.row for start in group.starts], device=like.device)
    tops = torch.tensor([span.starts for span in group.rows], device=like.device)
    lefts = torch.tensor([span.starts for span in group.columns], device=like.device)
    places = [
        WindowBatch(photos, tops[:, number], lefts[:, number], rows.sizes[number], columns.sizes[number])
        for number in range(len(plan.vertices))
    ]
    values = torch.tensor([start.value for start in group.starts], device=like.device, dtype=like.dtype)
    return _backward(plan, group, values, saved)


def forward_and_backward(
    plan: WindowPlan, group: WindowGroup, photos: Tensor, value: float | None, inactive: bool, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Forward pass and projections of a group on windows alone.

    Parameters
    ----------
    plan, group
        ``row`` of each start is that of its photo in ``photos``.
    photos : Tensor, N x C x H x W
    value : float or None
        What the backward passes start with; None for the unit's activation.
    inactive : bool
        Whether units whose activation is not above zero are projected too.
    like : Tensor
        Of the device and precision to work in.

    Returns
    -------
    activations : Tensor (U,)
    projections : Tensor, U x C x h x w
        0 where the activation is not above zero, unless ``inactive``.

    Notes
    -----
    In the forward pass, tensors keep torch's usual memory order, because a convolution then adds in the same order as
    on the whole map: a maximum that another cell nearly equals stays where the whole pass finds it.
    """
    rows, columns = group.rows[0], group.columns[0]
    values: list[Tensor | None] = [None] * len(plan.vertices)
    values[-1] = torch.stack(
        [
            photos[start.row, :, box.top : box.bottom, box.left : box.right]
            for start, box in zip(group.starts, boxes(group), strict=True)
        ]
    ).to(like.device, like.dtype)
    saved: dict[tuple[int, int], Any] = {}
    uses = plan.uses.copy()
    for number in range(len(plan.vertices) - 2, -1, -1):
        vertex = plan.vertices[number]
        branches: list[Tensor] = []
        for which, edge in enumerate(vertex.edges):
            below = values[edge.lower]
            assert below is not None
            fit = plan.fit(rows, columns, number, which)
            assert fit is not None
            branch, saved[number, which] = edge.step.forward(below, fit, rows.sizes[number], columns.sizes[number])
            branches.append(branch)
            uses[edge.lower] -= 1
            if not uses[edge.lower]:
                values[edge.lower] = None
        values[number] = torch.cat(branches, 1) if vertex.joined else sum(branches[1:], branches[0])
    top = values[0]
    assert top is not None
    channels = torch.tensor([start.channel for start in group.starts], device=like.device)
    activations = top[:, :, 0, 0].gather(1, channels[:, None])[:, 0]
    values = []
    starts = activations if value is None else torch.full_like(activations, value)
    if not inactive:
        starts = torch.where(activations > 0, starts, 0.0)
    return activations, _backward(plan, group, starts, lambda number, which, fit: saved.pop((number, which)))


def _backward(
    plan: WindowPlan, group: WindowGroup, values: Tensor, saved: Callable[[int, int, Alignment], Any]
) -> Tensor:
    """From the units to the pixels; ``saved`` gives what an edge must know of the forward pass."""
    rows, columns = group.rows[0], group.columns[0]
    signal: Tensor | OneHot | None = None
    channels = torch.tensor([start.channel for start in group.starts], device=values.device)
    signals: dict[int, Tensor | OneHot] = {0: OneHot(channels, values, plan.vertices[0].shape[0])}
    for number, vertex in enumerate(plan.vertices):
        signal = signals.pop(number, None)
        if not vertex.edges:
            break
        for which, edge in enumerate(vertex.edges):
            fit = plan.fit(rows, columns, number, which)
            if signal is None or fit is None:
                continue
            passed = edge.step.backward(signal, saved(number, which, fit), fit)
            other = signals.get(edge.lower)
            signals[edge.lower] = passed if other is None else dense(other) + dense(passed)
    if signal is None:  # rows and columns are reached by different branches: no pixel is
        return values.new_zeros((len(values), plan.vertices[-1].shape[0], rows.sizes[-1], columns.sizes[-1]))
    return dense(signal).clone(memory_format=torch.contiguous_format)  # the next batch works where this one did
