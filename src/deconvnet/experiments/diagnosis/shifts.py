"""How maps answer when the photo moves by one pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from deconvnet.experiments.diagnosis.record import ShiftHealth
from deconvnet.filter_statistics.places import Place, record_leaves
from deconvnet.networks import Network
from deconvnet.networks.preprocessing import Photo

View = npt.NDArray[np.uint8]
_LEAST = 6  # cells a side, of which the border is left out


def moved_views(network: Network, photo: Photo) -> tuple[View, View, View]:
    """What the network sees of a photo, of the photo moved one pixel down, and of the photo moved one pixel right.

    What enters at the edge is the photo's own, where the network crops more than it sees; else the edge is repeated.

    Returns
    -------
    tuple of 3 ndarrays of uint8, (input_size, input_size, 3)
    """
    p = network.preprocessing
    side = p.input_size
    if p.resize - p.crop >= 2 and not p.border:
        blank = np.zeros((p.channels, 1, 1), np.float32)
        wide = dataclasses.replace(p, input_size=side + 2, mean=blank).view(photo)
    else:
        wide = np.pad(p.view(photo), ((1, 1), (1, 1), (0, 0)), mode="edge")
    return tuple(wide[top : top + side, left : left + side] for top, left in ((1, 1), (0, 1), (1, 0)))  # type: ignore[return-value]


def shift_changes(
    network: Network, photos: Iterable[Photo], where: Sequence[Place], strides: Mapping[str, int]
) -> tuple[tuple[ShiftHealth, ...], float]:
    """Change of maps and of the most probable class when the photo moves by one pixel.

    Parameters
    ----------
    network : Network
    photos : iterable of photos
    where : sequence of Place
        Which maps.
    strides : mapping of str to int
        Pixels between the neighbouring cells of each place, by its label.

    Returns
    -------
    layers : tuple of ShiftHealth
        In the order of ``where``.
    consistency : float
        Share of the shifts (two a photo) that leave the most probable class; NaN without classes.
    """
    changes: dict[Place, list[tuple[float, float]]] = {}
    wanted = {(place.module, place.call): place for place in where}
    same: list[bool] = []

    def record(name: str, call: int, _part: object, _input: Tensor, maps: Tensor) -> None:
        place = wanted.get((name, call))
        if place is None or maps.ndim != 4:
            return
        still, down, right = maps.double()
        for axis, moved in ((1, down), (2, right)):
            changes.setdefault(place, []).append(map_change(still, moved, axis, strides[place.label]))

    for photo in photos:
        batch = network.preprocessing.tensor(moved_views(network, photo))
        with record_leaves(network.module, record, {place.module for place in where}):
            scores = network.module(batch)
        if network.classes:
            best = scores.argmax(1)
            same += [bool(best[0] == best[1]), bool(best[0] == best[2])]
    layers = []
    for place in where:
        pairs = np.array(changes.get(place, [(np.nan, np.nan)]))
        change, unexplained = (_median(pairs[:, i]) for i in (0, 1))
        layers.append(ShiftHealth(place.label, strides[place.label], change, unexplained))
    return tuple(layers), float(np.mean(same)) if same else float("nan")


def map_change(still: Tensor, moved: Tensor, axis: int, stride: int) -> tuple[float, float]:
    """Change of maps, and what of it moving them along leaves.

    Parameters
    ----------
    still, moved : Tensor, (C, H, W)
        Maps before and after the photo moved by one pixel down (axis 1) or right (axis 2).
    axis : {1, 2}
    stride : int
        Pixels between neighbouring cells along it.

    Returns
    -------
    change, unexplained : float
        Lengths of differences over the length of ``still``; the second away from the border, an eighth of the side on
        each and at least two cells. NaN for maps of zeros, and the second for maps below 6 cells a side.
    """
    length = float(still.norm())
    if length == 0:
        return float("nan"), float("nan")
    change = float((moved - still).norm()) / length
    if min(still.shape[1:]) < _LEAST:
        return change, float("nan")
    expected = shifted(still, axis, 1 / stride)
    inner = tuple(slice(edge, size - edge) for size in still.shape[1:] for edge in (max(2, size // 8),))
    kept = float(still[(slice(None), *inner)].norm())
    rest = float((moved - expected)[(slice(None), *inner)].norm())
    return change, rest / kept if kept else float("nan")


def shifted(maps: Tensor, axis: int, by: float) -> Tensor:
    """Maps moved along an axis by a fraction of a cell, 0 < by <= 1, by cubic interpolation (Keys 1981, a = -1/2).

    Parameters
    ----------
    maps : Tensor, (C, H, W)
        The border cells are repeated where the interpolation leaves the map.
    axis : {1, 2}
    by : float
        Cells; ``out[i]`` is the value at ``i - by``.

    Returns
    -------
    Tensor, (C, H, W)
    """
    t = 1.0 - by  # i - by lies between i - 1 and i, this far from i - 1
    taps = torch.tensor(
        [
            -0.5 * t**3 + t**2 - 0.5 * t,
            1.5 * t**3 - 2.5 * t**2 + 1,
            -1.5 * t**3 + 2 * t**2 + 0.5 * t,
            0.5 * t**3 - 0.5 * t**2,
        ],
        dtype=maps.dtype,
    )
    frame = (0, 0, 2, 1) if axis == 1 else (2, 1, 0, 0)
    framed = F.pad(maps[None], frame, mode="replicate")[0]
    size = maps.shape[axis]
    return sum(float(tap) * framed.narrow(axis, i, size) for i, tap in enumerate(taps))  # type: ignore[return-value]


def _median(values: npt.NDArray[np.float64]) -> float:
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else float("nan")
