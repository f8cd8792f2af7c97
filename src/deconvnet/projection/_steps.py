"""The steps of the backward pass that work on windows, each beside its forward step.

A step leads from a map to one that it was computed from. ``below`` says which cells of the lower map a span of cells of
the upper one was computed from; ``backward`` passes a signal on a window of the upper map to a window of the lower one;
``saved_from_maps`` cuts from a finished forward pass what ``backward`` must know of it (switches, forward inputs);
``forward`` computes the upper window from the lower one, and gives what ``backward`` must know of that.

Windows of a batch have one size and an origin each. Tensors are U x C x h x w; in the backward pass in
channels-last memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deconvnet.geometry import Window
from deconvnet.projection._lrn import LrnConstants, LrnFactors
from deconvnet.projection._pooling import scatter_by_cells, unpool_by_switches
from deconvnet.projection._rules import Rule
from deconvnet.projection._rules import deconvnet as deconvnet_rule

_FEW_MAPS = 16
_TRIED = 2
"""Units on which a convolution's two memory orders are compared."""


@dataclass(frozen=True)
class WindowBatch:
    """Where the windows of a batch of units lie in one map: int64 tensors of length U, and the common size."""

    rows: Tensor  # of the batch of photos
    tops: Tensor
    lefts: Tensor
    height: int
    width: int

    def cut(self, maps: Tensor) -> Tensor:
        """Windows U x h x w x C of maps given as N x H x W x C."""
        count, height, width, channels = maps.shape
        down = torch.arange(self.height, device=maps.device)[:, None]
        right = torch.arange(self.width, device=maps.device)
        first = (self.rows * height + self.tops) * width + self.lefts
        cells = first[:, None, None] + down * width + right
        flat = maps.reshape(count * height * width, channels)
        return flat.index_select(0, cells.flatten()).view(*cells.shape, channels)


@dataclass(frozen=True)
class Alignment:
    """How the cells of ``below`` lie in the lower window: the offset of the first one, and the window's size.

    The offset is negative where ``below`` leaves the map, positive where another branch needs a larger window.
    """

    top: int
    left: int
    height: int
    width: int

    def place(self, patch: Tensor) -> Tensor:
        """A patch on the cells of ``below``, cut or framed with zeros to the lower window."""
        bottom, right = self.height - self.top - patch.shape[2], self.width - self.left - patch.shape[3]
        patch = patch[
            :,
            :,
            max(-self.top, 0) : patch.shape[2] + min(bottom, 0),
            max(-self.left, 0) : patch.shape[3] + min(right, 0),
        ]
        frame = (max(self.left, 0), max(right, 0), max(self.top, 0), max(bottom, 0))
        return F.pad(patch, frame) if any(frame) else patch

    def take(self, patch: Tensor, height: int, width: int, outside: float = 0.0) -> Tensor:
        """The ``height`` x ``width`` cells of ``below`` from the lower window; ``outside`` where they leave the map."""
        bottom, right = self.top + height, self.left + width
        inside = patch[:, :, max(self.top, 0) : min(bottom, self.height), max(self.left, 0) : min(right, self.width)]
        frame = (max(-self.left, 0), max(right - self.width, 0), max(-self.top, 0), max(bottom - self.height, 0))
        return F.pad(inside, frame, value=outside) if any(frame) else inside


@dataclass(frozen=True)
class OneHot:
    """Windows of one cell in which a single channel differs from 0: what every backward pass starts from."""

    channels: Tensor  # int64, U
    values: Tensor  # U
    width: int

    def dense(self) -> Tensor:
        """U x C x 1 x 1."""
        signal = self.values.new_zeros((len(self.values), self.width))
        return signal.scatter_(1, self.channels[:, None], self.values[:, None])[:, :, None, None]


class WindowStep:
    """Cell by cell: the signal untouched, unless a subclass says otherwise."""

    has_forward = True  # whether ``forward`` is known
    fresh = False  # whether ``forward`` and ``backward`` give a tensor of their own, never one that they were given

    def below(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        """First and one past the last lower cell that the upper cells ``start`` to ``stop`` - 1 were computed from."""
        return start, stop

    def saved_from_maps(self, upper: WindowBatch, lower: WindowBatch, fit: Alignment) -> Any:
        """What ``backward`` must know of the forward pass, cut from the whole maps."""
        return None

    def without_maps(self) -> WindowStep:
        """The step without the maps of a forward pass: ``forward`` works, and ``backward`` with what that gave."""
        return self

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        """Upper window from the lower one, and what ``backward`` must know."""
        return fit.take(value, height, width), None

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor | OneHot:
        """Signal on the lower window from the one on the upper."""
        if isinstance(signal, OneHot):
            if fit == Alignment(0, 0, 1, 1):
                return signal
            signal = signal.dense()
        return fit.place(signal)


def dense(signal: Tensor | OneHot) -> Tensor:
    """The signal as a tensor."""
    return signal.dense() if isinstance(signal, OneHot) else signal


@dataclass
class ScaleStep(WindowStep):
    """Times a constant, the same everywhere in a map: a number, or 1 x C x 1 x 1. ``shift`` is added forward."""

    factor: Tensor | float
    shift: Tensor | None = None
    has_forward: bool = True
    fresh = True

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        scaled = fit.take(value, height, width) * self.factor
        return (scaled if self.shift is None else scaled + self.shift), None

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        return fit.place(dense(signal) * self.factor)


@dataclass
class ShiftStep(WindowStep):
    """Constant padding in front of a map (or cutting, where negative)."""

    amounts: tuple[int, int]  # top, left
    has_forward: bool = True

    def below(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        return start - self.amounts[axis], stop - self.amounts[axis]


@dataclass
class BranchStep(WindowStep):
    """Channels ``first`` to ``last`` - 1 of the upper map are the lower map: a branch of a concatenation."""

    first: int
    last: int

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        return fit.place(dense(signal)[:, self.first : self.last])


@dataclass
class SliceStep(WindowStep):
    """The upper map is channels ``first`` onwards of ``total`` in the lower map: a slice of it."""

    first: int
    last: int
    total: int

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        return fit.take(value[:, self.first : self.last], height, width), None

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        return fit.place(F.pad(dense(signal), (0, 0, 0, 0, self.first, self.total - self.last)))


@dataclass
class ShuffleStep(WindowStep):
    """Channel c of the upper map is channel ``order[c]`` of the lower one."""

    order: Tensor  # int64, C
    fresh = True

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        return fit.take(value, height, width).index_select(1, self.order), None

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        back = dense(signal).permute(0, 2, 3, 1).index_select(3, self.order.argsort())
        return fit.place(back.permute(0, 3, 1, 2))


class _SlidingStep(WindowStep):
    windows: tuple[Window, Window]

    def below(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        window = self.windows[axis]
        first = start * window.stride - window.padding
        return first, first + (stop - 1 - start) * window.stride + window.extent

    def _spread(self, height: int, width: int) -> tuple[int, int]:
        """Size of what ``below`` gives for ``height`` x ``width`` cells."""
        rows, columns = self.windows
        return (height - 1) * rows.stride + rows.extent, (width - 1) * columns.stride + columns.extent

    @property
    def _stride(self) -> tuple[int, int]:
        return self.windows[0].stride, self.windows[1].stride

    @property
    def _dilation(self) -> tuple[int, int]:
        return self.windows[0].dilation, self.windows[1].dilation


@dataclass
class ConvolutionStep(_SlidingStep):
    """Filter forward, transposed filter backward, where the bias plays no part (Sec. 2.1)."""

    weight: Tensor  # out x in / groups x height x width
    windows: tuple[Window, Window]
    groups: int
    bias: Tensor | None = None
    has_forward: bool = True
    fresh = True
    _alike: bool | None = None  # the outcome of `_either_layout`

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        seen = fit.take(value, *self._spread(height, width)).contiguous()
        if self._either_layout(seen):
            seen = seen.contiguous(memory_format=torch.channels_last)
        return self._filter(seen), None

    def _filter(self, maps: Tensor) -> Tensor:
        return F.conv2d(maps, self.weight, self.bias, self._stride, 0, self._dilation, self.groups)

    def _either_layout(self, maps: Tensor) -> bool:
        """Whether maps in channels-last memory give the same bits as in torch's usual order.

        They were seen to where few maps come in. What comes out is then as the pool above wants it, so it is tried.
        """
        if self.weight.shape[1] * self.groups > _FEW_MAPS or len(maps) < _TRIED:
            return False
        if self._alike is None:
            some = maps[:_TRIED]
            last = some.contiguous(memory_format=torch.channels_last)
            self._alike = torch.equal(self._filter(some), self._filter(last))
        return self._alike

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        if isinstance(signal, OneHot):
            if self.groups == 1 and self._dilation == (1, 1):
                return fit.place(self.weight.index_select(0, signal.channels) * signal.values[:, None, None, None])
            signal = signal.dense()
        if self._phases is not None:
            return fit.place(self._by_phases(signal, self._phases))
        weight, groups = self._last, self.groups
        return fit.place(
            F.conv_transpose2d(signal, weight, stride=self._stride, dilation=self._dilation, groups=groups)
        )

    @cached_property
    def _last(self) -> Tensor:
        return self.weight.contiguous(memory_format=torch.channels_last)

    @cached_property
    def _phases(self) -> Tensor | None:
        """The transposed filter as a plain one: faster where few maps come out of a stride.

        Output channels are (phase of the row, phase of the column, map): neighbouring cells of the lower map.
        """
        (tall, wide), (count, maps, height, width) = self._stride, self.weight.shape
        if tall * wide == 1 or self.groups > 1 or self._dilation != (1, 1) or maps > _FEW_MAPS:
            return None
        rows, columns = -(-height // tall), -(-width // wide)  # taps of each phase
        framed = F.pad(self.weight, (0, columns * wide - width, 0, rows * tall - height))
        framed = framed.view(count, maps, rows, tall, columns, wide).flip(2, 4)
        filters = framed.permute(3, 5, 1, 0, 2, 4).reshape(tall * wide * maps, count, rows, columns)
        return filters.contiguous(memory_format=torch.channels_last)

    def _by_phases(self, signal: Tensor, filters: Tensor) -> Tensor:
        (tall, wide), maps = self._stride, self.weight.shape[1]
        spread = F.conv2d(signal, filters, padding=(filters.shape[2] - 1, filters.shape[3] - 1)).permute(0, 2, 3, 1)
        units, rows, columns, _ = spread.shape
        cells = spread.reshape(units, rows, columns, tall, wide * maps).transpose(2, 3)
        length, breadth = self._spread(*signal.shape[2:])
        result = cells.reshape(units, rows * tall, columns * wide, maps)
        return result[:, :length, :breadth].permute(0, 3, 1, 2)


@dataclass
class RectificationStep(WindowStep):
    """A ReLU by its rule, which works cell by cell.

    Where nothing else looks at the tensor that it is given (``alone_forward``, ``alone_backward``), it works in place.
    """

    rule: Rule
    forward_input: Tensor | None
    has_forward: bool  # whether it is the ReLU itself, not another activation treated like one
    alone_forward: bool = False
    alone_backward: bool = False

    @cached_property
    def _last(self) -> Tensor | None:
        return None if self.forward_input is None else self.forward_input.permute(0, 2, 3, 1).contiguous()

    def without_maps(self) -> WindowStep:
        return replace(self, forward_input=None)

    def saved_from_maps(self, upper: WindowBatch, lower: WindowBatch, fit: Alignment) -> Any:
        return None if self._last is None else upper.cut(self._last).permute(0, 3, 1, 2)

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        seen = fit.take(value, height, width)
        lifted = seen.clamp_(min=0) if self.alone_forward else seen.clamp(min=0)
        return lifted, lifted  # positive where the input was: all that the rules ask

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        if self.alone_backward and self.rule is deconvnet_rule:
            return fit.place(dense(signal).clamp_(min=0))
        return fit.place(self.rule(dense(signal), saved))


@dataclass
class UnpoolingStep(_SlidingStep):
    """Max pooling forward; unpooling by its switches backward (Sec. 2.1)."""

    switches: Tensor  # N x C x h x w: row * W + column of the map below
    size: tuple[int, int]  # H, W of the map below
    windows: tuple[Window, Window]
    unpool: str
    fresh = True

    def __post_init__(self) -> None:
        self.has_forward = self.unpool == "sum"  # the other ways ask for switches outside the window

    @cached_property
    def _working_space(self) -> list[Tensor]:
        """What one batch of units filled and the next may fill again: fresh memory costs more than the filling."""
        return []

    def without_maps(self) -> WindowStep:
        return replace(self, switches=self.switches[:0].clone())

    def saved_from_maps(self, upper: WindowBatch, lower: WindowBatch, fit: Alignment) -> Any:
        """Number of the cell in the lower window for each upper cell; how many upper cells of the whole map share it.

        The latter is U x h x w x C, or None where it plays no part.
        """
        channels = self.switches.shape[1]
        cells, rows = self._cells
        codes = upper.cut(cells).sub_(upper.cut(rows), alpha=(self.size[1] - lower.width) * channels)
        codes.sub_(((lower.tops * lower.width + lower.lefts) * channels)[:, None, None, None])
        return codes, (None if self.unpool == "sum" else lower.cut(self._shared))

    @cached_property
    def _cells(self) -> tuple[Tensor, Tensor]:
        """Of each switch its number in channels-last order, and its row; N x h x w x C."""
        last = self.switches.permute(0, 2, 3, 1).contiguous()
        rows = last.div(self.size[1], rounding_mode="floor").to(torch.int32)
        channels = last.shape[-1]
        return last * channels + torch.arange(channels, device=last.device), rows

    @cached_property
    def _shared(self) -> Tensor:
        ones = torch.ones_like(self.switches, dtype=torch.float32)
        return unpool_by_switches(ones, self.switches, self.size, "sum").permute(0, 2, 3, 1).contiguous()

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        spread = self._spread(height, width)
        seen = fit.take(value, *spread, outside=-torch.inf).contiguous(memory_format=torch.channels_last)
        size = self.windows[0].size, self.windows[1].size
        maxima, switches = F.max_pool2d(seen, size, self._stride, 0, self._dilation, return_indices=True)
        codes, channels = switches.permute(0, 2, 3, 1), value.shape[1]
        if fit.width != spread[1]:  # rows of another length
            codes.add_(codes.div(spread[1], rounding_mode="floor"), alpha=fit.width - spread[1])
        codes.mul_(channels)
        first = (fit.top * fit.width + fit.left) * channels
        codes.add_(torch.arange(first, first + channels, device=codes.device))
        return maxima, (codes, None)

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        values = dense(signal).permute(0, 2, 3, 1)
        units, _, _, channels = values.shape
        cells = fit.height * fit.width * channels
        codes, shared = saved
        first = torch.arange(0, units * cells, cells, device=codes.device)
        codes = codes.add_(first[:, None, None, None]).reshape(-1)
        values = values.reshape(-1)
        if self.unpool == "mean":
            filled = scatter_by_cells(values, codes, units * cells, "sum") / shared.reshape(-1).clamp(min=1).to(
                values.dtype
            )
        else:
            filled = scatter_by_cells(values, codes, units * cells, self.unpool, self._working_space)
        if self.unpool == "place":  # upper cells outside the window compete too: their signal is 0
            here = scatter_by_cells(torch.ones_like(values), codes, units * cells, "sum")
            filled = torch.where(here < shared.reshape(-1), filled.clamp(min=0), filled)
        return filled.view(units, fit.height, fit.width, channels).permute(0, 3, 1, 2)


@dataclass
class AveragingStep(_SlidingStep):
    """Average pooling; ``divisors`` holds what each upper cell's sum was divided by, 1 x h x w x 1.

    ``inside`` says that only cells of the map were counted, not those of its padding.
    """

    windows: tuple[Window, Window]
    divisors: Tensor | float
    inside: bool = False
    fresh = True

    def __post_init__(self) -> None:
        # Where windows overhang the padding (ceil mode), the divisor cannot be told from the window alone.
        alike = not isinstance(self.divisors, Tensor) or bool((self.divisors == self.divisors.flatten()[0]).all())
        self.has_forward = self.inside or alike

    def saved_from_maps(self, upper: WindowBatch, lower: WindowBatch, fit: Alignment) -> Any:
        if not isinstance(self.divisors, Tensor):
            return self.divisors
        one = WindowBatch(torch.zeros_like(upper.rows), upper.tops, upper.lefts, upper.height, upper.width)
        return one.cut(self.divisors).permute(0, 3, 1, 2)

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        spread = self._spread(height, width)
        divisors: Tensor | float
        if self.inside:
            divisors = self._sums(fit.take(torch.ones_like(value[:1, :1]), *spread))
        elif isinstance(self.divisors, Tensor):
            divisors = float(self.divisors.flatten()[0])
        else:
            divisors = self.divisors
        return self._sums(fit.take(value, *spread).contiguous()) / divisors, divisors

    def _sums(self, maps: Tensor) -> Tensor:
        size = self.windows[0].size, self.windows[1].size
        return F.avg_pool2d(maps, size, self._stride, divisor_override=1)

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        shares = dense(signal) / saved
        maps = shares.shape[1]
        ones = shares.new_ones((maps, 1, self.windows[0].size, self.windows[1].size))
        return fit.place(F.conv_transpose2d(shares, ones, stride=self._stride, groups=maps))


@dataclass
class NormalizationStep(WindowStep):
    """Local response normalisation with its true gradient: it mixes maps, but not cells."""

    maps: Tensor  # that were normalised, N x C x h x w
    constants: LrnConstants

    @cached_property
    def _factors(self) -> LrnFactors:
        return LrnFactors.of(self.maps, self.constants)

    def without_maps(self) -> WindowStep:
        return replace(self, maps=self.maps[:0].clone())

    def saved_from_maps(self, upper: WindowBatch, lower: WindowBatch, fit: Alignment) -> Any:
        return self._factors.cut(upper.cut)

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        return self.constants.normalize_and_keep(fit.take(value, height, width))

    def backward(self, signal: Tensor | OneHot, saved: Any, fit: Alignment) -> Tensor:
        return fit.place(saved.backward(dense(signal)))


@dataclass
class SkipStep(WindowStep):
    """A step that the signal passes untouched backward, and that computes something forward (LRN skipped)."""

    compute: Callable[[Tensor], Tensor] | None

    def __post_init__(self) -> None:
        self.has_forward = self.compute is not None

    def forward(self, value: Tensor, fit: Alignment, height: int, width: int) -> tuple[Tensor, Any]:
        assert self.compute is not None
        return self.compute(fit.take(value, height, width).contiguous()), None
