"""The record of activation maps over a photo: the values, and where each cell lies in the photo. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.geometry import ReceptiveField
from deconvnet.runs.record import Record

MAPS = "maps"


@dataclass(frozen=True, eq=False)
class MapsRecord(Record):
    """What maps of one layer answer to one photo.

    Attributes
    ----------
    network, photo, layer : str
    channels : tuple of int
        Which maps, the strongest first unless they were named.
    view : ndarray of uint8, (H, W, 3)
        The pixels that the network saw.
    values : ndarray of float32, (maps, R, C)
        The layer's output, with its negative values.
    rows, columns : ReceptiveField
        What a unit sees along each axis, in pixels of ``view``.
    smooth : bool
        Whether pixels between the centres of cells are drawn with interpolated values.
    """

    kind: ClassVar[str] = MAPS

    network: str
    photo: str
    layer: str
    channels: Annotated[tuple[int, ...], "maps"]
    view: Annotated[npt.NDArray[np.uint8], "H W 3"]
    values: Annotated[npt.NDArray[np.float32], "maps R C"]
    rows: ReceptiveField
    columns: ReceptiveField
    smooth: bool = False

    @property
    def cells_outside(self) -> int:
        """How many of a map's cells have the centre of their receptive field outside the photo."""
        inside = 1
        for field, cells, pixels in zip(
            (self.rows, self.columns), self.values.shape[1:], self.view.shape, strict=False
        ):
            places = centres(field, cells)
            inside *= int(((places >= -0.5) & (places <= pixels - 0.5)).sum())
        return self.values[0].size - inside

    def heat(self, index: int) -> npt.NDArray[np.float64]:
        """A map's positive activations at every pixel of the photo: float64 (H, W), 0 where no cell is."""
        height, width = self.view.shape[:2]
        rows, columns = self.values.shape[1:]
        down = weights(self.rows, rows, height, self.smooth)
        across = weights(self.columns, columns, width, self.smooth)
        return down @ np.maximum(self.values[index].astype(np.float64), 0) @ across.T

    def check(self) -> None:
        """Refuse fields that do not fit together."""
        if self.view.shape[2] != 3:
            raise ValueError(f"view has {self.view.shape[2]} channels, not 3")
        if not len(self.channels):
            raise ValueError("there is no map")
        for name, field in (("rows", self.rows), ("columns", self.columns)):
            if field.size < 1 or field.stride < 1:
                raise ValueError(f"{name} has no size or stride")

    def table(self) -> str:
        """Each map's largest activation and how many of its cells are active."""
        lines = [f"{self.network} {self.layer}, {self.photo}"]
        for channel, values in zip(self.channels, self.values, strict=True):
            active = int((values > 0).sum())
            lines.append(f"map {channel:5}  largest {values.max():10.4g}  active in {active} of {values.size} cells")
        return "\n".join(lines)


def centres(field: ReceptiveField, cells: int) -> npt.NDArray[np.float64]:
    """The middle of each cell's receptive field along one axis, in pixels; 0 is the middle of the first pixel."""
    return field.start + (field.size - 1) / 2 + field.stride * np.arange(cells, dtype=np.float64)


def nearest(field: ReceptiveField, cells: int, pixels: int) -> npt.NDArray[np.int64]:
    """The cell whose receptive field's centre is nearest to each pixel along one axis.

    Parameters
    ----------
    field : ReceptiveField
    cells, pixels : int
        Length of the map and of the photo.

    Returns
    -------
    ndarray of int64, (pixels,)
        -1 where the pixel lies more than half a stride outside the outermost centres. Of two that are equally near,
        the later cell.
    """
    twice = 2 * (np.arange(pixels) - field.start) - (field.size - 1)  # twice the way from the first centre: integers
    cell = (twice + field.stride) // (2 * field.stride)
    return np.where((cell >= 0) & (cell < cells), cell, -1)


def weights(field: ReceptiveField, cells: int, pixels: int, smooth: bool) -> npt.NDArray[np.float64]:
    """How much of each cell a pixel shows, along one axis: float64 (pixels, cells), 0 to 1."""
    cell = nearest(field, cells, pixels)
    matrix = (cell[:, None] == np.arange(cells)).astype(np.float64)
    if not smooth:
        return matrix
    place = np.clip((np.arange(pixels) - centres(field, 1)[0]) / field.stride, 0, cells - 1)
    tent = np.maximum(1 - np.abs(place[:, None] - np.arange(cells)), 0)
    return np.where((cell >= 0)[:, None], tent, 0)
