"""The plain way: every covered photo through the whole network, in batches. What the fast way must equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError
from deconvnet.incremental.covering import as_fill, as_photo, as_windows, cover
from deconvnet.incremental.records import Responses
from deconvnet.incremental.totals import of_whole
from deconvnet.tracing.recorder import record_outputs


@torch.no_grad()
def plain(
    model: nn.Module,
    photo: Tensor,
    windows: Sequence[Sequence[int]] | npt.NDArray[np.integer],
    fill: Tensor | float = 0.0,
    *,
    maps: Sequence[str] = (),
    batch_size: int = 8,
    channels_last: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Responses:
    """A network's answers to covered photos, each by a full forward pass.

    Parameters
    ----------
    model, photo, windows, fill, maps, progress
        As :func:`deconvnet.incremental.prepare` and :meth:`deconvnet.incremental.PreparedPhoto.run` take them.
    batch_size : int
        Covered photos a pass.
    channels_last : bool
        Let convolutions run in the memory format that is fastest on a CPU.

    Returns
    -------
    Responses
    """
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, not {batch_size}.")
    photo = as_photo(photo)
    placed = as_windows(windows, *photo.shape[2:])
    picture = as_fill(fill, photo)
    outputs: list[Tensor] = []
    sums: dict[str, list[Tensor]] = {name: [] for name in maps}
    maxima: dict[str, list[Tensor]] = {name: [] for name in maps}
    with record_outputs(model, maps) as recorded:
        for start in range(0, len(placed), batch_size):
            covered = cover(photo, placed[start : start + batch_size], picture)
            if channels_last:
                covered = covered.contiguous(memory_format=torch.channels_last)
            outputs.append(answer(model, covered))
            for name in maps:
                activity, largest = of_whole(recorded[name])
                sums[name].append(activity)
                maxima[name].append(largest)
            if progress is not None:
                progress(min(start + batch_size, len(placed)), len(placed))
    return Responses(
        torch.cat(outputs).numpy(),
        {name: torch.cat(found).numpy() for name, found in sums.items()},
        {name: torch.cat(found).numpy() for name, found in maxima.items()},
    )


def answer(model: nn.Module, photos: Tensor) -> Tensor:
    """What the model gives for some photos.

    Raises
    ------
    ModelError
        If it does not run on photos of this size, or does not give one tensor.
    """
    try:
        found = model(photos)
    except RuntimeError as error:
        raise ModelError(f"the model does not run on a photo of {tuple(photos.shape[1:])}: {error}") from error
    if not isinstance(found, Tensor):
        raise ModelError(
            f"the model returns {type(found).__name__}, not one tensor: wrap it in a module that returns its class "
            "scores."
        )
    return found
