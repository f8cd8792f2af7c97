"""Windows, convolution arithmetic and receptive fields: integers only, no torch.

All functions treat one axis; an image has two, which never mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle of pixels, half open: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``.

    It may lie partly or wholly outside the image that it refers to.
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def clip(self, height: int, width: int) -> Box:
        """The part inside a ``height`` x ``width`` image (empty boxes come back with zero extent)."""
        top, left = min(max(self.top, 0), height), min(max(self.left, 0), width)
        return Box(top, left, max(top, min(self.bottom, height)), max(left, min(self.right, width)))

    def inside(self, height: int, width: int) -> bool:
        """Whether the whole box lies in a ``height`` x ``width`` image."""
        return self.top >= 0 and self.left >= 0 and self.bottom <= height and self.right <= width


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis: the arithmetic that convolution and pooling share."""

    size: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Distance from its first to its last tap, plus one."""
        return (self.size - 1) * self.dilation + 1

    def output(self, length: int, ceil: bool = False) -> int:
        """Number of windows over ``length`` cells.

        With ``ceil``, a last window that starts inside the input or its left padding but overhangs the end counts too
        (torch's ``ceil_mode``; cuda-convnet's rule for convolution and pooling).
        """
        span = length + 2 * self.padding - self.extent
        if span < 0 and not ceil:
            return 0
        count = (-(-span // self.stride) if ceil else span // self.stride) + 1
        if ceil and (count - 1) * self.stride >= length + self.padding:
            count -= 1
        return max(count, 0)


@dataclass(frozen=True)
class ReceptiveField:
    """What one unit of a map sees along one axis: cells ``start + position * stride`` onwards, ``size`` of them.

    Examples
    --------
    >>> field = ReceptiveField().through(Window(7, 2)).through(Window(3, 2))
    >>> field.size, field.stride
    (11, 4)
    """

    size: int = 1
    stride: int = 1
    start: int = 0

    def through(self, window: Window) -> ReceptiveField:
        """The receptive field, on the same input, of the layer that slides ``window`` over this one."""
        return ReceptiveField(
            self.size + (window.extent - 1) * self.stride,
            self.stride * window.stride,
            self.start - window.padding * self.stride,
        )

    def span(self, position: int) -> tuple[int, int]:
        """First cell and one past the last cell that the unit at ``position`` sees; may leave the input."""
        first = self.start + position * self.stride
        return first, first + self.size


def receptive_box(rows: ReceptiveField, columns: ReceptiveField, row: int, column: int) -> Box:
    """The receptive field of the unit at (``row``, ``column``) as a box of pixels; may leave the image."""
    top, bottom = rows.span(row)
    left, right = columns.span(column)
    return Box(top, left, bottom, right)
