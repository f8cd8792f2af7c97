"""Max pooling that keeps its switches, and unpooling: forward and backward on one screen.

Several overlapping windows may share one switch. ``unpool`` says what the cell then receives:

``"sum"``    all of their values added: the adjoint of pooling
``"place"``  the largest of their values
``"mean"``   the average of their values

All three give the same answer in every run (``torch.nn.MaxUnpool2d`` does not: it is a race). On a GPU,
``scatter_add`` adds in whatever order its threads come; ``index_put`` sorts what it accumulates and is taken there. The
largest of several values does not depend on their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from deconvnet.geometry import Window

UNPOOLS = ("sum", "place", "mean")


def unpool_by_switches(signal: Tensor, switches: Tensor, size: tuple[int, int], unpool: str) -> Tensor:
    """Put each pooled value back at its switch.

    Parameters
    ----------
    signal : Tensor, N x C x h x w
        Values of the pooled map.
    switches : Tensor of int64, N x C x h x w
        For each pooled cell, where its maximum was: row * W + column.
    size : (int, int)
        H, W of the map before pooling.
    unpool : {"sum", "place", "mean"}

    Returns
    -------
    Tensor, N x C x H x W
    """
    maps, cells = signal.shape[:-2], size[0] * size[1]
    first = torch.arange(0, maps.numel() * cells, cells, device=signal.device).view(*maps, 1, 1)
    filled = scatter_by_cells(signal.reshape(-1), (switches + first).reshape(-1), maps.numel() * cells, unpool)
    return filled.view(*maps, *size)


def scatter_by_cells(
    values: Tensor, cells: Tensor, count: int, unpool: str, space: list[Tensor] | None = None
) -> Tensor:
    """Put values into ``count`` cells, 0 elsewhere; all flat. ``unpool`` says what several values in one cell give.

    The result lies in the tensor that ``space`` holds, which is put there and made larger as needed.
    """
    if space is None:
        space = []
    if not space or len(space[0]) < count:
        space[:] = [values.new_empty(count)]
    empty = space[0][:count].zero_()
    if unpool == "place":
        return empty.scatter_reduce_(0, cells, values, "amax", include_self=False)
    filled = _accumulate(empty, cells, values)
    if unpool == "mean":
        filled /= _accumulate(torch.zeros_like(filled), cells, torch.ones_like(values)).clamp_(min=1)
    return filled


def _accumulate(empty: Tensor, cells: Tensor, values: Tensor) -> Tensor:
    if empty.is_cpu:
        return empty.scatter_add_(0, cells, values)
    return empty.index_put_((cells,), values, accumulate=True)


class MaxPool(torch.autograd.Function):
    """Maxima and switches forward; unpooling backward (Sec. 2.1: unpool by the switches of this very photo)."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        pool: Callable[[Tensor], tuple[Tensor, Tensor]],
        unpool: str,
        windows: tuple[Window, Window] | None,
    ) -> Any:
        maxima, switches = pool(maps)
        ctx.mark_non_differentiable(switches)
        ctx.windows = windows  # rows, columns; None where they are not all alike
        ctx.switches, ctx.size, ctx.unpool = switches, (maps.shape[-2], maps.shape[-1]), unpool
        return maxima, switches

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> Any:
        return unpool_by_switches(signals[0], ctx.switches, ctx.size, ctx.unpool), None, None, None
