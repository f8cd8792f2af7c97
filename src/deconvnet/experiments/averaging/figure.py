"""Table 2 drawn: the errors of several networks and of their average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deconvnet.errors import OptionError
from deconvnet.experiments.averaging.record import AverageRow
from deconvnet.figures.bars import ORANGE, draw_bars
from deconvnet.figures.canvas import QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    wide, tall = 9.0, 1.25 + 0.34 * len(rows)
    figure = new_figure(wide, tall)
    kinds = (("top1", "top-1 error, %"), ("top5", "top-5 error, %"), ("per_class", "error, mean over classes, %"))
    for number, (key, title) in enumerate(kinds):
        axes = figure.add_axes((0.17 + number * 0.275, 0.62 / tall, 0.25, (tall - 1.05) / tall))
        values = [100 * getattr(row, key) for row in rows]
        spreads = [100 * row.top1_spread for row in rows] if key == "top1" else None
        names = [row.name if number == 0 else "" for row in rows]
        draw_bars(axes, names, values, "{:.1f}", title, spreads)
        axes.patches[-1].set_facecolor(ORANGE)
    words = f"{data}; {rows[0].count:,} photos. Whiskers: one standard error over photos."
    figure.text(0.17, 0.1 / tall, words, fontsize=7.5, color=QUIET, va="bottom", parse_math=False)
    return figure
