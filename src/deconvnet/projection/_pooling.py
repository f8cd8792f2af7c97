"""Max pooling that keeps its switches, and unpooling: up and down on one screen.

Several overlapping windows may share one switch. ``unpool`` says what the cell then receives:

``"sum"``    all of their values added: the adjoint of pooling
``"place"``  the largest of their values
``"mean"``   the average of their values

All three give the same answer in every run on the CPU (``torch.nn.MaxUnpool2d`` does not: it is a race).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

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
    values, cells = signal.flatten(-2), switches.flatten(-2)
    empty = values.new_zeros((*values.shape[:-1], size[0] * size[1]))
    if unpool == "place":
        filled = empty.scatter_reduce(-1, cells, values, "amax", include_self=False)
    else:
        filled = empty.scatter_add(-1, cells, values)
        if unpool == "mean":
            shared = empty.scatter_add(-1, cells, torch.ones_like(values))
            filled = filled / shared.clamp(min=1)
    return filled.unflatten(-1, size)


class MaxPool(torch.autograd.Function):
    """Maxima and switches up; unpooling down (Sec. 2.1: unpool by the switches of this very photo)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, pool: Callable[[Tensor], tuple[Tensor, Tensor]], unpool: str) -> Any:
        maxima, switches = pool(maps)
        ctx.mark_non_differentiable(switches)
        ctx.switches, ctx.size, ctx.unpool = switches, (maps.shape[-2], maps.shape[-1]), unpool
        return maxima, switches

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> Any:
        return unpool_by_switches(signals[0], ctx.switches, ctx.size, ctx.unpool), None, None
