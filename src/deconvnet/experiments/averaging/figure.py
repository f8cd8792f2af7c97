"""Table 2 drawn: the errors of several networks and of their average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deconvnet.errors import OptionError
from deconvnet.experiments.averaging.record import AverageRow, AveragingRecord
from deconvnet.figures.axes import Page
from deconvnet.figures.bars import draw_bars
from deconvnet.figures.palette import ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run


def averaging_figure(rows: Sequence[AverageRow], data: str) -> Figure:
    """Errors of networks and of their average (Table 2) as bars.

    Parameters
    ----------
    rows : sequence of AverageRow
        The average last.
    data : str
        What the photos are; stands below.

    Raises
    ------
    OptionError
        If there are no rows.
    """
    if not rows:
        raise OptionError("there is no network to draw: give at least two.")
    bar = 0.1 + 0.34 * len(rows)
    words = f"{data}; {rows[0].count:,} photos. Whiskers: one standard error over photos."
    page = Page(9.4, bar + 0.75, notes=[words])
    kinds = (("top1", "top-1 error, %"), ("top5", "top-5 error, %"), ("per_class", "error, mean over classes, %"))
    for number, (key, title) in enumerate(kinds):
        axes = page.axes(1.95 + number * 2.45, 0.32, 2.25, bar)
        values = [100 * getattr(row, key) for row in rows]
        spreads = [100 * row.top1_spread for row in rows] if key == "top1" else None
        names = [row.name if number == 0 else "" for row in rows]
        draw_bars(axes, names, values, "{:.1f}", title, spreads, room=1.65)
        axes.patches[-1].set_facecolor(ORANGE)
    return page.figure


def figures(record: AveragingRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"average": averaging_figure(record.rows, record.data)}
