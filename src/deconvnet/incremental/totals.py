"""Sums and maxima of whole maps, from a window and what is known of the clean map around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from deconvnet.incremental.fields import WindowedValue, WindowPlacement


class Totals:
    """Of one layer's maps, whose axes are (N, maps, rows, columns)."""

    def __init__(self, whole: WindowedValue) -> None:
        clean = whole.clean[0]  # C, H, W
        self._size = clean.shape[1:]
        positive = clean.clamp(min=0).double()
        self._integral = F.pad(positive.cumsum(1).cumsum(2), (1, 0, 1, 0)).permute(1, 2, 0).contiguous()
        rows, columns = clean.amax(2).T, clean.amax(1).T  # H, C and W, C
        self._above, self._left = _running(rows), _running(columns)
        self._below, self._right = _running(rows.flip(0)).flip(0), _running(columns.flip(0)).flip(0)

    def of(self, patch: Tensor, at: WindowPlacement) -> tuple[Tensor, Tensor]:
        """Sum of the positive part, and maximum, of each map, both (N, maps)."""
        top, left, bottom, right = at.top, at.left, at.top + at.height, at.left + at.width
        table = self._integral
        covered = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        sums = table[-1, -1] - covered + patch.clamp(min=0).double().sum((2, 3))
        around = [self._above[top], self._below[bottom], self._left[left], self._right[right], patch.amax((2, 3))]
        return sums, torch.stack(around).amax(0)


def of_whole(value: Tensor) -> tuple[Tensor, Tensor]:
    """The same from whole maps, (N, maps, ...): sums of the positive part and maxima, both (N, maps)."""
    maps = value.flatten(2) if value.dim() > 2 else value[..., None]
    return maps.clamp(min=0).sum(2), maps.amax(2)


def _running(values: Tensor) -> Tensor:
    """Row i: the maximum of the first i rows; -inf for none."""
    return F.pad(values.cummax(0).values, (0, 0, 1, 0), value=-torch.inf)
