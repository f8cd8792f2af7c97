"""Values that equal the clean one except inside a window of their own for each covered photo."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class WindowPlacement:
    """Where the windows of a batch lie: a top and a left for each, one height and one width for all."""

    top: Tensor
    left: Tensor
    height: int
    width: int

    def equals(self, other: WindowPlacement) -> bool:
        """Whether the windows are the same."""
        return self is other or (
            self.height == other.height
            and self.width == other.width
            and torch.equal(self.top, other.top)
            and torch.equal(self.left, other.left)
        )


class WindowedValue:
    """A clean value with two spatial axes, and room for the windows of a batch.

    Parameters
    ----------
    clean : Tensor, (1, ..., H, ..., W, ...)
    axes : (int, int)
        Which axes are rows and columns.
    """

    def __init__(self, clean: Tensor, axes: tuple[int, int]) -> None:
        self.axes = axes
        self.height, self.width = clean.shape[axes[0]], clean.shape[axes[1]]
        self.shape = clean.shape
        self._element = clean.element_size()
        self._others = [size for axis, size in enumerate(clean.shape) if axis and axis not in axes]
        self._clean: Tensor | None = clean
        self._rows: Tensor | None = None

    @property
    def clean(self) -> Tensor:
        """The clean value, (1, ..., H, ..., W, ...)."""
        if self._rows is not None:
            kept = self._rows[2 : 2 + self.height * self.width]
            return self.from_rows(kept, self.height, self.width)
        assert self._clean is not None
        return self._clean

    def forget(self) -> None:
        """Give the clean value's memory back; nobody reads it again."""
        self._clean = self._rows = None

    @property
    def bytes(self) -> int:
        """Memory that the clean value takes."""
        return 0 if self._clean is None and self._rows is None else self.height * self.width * self.row_bytes

    def rows(self, values: Tensor) -> Tensor:
        """(N, ..., h, ..., w, ...) as one row for each position, (N h w, others)."""
        return values.movedim(self.axes, (1, 2)).reshape(-1, self._width_of_row)

    def from_rows(self, rows: Tensor, height: int, width: int) -> Tensor:
        """The inverse of `rows`, without a copy: where channels come first, in channels-last memory."""
        return rows.view(-1, height, width, *self._others).movedim((1, 2), self.axes)

    @property
    def _width_of_row(self) -> int:
        found = 1
        for size in self._others:
            found *= size
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one position."""
        return self._width_of_row * self._element

    def load(self, patch: Tensor | None) -> None:
        """Put a batch's windows beside the clean value, for `read`."""
        if self._rows is None:
            assert self._clean is not None
            border = self._clean.new_tensor([[0.0], [-torch.inf]]).expand(2, self._width_of_row)
            self._rows = torch.cat([border, self.rows(self._clean)])
            self._clean = None
        kept = 2 + self.height * self.width
        if patch is None:
            return
        new = self.rows(patch)
        if len(self._rows) < kept + len(new):
            grown = self._rows.new_empty((kept + len(new), self._width_of_row))
            grown[:kept] = self._rows[:kept]
            self._rows = grown
        self._rows[kept : kept + len(new)] = new

    def read(self, at: WindowPlacement, want: WindowPlacement, border: float = 0.0) -> Tensor:
        """The windows ``want``, which may leave the map, of a batch whose own windows lie ``at`` (see `load`).

        Returns
        -------
        Tensor, (N, ..., h, ..., w, ...)
            Outside the map it is ``border``, 0 or -inf.
        """
        assert self._rows is not None
        index = self._index(at, want, 0 if border == 0 else 1)
        return self.from_rows(self._rows.index_select(0, index.view(-1)), want.height, want.width)

    def _index(self, at: WindowPlacement, want: WindowPlacement, outside: int) -> Tensor:
        """For each position wanted the row that holds it, (N, h, w)."""
        device = want.top.device
        y = want.top[:, None] + torch.arange(want.height, device=device)
        x = want.left[:, None] + torch.arange(want.width, device=device)
        clean = _inside(y, self.height, self.width, 2)[:, :, None] + _inside(x, self.width, 1, 0)[:, None, :]
        clean = clean.clamp_(min=outside)
        if not at.height * at.width:
            return clean
        v, u = y - at.top[:, None], x - at.left[:, None]
        own = ((v >= 0) & (v < at.height))[:, :, None] & ((u >= 0) & (u < at.width))[:, None, :]
        first = torch.arange(len(y), device=device)[:, None] * (at.height * at.width)
        new = (2 + self.height * self.width + first + v * at.width)[:, :, None] + u[:, None, :]
        return torch.where(own, new, clean)


def _inside(position: Tensor, size: int, step: int, first: int) -> Tensor:
    """``first + position * step``; far below zero outside the map."""
    return torch.where((position >= 0) & (position < size), first + position * step, -(1 << 40))
