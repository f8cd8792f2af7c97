"""A plan that works on windows: the maps between a layer and the pixels, and the steps between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from deconvnet.projection._steps import Alignment, ConvolutionStep, WindowStep


class NoWindows(Exception):
    """The path has a step that is not known to work on windows; says which."""


@dataclass(frozen=True)
class PlanEdge:
    """A step down to the vertex number ``lower``."""

    lower: int
    step: WindowStep


@dataclass(frozen=True)
class PlanVertex:
    """A map on the path: its shape C x H x W and the steps down from it. Forward, branches are added or joined."""

    shape: tuple[int, int, int]
    edges: tuple[PlanEdge, ...]
    joined: bool = False
    has_forward: bool = True


@dataclass(frozen=True)
class PlanSpan:
    """Along one axis, for one position of the unit: every vertex's window, and how each edge's cells lie in the lower.

    Units with equal ``form`` are projected together.
    """

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    offsets: tuple[tuple[int | None, ...], ...]  # None: the edge leads to padding alone

    @property
    def reaches(self) -> bool:
        """Whether every edge leads to cells of its map, not to padding alone."""
        return all(offset is not None for each in self.offsets for offset in each)

    @property
    def form(self) -> tuple[Any, ...]:
        return self.sizes, self.offsets


class WindowPlan:
    """Vertices from the asked layer's output, number 0, to the pixels, the last; each after all above it."""

    def __init__(self, vertices: list[PlanVertex], itemsize: int) -> None:
        self.vertices, self.itemsize = vertices, itemsize
        self.uses = Counter(edge.lower for vertex in vertices for edge in vertex.edges)
        self._spans: dict[tuple[int, int], PlanSpan] = {}

    @property
    def has_forward(self) -> bool:
        """Whether the plan also knows the forward pass."""
        return all(v.has_forward and all(edge.step.has_forward for edge in v.edges) for v in self.vertices)

    def without_maps(self) -> WindowPlan:
        """The plan without the maps of the forward pass that it was read from."""
        return WindowPlan(
            [
                replace(v, edges=tuple(PlanEdge(edge.lower, edge.step.without_maps()) for edge in v.edges))
                for v in self.vertices
            ],
            self.itemsize,
        )

    def span(self, axis: int, position: int) -> PlanSpan:
        """The windows that a unit's projection can reach, cut to the maps."""
        if (axis, position) not in self._spans:
            self._spans[axis, position] = self._find_span(axis, position)
        return self._spans[axis, position]

    def _find_span(self, axis: int, position: int) -> PlanSpan:
        spans = [(0, 0)] * len(self.vertices)
        spans[0] = (position, position + 1)
        below: list[list[int | None]] = []
        for vertex, here in zip(self.vertices, spans, strict=True):
            firsts: list[int | None] = []
            for edge in vertex.edges:
                first, stop = edge.step.below(axis, *here)
                start, stop = max(first, 0), min(stop, self.vertices[edge.lower].shape[1 + axis])
                known = spans[edge.lower]
                reaches = here[0] < here[1] and start < stop
                firsts.append(first if reaches else None)
                if reaches:
                    known = (start, stop) if known == (0, 0) else (min(start, known[0]), max(stop, known[1]))
                    spans[edge.lower] = known
            below.append(firsts)
        offsets = tuple(
            tuple(
                None if first is None else first - spans[edge.lower][0]
                for edge, first in zip(vertex.edges, firsts, strict=True)
            )
            for vertex, firsts in zip(self.vertices, below, strict=True)
        )
        return PlanSpan(tuple(a for a, _ in spans), tuple(b - a for a, b in spans), offsets)

    def fit(self, rows: PlanSpan, columns: PlanSpan, upper: int, number: int) -> Alignment | None:
        """How the cells of an edge lie in its lower window; None if they are all padding."""
        lower = self.vertices[upper].edges[number].lower
        top, left = rows.offsets[upper][number], columns.offsets[upper][number]
        if top is None or left is None:
            return None
        return Alignment(top, left, rows.sizes[lower], columns.sizes[lower])

    def work(self, rows: PlanSpan | None = None, columns: PlanSpan | None = None) -> int:
        """Multiply-adds of the convolutions once, on windows or on the whole maps."""
        total = 0
        for number, vertex in enumerate(self.vertices):
            height = rows.sizes[number] if rows else vertex.shape[1]
            width = columns.sizes[number] if columns else vertex.shape[2]
            for edge in vertex.edges:
                if isinstance(edge.step, ConvolutionStep):
                    total += height * width * edge.step.weight.numel()
        return total
