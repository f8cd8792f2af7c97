"""What is known of local response normalisation: which maps it sums, and whether a layer works cell by cell."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn


@lru_cache(maxsize=32)
def neighbour_band(channels: int, size: int, groups: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Which maps are summed for which: ``squares @ band`` sums each map's ``size`` neighbours inside its group.

    Parameters
    ----------
    channels, size, groups : int
        Of an even ``size``, one map more lies below than above, as torch has it.
    dtype, device
        Of the matrix.

    Returns
    -------
    Tensor, channels x channels
        0 and 1; shared among callers, so not to be written into.
    """
    with torch.inference_mode(False):  # it may be saved for a backward pass later
        index = torch.arange(channels, device=device)
        offset = index[:, None] - index[None, :]  # from the map that sums (column) to its neighbour (row)
        near = (offset >= -(size // 2)) & (offset <= (size - 1) // 2)
        per_group = channels // groups
        return (near & (index[:, None] // per_group == index[None, :] // per_group)).to(dtype)


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
