"""Anti-aliased subsampling: a fixed binomial blur before every second position is taken.

Zhang ("Making Convolutional Networks Shift-Invariant Again", ICML 2019, arXiv 1904.11486) evaluates a strided layer
densely, blurs, and only then subsamples: a strided convolution becomes convolution, ReLU, blur; a max pool with stride
2 becomes a max pool with stride 1, blur.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.errors import OptionError


class BlurPool(nn.Module):
    """Blur every map with a binomial filter and take every ``stride``-th position.

    Parameters
    ----------
    taps : int
        Length of the filter along each axis, odd, at least 3: 3 is (1, 2, 1) / 4, 5 is (1, 4, 6, 4, 1) / 16.
    stride : int
        Step between the positions that are kept.

    Attributes
    ----------
    filter : Tensor, (1, 1, taps, taps)
        A buffer that sums to one: not trained, and not part of the weights.

    Notes
    -----
    ``ceil(length / stride)`` positions are kept, the first of them at the first cell. The map is framed with zeros, so
    the outermost positions are weaker (by a quarter with 3 taps); Zhang frames with the map's reflection.

    Raises
    ------
    OptionError
        If ``taps`` or ``stride`` is out of range.
    """

    filter: Tensor

    def __init__(self, taps: int = 3, stride: int = 2) -> None:
        super().__init__()
        if taps < 3 or not taps % 2:
            raise OptionError(f"the blur has an odd number of taps, at least 3, not {taps}.")
        if stride < 1:
            raise OptionError(f"the blur's stride must be at least 1, not {stride}.")
        self.kernel_size, self.stride, self.padding = taps, stride, taps // 2
        one = torch.tensor([math.comb(taps - 1, i) for i in range(taps)], dtype=torch.float32) / 2 ** (taps - 1)
        self.register_buffer("filter", torch.outer(one, one)[None, None], persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """N x C x H x W -> N x C x ceil(H / stride) x ceil(W / stride)."""
        maps = input.shape[1]
        kernel = self.filter.to(input.dtype).expand(maps, 1, -1, -1)
        return F.conv2d(input, kernel, stride=self.stride, padding=self.padding, groups=maps)

    def extra_repr(self) -> str:
        return f"taps={self.kernel_size}, stride={self.stride}"
