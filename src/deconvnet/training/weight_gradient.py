"""Convolution whose weight gradient is one matrix product over unfolded windows.

On small maps (3 x 3 to 5 x 5) the library's own weight gradient is the slowest part of a training step on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEWEST_INPUTS = 200  # with fewer input maps, on larger ones, the library's way is as fast


def unfold_weight_gradients(module: nn.Module) -> None:
    """Let the wide convolutions of a network compute their weight gradients by :class:`UnfoldedConv2d`, in place."""
    for part in module.modules():
        plain = type(part) is nn.Conv2d and part.groups == 1 and part.dilation == (1, 1)
        if plain and part.padding_mode == "zeros" and part.in_channels >= FEWEST_INPUTS:
            part.__class__ = UnfoldedConv2d


class UnfoldedConv2d(nn.Conv2d):
    """A convolution with the same values and gradients; one group, no dilation, padding with zeros."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled() and self.bias is not None:
            return _Convolution.apply(input, self.weight, self.bias, self.stride, self.padding)  # type: ignore[no-any-return]
        return super().forward(input)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (down, right), (top, left) = ctx.stride, ctx.padding
        grad = grads[0]
        maps, inputs, high, wide = weight.shape
        above = None
        if ctx.needs_input_grad[0]:
            above = torch.nn.grad.conv2d_input(x.shape, weight, grad, ctx.stride, ctx.padding)
        padded = F.pad(x, (left, left, top, top)).permute(0, 2, 3, 1).contiguous()  # N, H, W, C
        n, rows, columns = grad.shape[0], grad.shape[2], grad.shape[3]
        photo, row, column, channel = padded.stride()
        windows = padded.as_strided(
            (n, rows, columns, high, wide, inputs), (photo, row * down, column * right, row, column, channel)
        ).reshape(n * rows * columns, -1)
        flat = grad.permute(0, 2, 3, 1).reshape(-1, maps)
        product = (flat.t() @ windows).view(maps, high, wide, inputs).permute(0, 3, 1, 2)
        return above, product, flat.sum(0), None, None
