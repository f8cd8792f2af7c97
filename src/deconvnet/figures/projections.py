"""Projections of single units beside what they saw, for one photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.figures.canvas import Sheet
from deconvnet.figures.display import display, display_scale
from deconvnet.figures.lettering import NOTE_LINE, wrapped
from deconvnet.figures.palette import MARK, QUIET
from deconvnet.geometry import Box
from deconvnet.runs.units import Unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ProjectionRow:
    """One unit, as `projection_panel` draws it.

    Parameters
    ----------
    unit : Unit
        Its address, position included where there is one.
    activation : float
        Its activation in the photo. At 0 or below it projects to nothing, and the panel says so.
    box : Box
        Its receptive field in pixels of the photo; may leave the photo.
    projection : float ndarray, shape (C, h, w)
        The projection, cut to the box.
    patch : uint8 ndarray, shape (h, w, 3)
        The photo, cut to the box and filled where the box leaves it.
    """

    unit: Unit
    activation: float
    box: Box
    projection: np.ndarray
    patch: np.ndarray


_MARGIN, _GAP, _BETWEEN = 0.25, 0.05, 0.32
_LAYER_HEAD, _CAPTION = 0.34, 0.33
_NOTE = "Mid-grey is zero; black and white are ± the scale, each projection's own: brightness is not importance."


def projection_panel(photo: np.ndarray, rows: Sequence[ProjectionRow], title: str | None = None) -> Figure:
    """For each unit: where its receptive field lies in the photo, its projection, and the patch that it saw.

    Parameters
    ----------
    photo : uint8 ndarray, shape (H, W, 3)
        The very pixels that the network saw.
    rows : sequence of ProjectionRow
        Neighbours of one layer are drawn together, under the layer's name.
    title : str, optional
        A line above the panel.

    Returns
    -------
    matplotlib.figure.Figure
        One unit a line for up to three units, two for up to eight, else three.

    Raises
    ------
    OptionError
        If ``rows`` is empty or ``photo`` is not uint8 (H, W, 3).
    """
    if not rows:
        raise OptionError("there is no unit to draw: give at least one.")
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise OptionError(f"the photo is {photo.dtype} of shape {photo.shape}: expected uint8 (H, W, 3).")
    layers = [(layer, list(group)) for layer, group in groupby(rows, key=lambda row: row.unit.layer)]
    longest = max(len(group) for _, group in layers)
    across, side = (1, 2.1) if longest <= 3 else (2, 1.5) if longest <= 8 else (3, 1.2)
    cell = 3 * side + 2 * _GAP
    head = 0.42 if title else 0.0
    lines = sum(-(-len(group) // across) for _, group in layers)
    room = across * (cell + _BETWEEN) - _BETWEEN
    notes = wrapped(_NOTE, room)
    foot = NOTE_LINE * len(notes) + 0.05
    sheet = Sheet(
        room + 2 * _MARGIN,
        2 * _MARGIN + head + len(layers) * _LAYER_HEAD + lines * (side + _CAPTION + 0.14) + foot,
    )
    if title:
        sheet.text(title, _MARGIN, _MARGIN, size=12, bold=True, room=sheet.width - 2 * _MARGIN)
    top = _MARGIN + head
    for layer, group in layers:
        _layer_head(sheet, layer, group, top, side)
        top += _LAYER_HEAD
        frame = _frame(photo, [row.box for row in group])
        for number, row in enumerate(group):
            column = number % across
            if number and column == 0:
                top += side + _CAPTION + 0.14
            _draw(sheet, photo, frame, row, _MARGIN + column * (cell + _BETWEEN), top, side)
        top += side + _CAPTION + 0.14
    sheet.notes(notes, _MARGIN, _MARGIN - 0.05)
    return sheet.figure


def _layer_head(sheet: Sheet, layer: str, group: Sequence[ProjectionRow], top: float, side: float) -> None:
    used = sheet.text(layer, _MARGIN, top, size=10, bold=True, room=2 * side)
    box = group[0].box
    words = f"receptive field {box.height} × {box.width}:  photo | projection | patch"
    room = sheet.width - 2 * _MARGIN - used - 0.12
    sheet.text(words, _MARGIN + used + 0.12, top + 0.025, size=8, colour=QUIET, room=room)


def _frame(photo: np.ndarray, boxes: Sequence[Box]) -> Box:
    """The smallest rectangle that holds the photo and every box: what the locating picture shows."""
    return Box(
        min(0, *(box.top for box in boxes)),
        min(0, *(box.left for box in boxes)),
        max(photo.shape[0], *(box.bottom for box in boxes)),
        max(photo.shape[1], *(box.right for box in boxes)),
    )


def _draw(
    sheet: Sheet, photo: np.ndarray, frame: Box, row: ProjectionRow, left: float, top: float, side: float
) -> None:
    address = str(row.unit)
    cell = 3 * side + 2 * _GAP
    used = sheet.text(address, left, top, size=8, bold=True, room=cell * 0.45)
    scale = display_scale(row.projection)
    if row.activation <= 0 and scale == 0:
        facts = f"activation {row.activation:.3g}: not active, projects to nothing"
    elif row.activation <= 0:
        facts = f"activation {row.activation:.3g}: not active, projected all the same · scale ±{scale:.2g}"
    elif scale == 0:
        facts = f"activation {row.activation:.3g} · nothing comes back"
    else:
        facts = f"activation {row.activation:.3g} · scale ±{scale:.2g}"
    sheet.text(facts, left + cell, top, size=8, colour=QUIET, align="right", room=cell - used - 0.1)
    top += 0.19

    unit = min(side / frame.height, side / frame.width)
    x0 = left + (side - unit * frame.width) / 2 - unit * frame.left
    y0 = top + (side - unit * frame.height) / 2 - unit * frame.top
    sheet.picture(photo, x0, y0, unit * photo.shape[1], unit * photo.shape[0])
    box = (x0 + unit * row.box.left, y0 + unit * row.box.top, unit * row.box.width, unit * row.box.height)
    sheet.rectangle(*box, edge="white", line=2.6, zorder=3)
    sheet.rectangle(*box, edge=MARK, line=1.3, zorder=4)
    for number, picture in enumerate((display(row.projection), row.patch), start=1):
        sheet.picture(picture, left + number * (side + _GAP), top, side, side)
