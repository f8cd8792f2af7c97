"""Whether a normalising layer works on each cell of all maps alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def works_cell_by_cell(module: nn.Module, maps: Tensor) -> bool:
    """Whether a normalising layer's cell depends on the same cell of all maps alone; tried on maps of such a shape.

    Its neighbours are changed by so much that the usual small factor of their squares does not hide it.
    """
    row, column = maps.shape[-2] // 2, maps.shape[-1] // 2
    some = torch.ones_like(maps[:1]).detach()
    other = 1000 * some
    other[..., row, column] = 1
    with torch.no_grad(), torch._C.DisableTorchFunction():
        try:
            here, there = (module.forward(each)[..., row, column] for each in (some.clone(), other))
        except Exception:  # what it does with other maps is not known
            return False
    return here.shape == there.shape and torch.allclose(here, there, rtol=1e-4, atol=1e-6)
