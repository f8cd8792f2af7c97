"""Local response normalisation in the backward pass: skipped, or with its true gradient.

y = x * s**-beta with s = k + alpha/n * (sum of x**2 over n neighbouring maps), torch's convention. With signal g the
gradient is g * s**-beta - 2 alpha beta / n * x * sum(g * x * s**(-beta-1)), the sum over the maps whose neighbour x is.
It works on each cell alone, so it works on windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deconvnet.tracing.lrn import neighbour_band


@dataclass(frozen=True)
class LrnConstants:
    """As `torch.nn.LocalResponseNorm` has them."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def normalize(self, maps: Tensor) -> Tensor:
        """The forward step, by torch."""
        return F.local_response_norm(maps, self.size, self.alpha, self.beta, self.k)

    def normalize_window(self, maps: Tensor) -> Tensor:
        """The same, faster: torch's own average over maps treats them as a volume."""
        return self.normalize_and_keep(maps)[0]

    def normalize_and_keep(self, maps: Tensor) -> tuple[Tensor, LrnFactors]:
        """The same, and what the backward step needs.

        The same bits, too, but where a tensor ends: there torch takes another power function, of another last digit.
        """
        last = maps.permute(0, 2, 3, 1)
        count = last.shape[-1]
        framed = F.pad(last.square(), (self.size // 2, (self.size - 1) // 2))
        scale = framed[..., :count].clone()
        for offset in range(1, self.size):
            scale += framed[..., offset : offset + count]
        scale.div_(self.size).mul_(self.alpha).add_(self.k)
        power = scale.pow(self.beta)
        factors = LrnFactors(last, scale, power, self.band(last, count), self)
        return (last / power).permute(0, 3, 1, 2), factors

    def band(self, like: Tensor, channels: int) -> Tensor:
        """C x C matrix of 0 and 1: ``squares @ band`` sums each map's neighbours."""
        return neighbour_band(channels, self.size, 1, like.dtype, like.device)


@dataclass(frozen=True)
class LrnFactors:
    """What the backward step needs of the forward pass: three tensors N x h x w x C, and the sum's matrix."""

    maps: Tensor
    scale: Tensor
    power: Tensor  # of the scale
    band: Tensor
    constants: LrnConstants

    @classmethod
    def of(cls, maps: Tensor, constants: LrnConstants) -> LrnFactors:
        """From the maps that were normalised, N x C x h x w."""
        last = maps.detach().permute(0, 2, 3, 1).contiguous()
        band = constants.band(last, last.shape[-1])
        scale = (last.square() @ band).mul_(constants.alpha / constants.size).add_(constants.k)
        return cls(last, scale, scale.pow(constants.beta), band, constants)

    def cut(self, window: Callable[[Tensor], Tensor]) -> LrnFactors:
        """The same on windows."""
        return replace(self, maps=window(self.maps), scale=window(self.scale), power=window(self.power))

    def backward(self, signal: Tensor) -> Tensor:
        """The gradient of the maps from that of their normalised values; both N x C x h x w."""
        direct = signal.permute(0, 2, 3, 1) / self.power
        inner = (direct * self.maps).div_(self.scale)
        shared = F.linear(inner, self.band)
        factor = 2 * self.constants.alpha * self.constants.beta / self.constants.size
        return direct.sub_(shared.mul_(self.maps), alpha=factor).permute(0, 3, 1, 2)


class LrnGradient(torch.autograd.Function):
    """Values computed already, forward; their true gradient, backward."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, values: tuple[Tensor], constants: LrnConstants) -> Tensor:
        ctx.save_for_backward(maps)  # torch refuses the backward pass if the model overwrites them
        ctx.constants = constants
        return values[0]

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> Any:
        return LrnFactors.of(ctx.saved_tensors[0], ctx.constants).backward(signals[0]), None, None


class LrnSkip(torch.autograd.Function):
    """Values computed already, forward; the signal untouched, backward."""

    @staticmethod
    def forward(ctx: Any, forward_input: Tensor, values: tuple[Tensor], compute: Any) -> Tensor:
        ctx.compute = compute
        return values[0]

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> Any:
        return signals[0], None, None


def skip_lrn(maps: Tensor, values: Tensor, compute: Callable[[Tensor], Tensor] | None) -> Tensor:
    """``values`` forward, the signal untouched backward: the deconvnet skips contrast normalisation.

    The ECCV 2014 version says so in Sec. 2.1; the arXiv version leaves it open. ``compute`` gives the values of other
    maps, where it is known.
    """
    if not maps.requires_grad:
        return values
    return LrnSkip.apply(maps, (values.detach(),), compute)  # type: ignore[return-value]
