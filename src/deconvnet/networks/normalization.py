"""Local response normalisation across maps, in Krizhevsky's (= torch's) convention, optionally inside groups.

The printed formula sums ``alpha * a**2`` over n maps; Krizhevsky's code, Caffe and torch divide ``alpha`` by n. The
networks here follow the code (``alpha=1e-4, n=5`` in torch's terms); the formula to the letter is ``alpha=5e-4``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.tracing.lrn import neighbour_band


class _BandedNormalization(torch.autograd.Function):
    """The same values as ``F.local_response_norm`` with the sum over maps as one matrix product.

    y = x * s**-beta with s = k + alpha/n * sum x**2; its gradient is
    g * s**-beta - 2 alpha beta / n * x * sum(g * x * s**(-beta-1)). One channels-last GEMM each way.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, band: Tensor, alpha: float, beta: float, k: float, size: int) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        scale = torch.matmul(last.square(), band).mul_(alpha / size).add_(k)
        factor = _negative_power(scale, beta)
        ctx.save_for_backward(last, scale, factor, band)
        ctx.constants = alpha, beta, size
        return (last * factor).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        last, scale, factor, band = ctx.saved_tensors
        alpha, beta, size = ctx.constants
        grad = grads[0].permute(0, 2, 3, 1)
        direct = grad * factor
        cross = torch.matmul((direct * last).div_(scale), band.T).mul_(last)
        return direct.sub_(cross, alpha=2 * alpha * beta / size).permute(0, 3, 1, 2), None, None, None, None, None


def _negative_power(scale: Tensor, beta: float) -> Tensor:
    if beta == 0.75:  # s**-0.75 = rsqrt(s * sqrt(s)): three cheap passes instead of pow
        return torch.sqrt(scale).mul_(scale).rsqrt_()
    return scale.pow(-beta)


class LocalResponseNorm(nn.LocalResponseNorm):
    """Local response normalisation across maps: x / (k + alpha/n * sum over n maps of x**2) ** beta.

    Parameters
    ----------
    size : int
        Number of maps n in the sum. Even sizes take one map more below than above, as torch does.
    alpha, beta, k : float
        Constants in torch's convention.
    groups : int
        The maps are normalised inside each of so many equal groups (AlexNet's towers).

    Notes
    -----
    Inference calls ``F.local_response_norm``, so that every tool that looks for it finds it. While training, the same
    values come from one matrix product (about a third of the time).

    References
    ----------
    Krizhevsky, Sutskever & Hinton, NIPS 2012, Sec. 3.3; the convention is that of cuda-convnet's ``layer.py``.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, groups: int = 1) -> None:
        super().__init__(size, alpha=alpha, beta=beta, k=k)
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled() and input.ndim == 4:
            band = neighbour_band(input.shape[1], self.size, self.groups, input.dtype, input.device)
            return _BandedNormalization.apply(input, band, self.alpha, self.beta, self.k, self.size)  # type: ignore[no-any-return]
        if self.groups == 1:
            return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)
        towers = input.chunk(self.groups, dim=1)
        return torch.cat([F.local_response_norm(t, self.size, self.alpha, self.beta, self.k) for t in towers], dim=1)

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", groups={self.groups}" if self.groups > 1 else "")
