"""How often every map answers over a set of photos: dead and saturated maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from deconvnet.filter_statistics.places import Place, record_leaves
from deconvnet.filter_statistics.record import MapHealth


@dataclass
class _Tally:
    photos: npt.NDArray[np.float64]
    positions: npt.NDArray[np.float64]
    lowest: npt.NDArray[np.float64]
    highest: npt.NDArray[np.float64]
    seen: int = 0
    cells: int = 0


def activity(module: nn.Module, batches: Iterable[Tensor], where: Sequence[Place]) -> tuple[MapHealth, ...]:
    """Count where maps are active (greater than zero), in one pass.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    batches : iterable of Tensor, (N, C, H, W)
        Preprocessed photos.
    where : sequence of Place

    Returns
    -------
    tuple of MapHealth
        One for each place that had maps, in the order of ``where``.
    """
    tallies: dict[Place, _Tally] = {}
    wanted = {(place.module, place.call): place for place in where}

    def record(name: str, call: int, _part: nn.Module, _input: Tensor, maps: Tensor) -> None:
        place = wanted.get((name, call))
        if place is not None and maps.ndim == 4:
            _add(tallies, place, maps)

    for batch in batches:
        with record_leaves(module, record, {place.module for place in where}):
            module(batch)
    return tuple(
        MapHealth(
            place.label,
            place.module,
            place.rectified,
            tally.photos / tally.seen,
            tally.positions / tally.cells,
            tally.lowest,
            tally.highest,
        )
        for place in where
        if (tally := tallies.get(place)) is not None
    )


def _add(tallies: dict[Place, _Tally], place: Place, maps: Tensor) -> None:
    flat = maps.flatten(2)
    active = flat > 0
    photos = active.any(2).sum(0).double().numpy()
    positions = active.sum((0, 2)).double().numpy()
    lowest = flat.amin((0, 2)).double().numpy()
    highest = flat.amax((0, 2)).double().numpy()
    tally = tallies.get(place)
    if tally is None:
        tally = tallies[place] = _Tally(np.zeros_like(photos), np.zeros_like(photos), lowest, highest)
    tally.photos += photos
    tally.positions += positions
    tally.lowest, tally.highest = np.minimum(tally.lowest, lowest), np.maximum(tally.highest, highest)
    tally.seen += len(flat)
    tally.cells += len(flat) * flat.shape[2]
