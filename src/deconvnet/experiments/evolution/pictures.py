"""Projections of feature maps in every snapshot of a training, and how alike they are (Fig. 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from deconvnet.errors import OptionError
from deconvnet.experiments.evolution.record import LayerEvolution
from deconvnet.figures.patches import cut_patch
from deconvnet.geometry import Box
from deconvnet.mining.record import LayerTop
from deconvnet.networks import Network
from deconvnet.photo_projections.project import project
from deconvnet.projection import Projections
from deconvnet.runs import Unit

SETTINGS = {"rule": "deconvnet", "unpool": "sum", "lrn": "identity", "activations": "refuse"}
Pixels = npt.NDArray[np.uint8]
Pictures = npt.NDArray[np.float32]  # (U, channels, h, w)
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SnapshotDrawing:
    """Projections of a layer's units, on their receptive fields: whole pictures where these are as large.

    Attributes
    ----------
    pictures : ndarray of float32, (U, channels, h, w)
        Passed down from 1, whatever the unit's strength.
    activations : ndarray of float, (U,)
    patches : ndarray of uint8, (U, h, w, 3)
    """

    pictures: Pictures
    activations: npt.NDArray[np.floating]
    patches: Pixels

    def part(self, which: slice) -> SnapshotDrawing:
        """Some of the units."""
        return SnapshotDrawing(self.pictures[which], self.activations[which], self.patches[which])


class SnapshotProjector:
    """Projects units of any snapshot.

    Parameters
    ----------
    networks : sequence of Network
        The snapshots, with the same preprocessing.
    view : callable(int)
        The pixels of a photo that the networks see, by index.
    settings : mapping
        Options of the projection; see ``SETTINGS``.

    Raises
    ------
    OptionError
        If there is no such option.
    """

    def __init__(self, networks: Sequence[Network], view: Callable[[int], Pixels], settings: Mapping[str, Any]) -> None:
        for option in settings:
            if option not in SETTINGS:
                raise OptionError(f"{option} is not an option of evolution: these are {', '.join(SETTINGS)}.")
        self.networks, self._view, self.settings = networks, view, {**SETTINGS, **settings}
        self._seen: dict[int, Pixels] = {}

    def draw(self, snapshot: int, units: Sequence[Unit], photos: Sequence[int]) -> SnapshotDrawing:
        """Units of one layer projected, each for its photo."""
        kept = sorted(set(photos))
        views = [self._photo(photo) for photo in kept]
        which = [kept.index(photo) for photo in photos]
        network = self.networks[snapshot]
        batch = network.preprocessing.tensor(views)
        found = project(network, batch, list(units), per_photo=which, start="one", inactive="project", **self.settings)
        boxes = _boxes(found)
        pictures = [found.projection(i) if boxes[i] else found.pixels[i] for i in range(len(found))]
        patches = [cut_patch(views[which[i]], boxes[i]) for i in range(len(found))]
        return SnapshotDrawing(np.stack(pictures).astype(np.float32), found.activations, np.stack(patches))

    def _photo(self, index: int) -> Pixels:
        if index not in self._seen:
            self._seen[index] = self._view(index)
        return self._seen[index]


def _boxes(found: Projections) -> list[Box | None]:
    """Receptive fields; None, the whole picture, for all units of a layer whose fields are as large as the photo."""
    height, width = found.image[1:]
    large = any(box is None or box.height >= height or box.width >= width for box in found.boxes)
    uneven = len({(box.height, box.width) for box in found.boxes if box is not None}) > 1
    return [None] * len(found.boxes) if large or uneven else list(found.boxes)


def layer_evolution(
    layer: str,
    shown: Indices,
    compared: Indices,
    tops: Sequence[LayerTop],
    draughtsman: SnapshotProjector,
    any_photo: int,
) -> LayerEvolution:
    """Everything about one layer.

    Parameters
    ----------
    layer : str
    shown, compared : ndarray of int64, (M,) and (K,)
        Maps to draw, and maps to compare; the latter begin with the former.
    tops : sequence of LayerTop
        Each snapshot's strongest photos.
    draughtsman : SnapshotProjector
    any_photo : int
        Index of a photo that can be read; it stands for that of a map which no photo activates, and is not shown.
    """
    values = np.stack([top.values[:, 0] for top in tops])
    photos = np.where(values > 0, np.stack([top.photos[:, 0] for top in tops]), -1)
    positions = np.stack([top.positions[:, 0] for top in tops])
    k, m, end = len(compared), len(shown), len(tops) - 1

    def units(snapshot: int, channels: Indices) -> list[Unit]:
        """Maps at the positions that the compared ones have in a snapshot."""
        where = positions[snapshot, compared] if tops[-1].spatial else [None] * k
        return [
            Unit(layer, int(c), None if w is None else (int(w[0]), int(w[1])))
            for c, w in zip(channels, where, strict=True)
        ]

    def sources(snapshot: int) -> list[int]:
        return [int(photo) if photo >= 0 else any_photo for photo in photos[snapshot, compared]]

    strongest: list[SnapshotDrawing] = []
    fixed: list[Pictures] = []
    neighbours = np.zeros(0, np.float32)
    for snapshot in range(len(tops)):
        jobs, where = units(snapshot, compared), sources(snapshot)
        if snapshot == end:  # the strongest are the fixed ones
            drawn = draughtsman.draw(end, jobs + units(end, np.roll(compared, -1)), where * 2)
            fixed.append(drawn.pictures[:k].copy())
            neighbours = drawn.pictures[k:]
        else:
            drawn = draughtsman.draw(snapshot, jobs + units(end, compared), where + sources(end))
            fixed.append(drawn.pictures[k:])
        mine = drawn.part(slice(0, k))
        # The way down scales with what it starts from, so a picture from the activation needs no second one.
        strength = np.where(photos[snapshot, compared] >= 0, mine.activations, 0).astype(np.float32)
        strongest.append(SnapshotDrawing(mine.pictures * strength[:, None, None, None], mine.activations, mine.patches))
    lively = photos[end, compared] >= 0  # of a dead map there is no strongest photo to stay with
    nothing = np.full(k, np.nan)
    weights = [_weights(network.module.get_submodule(layer)) for network in draughtsman.networks]
    return LayerEvolution(
        layer,
        shown,
        compared,
        photos.astype(np.int64),
        positions.astype(np.int32),
        values.astype(np.float32),
        np.stack([drawn.pictures[:m] for drawn in strongest]),
        np.stack([drawn.patches[:m] for drawn in strongest]),
        np.array([_cosine(each, weights[-1]) for each in weights]),
        np.array([_cosine(a, b) for a, b in pairwise(weights)]),
        np.stack([np.where(lively, cosines(each, fixed[-1]), np.nan) for each in fixed]),
        np.stack([np.where(lively, cosines(a, b), np.nan) for a, b in pairwise(fixed)]),
        np.where(lively, cosines(fixed[-1], neighbours), np.nan) if k > 1 else nothing,
        np.stack([cosines(a.pictures, b.pictures) for a, b in pairwise(strongest)]),
        cosines(strongest[-1].pictures, np.roll(strongest[-1].pictures, -1, axis=0)) if k > 1 else nothing,
    )


def cosines(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Cosine of each picture with its counterpart, as vectors: (U, ...) and (U, ...) to (U,), NaN where one is 0."""
    return np.array([_cosine(a, b) for a, b in zip(one, other, strict=True)], np.float64)


def _cosine(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / length, -1, 1)) if length > 0 else float("nan")


def _weights(part: nn.Module) -> npt.NDArray[np.float64]:
    """All weights of a layer and what it holds, without biases and the like, as one vector."""
    kept = [p.detach().cpu().double().flatten().numpy() for p in part.parameters() if p.ndim > 1]
    return np.concatenate(kept) if kept else np.zeros(0)
