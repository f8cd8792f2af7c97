"""The paper's claims drawn: each with its verdict here."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from deconvnet.figures.canvas import Sheet
from deconvnet.figures.palette import GREEN, INK, QUIET, VERMILION
from deconvnet.reproduction.record import FAILS, HOLDS, ReproductionRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_COLOURS = {HOLDS: GREEN, FAILS: VERMILION}
_LINE, _HEAD = 0.2, 0.65


def claims_figure(record: ReproductionRecord) -> Figure:
    """Draw a line for each claim: where it stands, what it says, what was found, and the verdict in its colour.

    Parameters
    ----------
    record : ReproductionRecord

    Returns
    -------
    matplotlib.figure.Figure
    """
    sheet = Sheet(14.0, _HEAD + _LINE * len(record.answers) + 0.4)
    sheet.text(record.summary(), 0.2, 0.14, size=12, bold=True, room=13.6)
    for number, answer in enumerate(record.answers):
        top = _HEAD + number * _LINE
        sheet.text(answer.where, 0.2, top, size=7, colour=QUIET, room=1.3)
        sheet.text(answer.claim, 1.6, top, size=7, colour=INK, room=6.2)
        sheet.text(shorten(answer.ours or answer.why, 96, placeholder=" ..."), 7.9, top, size=7, colour=INK, room=4.7)
        sheet.text(answer.verdict, 12.7, top, size=7, bold=True, colour=_COLOURS.get(answer.verdict, QUIET), room=1.2)
    sheet.text(f"{record.data}. {record.about}", 0.2, sheet.height - 0.25, size=7, colour=QUIET, room=13.6)
    return sheet.figure


def figures(record: ReproductionRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"claims": claims_figure(record)}
