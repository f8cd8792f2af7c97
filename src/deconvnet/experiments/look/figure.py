"""A look into a network drawn: each photo, and each layer's strongest map in it, projected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deconvnet.experiments.look.record import Look
from deconvnet.figures.canvas import Sheet
from deconvnet.figures.palette import QUIET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_CELL, _GAP, _MARGIN, _WORDS, _HEAD = 1.3, 0.08, 0.2, 0.2, 0.75
_MOST = 12


def look_figure(record: Look, run: Run) -> Figure:
    """Draw a row for each photo, twelve at most: the photo, then each layer's strongest map, projected above its patch.

    Parameters
    ----------
    record : Look
    run : Run
        Where the record's pictures lie.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RunError
        If a picture is missing or damaged.
    """
    photos = record.photos[:_MOST]
    columns = max((len(photo.layers) for photo in photos), default=0)
    tall = _WORDS + 2 * (_CELL + _GAP) + _GAP
    sheet = Sheet(2 * _MARGIN + (columns + 2) * (_CELL + _GAP), _HEAD + len(photos) * tall + 0.35)
    room = sheet.width - 2 * _MARGIN
    several = f", {len(photos)} of {len(record.photos)} photos" if len(record.photos) > len(photos) else ""
    sheet.text(
        f"{record.network.title}: each layer's strongest map{several}", _MARGIN, 0.14, size=12, bold=True, room=room
    )
    for row, photo in enumerate(photos):
        top = _HEAD + row * tall
        guess = f": {photo.predictions[0][0]} {photo.predictions[0][1]:.0%}" if photo.predictions else ""
        sheet.text(f"{photo.name}{guess}", _MARGIN, top - 0.2, size=8, room=room)
        _place(sheet, run, photo.view, _MARGIN, top + _WORDS, 2 * _CELL)
        for column, layer in enumerate(photo.layers):
            left = _MARGIN + (column + 2) * (_CELL + _GAP)
            sheet.text(layer.maps[0].unit if layer.maps else layer.name, left, top, size=7, colour=QUIET, room=_CELL)
            if layer.maps:
                _place(sheet, run, layer.maps[0].projection, left, top + _WORDS, _CELL)
                _place(sheet, run, layer.maps[0].patch, left, top + _WORDS + _CELL + _GAP, _CELL)
    words = "Above the projection, on its own scale, mid-grey is zero; below the patch that the unit sees."
    sheet.text(words, _MARGIN, sheet.height - 0.25, size=7.5, colour=QUIET, room=room)
    return sheet.figure


def _place(sheet: Sheet, run: Run, name: str, left: float, top: float, side: float) -> None:
    """A picture of the run, as large as fits into a square of ``side`` inches."""
    picture = run.image(name.removesuffix(".png"))
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    sheet.picture(picture, left, top, width * scale, height * scale)


def figures(record: Look, run: Run) -> dict[str, Figure]:
    """The figures of a run, by name; the page (`deconvnet.experiments.look.page`) holds more."""
    return {"look": look_figure(record, run)}
