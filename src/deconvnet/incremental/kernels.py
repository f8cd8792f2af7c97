"""How each kind of step computes its changed windows from those of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from deconvnet.incremental import spans as arithmetic
from deconvnet.incremental import winograd
from deconvnet.incremental.fields import WindowedValue, WindowPlacement
from deconvnet.incremental.simplify import PaddedConvolution, fill_in
from deconvnet.incremental.spans import Spans
from deconvnet.incremental.winograd import Winograd


class Batch(Protocol):
    """What a kernel may ask for while a batch of windows goes through the steps."""

    def window(self, step: int, want: WindowPlacement, border: float = 0.0) -> Tensor:
        """The positions ``want`` of a step's value, (N, ..., h, ..., w, ...)."""
        ...

    def place(self, step: int) -> WindowPlacement:
        """Where a step's windows lie."""
        ...

    def clean(self, step: int, want: WindowPlacement) -> Tensor:
        """The clean value at the positions ``want``, 0 outside the map."""
        ...

    def fresh(self, step: int) -> bool:
        """Whether nobody needs the value after this step, so that it may be overwritten."""
        ...


class Kernel(Protocol):
    """One step on windows."""

    makes_new: bool

    @property
    def axes(self) -> tuple[int, int]:
        """Which axes of its value are rows and columns."""
        ...

    @property
    def fields(self) -> tuple[int, ...]:
        """The steps whose windows it reads."""
        ...

    def spans(self, inputs: Sequence[Spans]) -> Spans:
        """Which positions change, from which positions of ``fields`` do."""
        ...

    def run(self, batch: Batch, want: WindowPlacement) -> Tensor:
        """The value in the windows ``want``."""
        ...

    def reads_beyond(self) -> bool:
        """Whether it reads inputs outside their own windows, so that their clean values are needed."""
        ...


@dataclass
class Sliding:
    """Convolution and pooling: the output's window reads the input's window with its surroundings."""

    source: int
    extent: tuple[int, int]
    stride: tuple[int, int]
    before: tuple[int, int]
    size: tuple[int, int]
    border: float
    operation: Callable[[Tensor, WindowPlacement], Tensor]
    axes: tuple[int, int] = (2, 3)
    makes_new = True

    @property
    def fields(self) -> tuple[int, ...]:
        return (self.source,)

    def spans(self, inputs: Sequence[Spans]) -> Spans:
        return arithmetic.slide(inputs[0], self.extent, self.stride, self.before, self.size)

    def run(self, batch: Batch, want: WindowPlacement) -> Tensor:
        seen = WindowPlacement(
            want.top * self.stride[0] - self.before[0],
            want.left * self.stride[1] - self.before[1],
            (want.height - 1) * self.stride[0] + self.extent[0],
            (want.width - 1) * self.stride[1] + self.extent[1],
        )
        return self.operation(batch.window(self.source, seen, self.border), want)

    def reads_beyond(self) -> bool:
        return True


@dataclass
class PointwiseKernel:
    """Each position from the same position of the inputs, of which some may be constants."""

    target: Callable[..., Any]
    args: Any
    kwargs: dict[str, Any]
    fields: tuple[int, ...]
    axes: tuple[int, int]
    constants: dict[int, Tensor | WindowedValue] = field(default_factory=dict)
    makes_new = True

    def spans(self, inputs: Sequence[Spans]) -> Spans:
        return arithmetic.union(list(inputs))

    def run(self, batch: Batch, want: WindowPlacement) -> Tensor:
        def value(step: int) -> Tensor:
            constant = self.constants.get(step)
            if isinstance(constant, WindowedValue):
                nowhere = WindowPlacement(torch.zeros_like(want.top), torch.zeros_like(want.left), 0, 0)
                return constant.read(nowhere, want)
            return batch.window(step, want) if constant is None else constant

        if self.target is torch.ops.aten.relu.default and batch.fresh(self.fields[0]):
            return value(self.fields[0]).relu_()
        return self.target(*fill_in(self.args, value), **fill_in(self.kwargs, value))

    def reads_beyond(self) -> bool:
        return len(self.fields) > 1


@dataclass
class ReshapeKernel:
    """The same positions under other axes."""

    source: int
    operation: Callable[[Tensor, int, int], Tensor]
    axes: tuple[int, int]
    makes_new = False

    @property
    def fields(self) -> tuple[int, ...]:
        return (self.source,)

    def spans(self, inputs: Sequence[Spans]) -> Spans:
        return inputs[0]

    def run(self, batch: Batch, want: WindowPlacement) -> Tensor:
        return self.operation(batch.window(self.source, want), want.height, want.width)

    def reads_beyond(self) -> bool:
        return False


@dataclass
class PaddingKernel:
    """Padding of the map by a value, or cropping."""

    source: int
    before: tuple[int, int]
    size: tuple[int, int]
    border: float
    axes: tuple[int, int]
    makes_new = False

    @property
    def fields(self) -> tuple[int, ...]:
        return (self.source,)

    def spans(self, inputs: Sequence[Spans]) -> Spans:
        return arithmetic.shift(inputs[0], self.before, self.size)

    def run(self, batch: Batch, want: WindowPlacement) -> Tensor:
        seen = WindowPlacement(want.top - self.before[0], want.left - self.before[1], want.height, want.width)
        return batch.window(self.source, seen, self.border)

    def reads_beyond(self) -> bool:
        return True


@dataclass
class ConvolutionKernel(Sliding):
    """A convolution: direct, or by Winograd, from the values or from their changes, whichever is quickest."""

    step: int = 0
    weights: PaddedConvolution | None = None
    quick: dict[int, Winograd] = field(default_factory=dict)

    @property
    def may_tile(self) -> bool:
        """Whether Winograd's algorithm can do it."""
        found = self.weights
        if found is None or found.weight.shape[2:] != (3, 3):
            return False
        return found.stride == (1, 1) and found.dilation == (1, 1) and found.groups == 1

    def run(self, batch: Batch, want: WindowPlacement) -> Tensor:
        assert self.weights is not None
        own = batch.place(self.source)
        way, m = self._quickest(own, want)
        if way == "direct":
            return Sliding.run(self, batch, want)
        if m not in self.quick:
            self.quick[m] = Winograd(self.weights.weight, m)
        if way == "gather":
            found = self._gathered(self.quick[m], batch, want)
        else:
            found = self._spread(self.quick[m], batch, own, want)
        return found.permute(0, 3, 1, 2)

    def _quickest(self, own: WindowPlacement, want: WindowPlacement) -> tuple[str, int]:
        assert self.weights is not None
        out, channels = self.weights.weight.shape[:2]
        costs = {("direct", 0): 9.0 * want.height * want.width * channels * out}
        for m in winograd.POINTS if self.may_tile else ():
            costs["gather", m] = winograd.gather_cost(m, want.height, want.width, channels, out)
            costs["spread", m] = winograd.spread_cost(m, own.height, own.width, channels, out)
        return min(costs, key=costs.__getitem__)

    def _gathered(self, quick: Winograd, batch: Batch, want: WindowPlacement) -> Tensor:
        assert self.weights is not None
        m = quick.outputs
        rows, columns = quick.tiles(want.height, want.width)
        seen = WindowPlacement(want.top - self.before[0], want.left - self.before[1], rows * m + 2, columns * m + 2)
        found = quick.gather(batch.window(self.source, seen).permute(0, 2, 3, 1))
        if found.shape[1:3] != (want.height, want.width):
            found = found[:, : want.height, : want.width].contiguous()
        return found if self.weights.bias is None else found.add_(self.weights.bias)

    def _spread(self, quick: Winograd, batch: Batch, own: WindowPlacement, want: WindowPlacement) -> Tensor:
        """The clean output and what the input's changes add to it."""
        m = quick.outputs
        rows, columns = quick.tiles(own.height, own.width)
        tiled = WindowPlacement(own.top, own.left, rows * m, columns * m)
        change = batch.window(self.source, tiled) - batch.clean(self.source, tiled)
        reach = quick.spread(change.permute(0, 2, 3, 1))
        found = batch.clean(self.step, want).permute(0, 2, 3, 1)
        top, left = own.top + self.before[0] - 2, own.left + self.before[1] - 2
        _add(found, reach, top - want.top, left - want.left)
        return found


def _add(whole: Tensor, part: Tensor, tops: Tensor, lefts: Tensor) -> None:
    """Add (N, h, w, C) into (N, H, W, C), each at a place of its own that may lie partly outside."""
    height, width = whole.shape[1:3]
    places = torch.stack([tops, lefts], 1)
    for place in places.unique(dim=0):
        top, left = (int(v) for v in place)
        mine = (places == place).all(1)
        y, x = (
            slice(max(top, 0), min(top + part.shape[1], height)),
            slice(max(left, 0), min(left + part.shape[2], width)),
        )
        seen = part[:, y.start - top : y.stop - top, x.start - left : x.stop - left]
        if bool(mine.all()):
            whole[:, y, x] += seen
        else:
            chosen = mine.nonzero()[:, 0]
            whole[chosen, y, x] = whole[chosen, y, x] + seen[chosen]


def convolution(step: int, source: int, found: PaddedConvolution, size: tuple[int, int]) -> ConvolutionKernel:
    """A convolution's kernel."""
    kernel = tuple(found.weight.shape[2:])
    extent = ((kernel[0] - 1) * found.dilation[0] + 1, (kernel[1] - 1) * found.dilation[1] + 1)

    def operation(x: Tensor, _want: WindowPlacement) -> Tensor:
        return F.conv2d(x, found.weight, found.bias, found.stride, 0, found.dilation, found.groups)

    return ConvolutionKernel(
        source, extent, found.stride, found.padding[:2], size, 0.0, operation, step=step, weights=found
    )


def max_pool(
    step: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    size: tuple[int, int],
) -> Sliding:
    """A max pool's kernel; beyond the map lies -inf."""
    extent = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)

    def operation(x: Tensor, _want: WindowPlacement) -> Tensor:
        return F.max_pool2d(x, tuple(kernel), tuple(stride), 0, tuple(dilation))

    return Sliding(step, extent, (stride[0], stride[1]), (padding[0], padding[1]), size, -torch.inf, operation)


def average_pool(
    step: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    count_padding: bool,
    divisor: int | None,
    before: tuple[int, int],
    size: tuple[int, int],
) -> Sliding:
    """An average pool's kernel; ``before`` is the input's size. Windows at the border are divided by fewer."""
    counts = [_counts(kernel[i], stride[i], padding[i], count_padding, before[i], size[i]) for i in (0, 1)]

    def operation(x: Tensor, want: WindowPlacement) -> Tensor:
        total = F.avg_pool2d(x, tuple(kernel), tuple(stride), divisor_override=divisor or 1)
        if divisor:
            return total
        rows = counts[0].to(x)[want.top[:, None] + torch.arange(want.height, device=x.device)]
        columns = counts[1].to(x)[want.left[:, None] + torch.arange(want.width, device=x.device)]
        return total / (rows[:, None, :, None] * columns[:, None, None, :])

    return Sliding(step, (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1]), size, 0.0, operation)


def _counts(kernel: int, stride: int, padding: int, count_padding: bool, before: int, size: int) -> Tensor:
    """How many positions along one axis each output averages."""
    first = torch.arange(size) * stride - padding
    last = (first + kernel).clamp(max=before + padding)
    if not count_padding:
        first, last = first.clamp(min=0), last.clamp(max=before)
    return last - first
