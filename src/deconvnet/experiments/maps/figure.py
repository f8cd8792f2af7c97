"""Activation maps drawn: each map's positive activations as colour over the grey photo. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deconvnet.errors import OptionError
from deconvnet.experiments.maps.record import MapsRecord
from deconvnet.figures.canvas import QUIET, Sheet
from deconvnet.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOUR = np.array([224, 0, 122], np.float64)
_SIDE, _CAPTION, _GAP, _MARGIN, _LINE = 2.2, 0.36, 0.15, 0.25, 0.15
_COLUMNS = 5


def overlay(record: MapsRecord, index: int) -> npt.NDArray[np.uint8]:
    """One map over the grey photo: uint8 (H, W, 3). The largest activation is fully coloured, zero is not coloured."""
    heat = record.heat(index)
    largest = max(float(record.values[index].max()), 0.0)
    share = (heat / largest if largest > 0 else heat)[..., None]
    grey = record.view.astype(np.float64).mean(2, keepdims=True)
    return np.rint((1 - share) * grey + share * _COLOUR).astype(np.uint8)


def maps_figure(record: MapsRecord) -> Figure:
    """The photo, then each map over it, with its own scale from 0 to its largest activation.

    Raises
    ------
    OptionError
        If the record holds no map.
    """
    if not record.channels:
        raise OptionError("there is no map to draw: give at least one.")
    tiles = [(record.photo, "what the network saw", record.view)]
    for index, channel in enumerate(record.channels):
        values = record.values[index]
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        largest = float(values.max())
        words = f"0 to {largest:.4g}, at {row},{column}" if largest > 0 else "not active in this photo"
        tiles.append((f"{record.layer}:{channel}", words, overlay(record, index)))
    across = min(_COLUMNS, len(tiles))
    down = -(-len(tiles) // across)
    notes = _notes(record)
    width = max(2 * _MARGIN + across * (_SIDE + _GAP) - _GAP, 7.0)
    head, legend = 0.4, 0.3
    height = 2 * _MARGIN + head + down * (_CAPTION + _SIDE + _GAP) + legend + len(notes) * _LINE
    sheet = Sheet(width, height)
    room = width - 2 * _MARGIN
    sheet.text(f"{record.network} {record.layer} over {record.photo}", _MARGIN, _MARGIN, size=12, bold=True, room=room)
    for number, (title, words, picture) in enumerate(tiles):
        line, place = divmod(number, across)
        left = _MARGIN + place * (_SIDE + _GAP)
        top = _MARGIN + head + line * (_CAPTION + _SIDE + _GAP)
        sheet.text(title, left, top, size=8, bold=True, room=_SIDE)
        sheet.text(words, left, top + 0.155, size=6.5, colour=QUIET, room=_SIDE)
        sheet.picture(picture, left, top + _CAPTION, _SIDE, _SIDE)
    top = height - _MARGIN - len(notes) * _LINE - legend
    share = np.linspace(0, 1, 120)[None, :, None]
    ramp = np.rint((1 - share) * 128 + share * _COLOUR).astype(np.uint8).repeat(8, 0)
    sheet.text("0", _MARGIN, top, size=7.5)
    sheet.picture(ramp, _MARGIN + 0.12, top, 1.8, 0.12)
    sheet.text("the map's largest activation", _MARGIN + 2.0, top, size=7.5, room=room - 2.0)
    for number, words in enumerate(notes):
        place = height - _MARGIN - (len(notes) - number) * _LINE
        sheet.text(words, _MARGIN, place, size=7.5, colour=QUIET, room=room)
    return sheet.figure


def _notes(record: MapsRecord) -> list[str]:
    rows, columns = record.rows, record.columns
    outside = record.cells_outside
    return [
        f"A cell is drawn at the centre of its receptive field of {rows.size} x {columns.size} px; cells lie "
        f"{rows.stride} x {columns.stride} px apart.",
        ("Between centres the values are interpolated. " if record.smooth else "A pixel shows the nearest cell. ")
        + "Each map has its own scale; zero and negative values are not coloured."
        + (f" {outside} of {record.values[0].size} cells have their centre outside the photo." if outside else ""),
        "A strongly coloured place is where the map is active, not why, and not what the network's answer rests on.",
    ]


def figures(record: MapsRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"maps": maps_figure(record)}
