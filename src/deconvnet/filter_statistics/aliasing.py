"""What strided layers fold: the energy of their answers that the coarser grid cannot carry."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from deconvnet.filter_statistics.places import dense_response, record_leaves, strided
from deconvnet.filter_statistics.record import StrideHealth
from deconvnet.filter_statistics.spectra import beyond_nyquist

_LEAST = 4  # cells a side: below, a map has no spectrum to speak of


def aliasing(module: nn.Module, batches: Iterable[Tensor]) -> tuple[StrideHealth, ...]:
    """Share of each strided layer's energy beyond its new Nyquist frequency.

    The layer's answer is computed at stride 1 on the very input that it gets, before the ReLU of a convolution (taking
    every s-th position and rectifying may change places, so that this is what is subsampled).

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    batches : iterable of Tensor, (N, C, H, W)
        Preprocessed photos.

    Returns
    -------
    tuple of StrideHealth
        One for each convolution, max or average pool and blur with a stride that is a module of its own.
    """
    layers = {each.layer: each for each in strided(module)}
    sums: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {}

    def record(name: str, _call: int, part: nn.Module, input: Tensor, output: Tensor) -> None:
        if output.ndim != 4:
            return
        response = dense_response(part, input)
        if min(response.shape[2:]) < _LEAST:
            return
        beyond, total = beyond_nyquist(response.float().numpy(), layers[name].strides)
        before = sums.get(name, (0.0, 0.0))
        sums[name] = (before[0] + beyond, before[1] + total)

    for batch in batches:
        with record_leaves(module, record, set(layers)):
            module(batch)
    found = []
    for name, (beyond, total) in sums.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            by_map = np.where(total > 0, beyond / total, np.nan)
        share = float(beyond.sum() / total.sum()) if total.sum() > 0 else float("nan")
        found.append(StrideHealth(name, layers[name].kind, max(layers[name].strides), share, by_map))
    return tuple(found)
