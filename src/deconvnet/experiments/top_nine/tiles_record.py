"""Tiles of a mining run: for each map one picture of 3 x 3 projections and one of 3 x 3 patches. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deconvnet.errors import RunError, UnknownNameError
from deconvnet.runs.directory import Run

if TYPE_CHECKING:
    import numpy as np

SIDE = 3  # Fig. 2
INDEX = "tiles/index"


def tile_name(layer: str, channel: int, what: str) -> str:
    """A tile's file in the run; ``what`` is ``"projections"`` or ``"patches"``."""
    return f"tiles/{layer}/{channel}-{what}.webp"


@dataclass(frozen=True)
class Tiles:
    """The index of a run's tiles, ``tiles/index.json``.

    Attributes
    ----------
    settings : mapping
        Rule of the deconvnet, and ``cell``, the longest side of a cell.
    input_size : int
        Side of what the network sees, in pixels.
    layers : mapping of str to mapping
        For each layer ``channels``; ``field``, the receptive field as [size, stride, start] of rows and of columns
        (None: the whole input); ``drawn``, the maps that have tiles (all others are dead); ``count``, the cells that
        are filled in each map's tiles, row by row from the top left, the strongest first.
    """

    settings: Mapping[str, Any]
    input_size: int
    layers: Mapping[str, Mapping[str, Any]]

    @staticmethod
    def exist(run: Run) -> bool:
        """Whether the run holds tiles."""
        return run.has(INDEX)

    @classmethod
    def read(cls, run: Run) -> Tiles:
        """The index in a run.

        Raises
        ------
        RunError
            If there is none, or it is damaged.
        """
        content = run.json(INDEX)
        try:
            return cls(content["settings"], int(content["input_size"]), content["layers"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.path}/{INDEX}.json is damaged ({error}): draw the tiles again.") from error

    def write(self, run: Run) -> None:
        """Store the index in a run."""
        run.save_json(INDEX, {"settings": self.settings, "input_size": self.input_size, "layers": self.layers})

    def drawn(self, layer: str) -> list[int]:
        """The maps of a layer that have tiles; `RunError` if the index is damaged."""
        found = self.layers[layer].get("drawn")
        if not isinstance(found, list) or not all(isinstance(channel, int) for channel in found):
            raise RunError(f"the index of the tiles of {layer} is damaged: draw the tiles again.")
        return found

    def cells(self, run: Run, layer: str, channel: int, what: str) -> list[np.ndarray]:
        """The filled cells of a map's tile, uint8 (h, w, 3) each, the strongest first.

        Raises
        ------
        UnknownNameError
            If the layer has no tiles.
        RunError
            If the map's tile is missing or damaged.
        """
        if layer not in self.layers:
            raise UnknownNameError("layer with tiles", layer, self.layers)
        count = int(self.layers[layer]["count"][channel])
        if not count:
            return []
        picture = run.picture(tile_name(layer, channel, what))
        height, width = picture.shape[0] // -(-count // SIDE), picture.shape[1] // SIDE
        return [
            picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
            for row, column in (divmod(number, SIDE) for number in range(count))
        ]
