"""Addresses of units: ``conv5:17`` is a feature map, ``conv5:17@6,4`` one of its units (row, column)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deconvnet.errors import UnitError

_ADDRESS = re.compile(r"^(?P<layer>.+?):(?P<channel>\d+)(?:@(?P<row>\d+),(?P<column>\d+))?$")


@dataclass(frozen=True, order=True)
class Unit:
    """One channel of one layer and, if given, a position in it.

    Parameters
    ----------
    layer : str
        A layer's name: ``conv1`` .. ``fc8`` in the built-in networks, a dotted module name elsewhere.
    channel : int
        Index of the feature map, from 0.
    position : (int, int) or None
        Row and column; ``None`` means the map's strongest position in each photo. Layers without spatial extent
        (fully connected ones, class scores) have no positions.
    """

    layer: str
    channel: int
    position: tuple[int, int] | None = None

    @classmethod
    def parse(cls, address: str) -> Unit:
        """Read ``layer:channel`` or ``layer:channel@row,column``.

        Raises
        ------
        UnitError
            If the address has another form.
        """
        match = _ADDRESS.match(address.strip())
        if not match:
            raise UnitError(
                f"{address!r} is not a unit: write LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN, "
                "for example conv5:17 or conv5:17@6,4."
            )
        row = match["row"]
        position = None if row is None else (int(row), int(match["column"]))
        return cls(match["layer"], int(match["channel"]), position)

    def at(self, row: int, column: int) -> Unit:
        """The unit of the same map at another position."""
        return Unit(self.layer, self.channel, (row, column))

    def __str__(self) -> str:
        place = "" if self.position is None else f"@{self.position[0]},{self.position[1]}"
        return f"{self.layer}:{self.channel}{place}"
