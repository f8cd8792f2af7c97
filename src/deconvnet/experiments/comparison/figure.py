"""Networks beside each other: what they cost, how well they do, and the errors of their average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.experiments.comparison.record import ComparisonRecord, ComparisonRow
from deconvnet.figures.axes import Page
from deconvnet.figures.bars import draw_bars
from deconvnet.figures.filters import filters_image
from deconvnet.figures.lettering import names_that_fit, wrapped
from deconvnet.figures.palette import QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run


def comparison_figure(
    rows: Sequence[ComparisonRow], filters: Sequence[np.ndarray], threads: int, note: str = ""
) -> Figure:
    """Costs, accuracy and first layers of networks.

    Parameters
    ----------
    rows : sequence of ComparisonRow
    filters : sequence of ndarray, (O, C, h, w)
        First-layer filters of each.
    threads : int
        With which the times were measured.
    note : str
        A line below.

    Raises
    ------
    OptionError
        If there is no row.
    """
    if not rows:
        raise OptionError("there is no network to draw: give at least one.")
    bar, wide, line = 0.3 * len(rows) + 0.1, 11.4, 0.75
    across = min(len(rows), 5)
    cell = (wide - 0.44) / across
    side = min(2.1, cell - 0.25)
    below = 2 * (bar + line)
    headings = [_first_words(row, side + 0.2) for row in rows]
    deep = 0.15 * max(len(words) for words in headings) + 0.7 * side + 0.25
    words = "Cost on logarithmic scales. Mid-grey of a filter is zero, each on its own scale. " + note
    page = Page(wide, 0.1 + below + deep * -(-len(rows) // across), notes=[words])

    def panel(column: int, row: int) -> Axes:
        return page.axes(1.75 + column * 3.2, 0.25 + row * (bar + line), 2.6, bar)

    names = [row.name for row in rows]
    panels = [
        ("parameters, millions", [row.parameters / 1e6 for row in rows], "{:.3g}", True),
        ("multiply-adds, millions", [row.multiply_adds / 1e6 for row in rows], "{:.3g}", True),
        ("activations, MiB", [row.activation_bytes / 2**20 for row in rows], "{:.2g}", True),
        (f"ms for one input ({threads} thread{'s' * (threads > 1)})", [r.milliseconds for r in rows], "{:.3g}", True),
        ("last conv sees, px", [float(row.receptive_field or np.nan) for row in rows], "{:.0f}", False),
    ]
    for number, (title, values, form, log) in enumerate(panels):
        column = number % 3
        axes = panel(column, number // 3)
        draw_bars(axes, names if column == 0 else [""] * len(names), values, form, title, log=log, room=1.45)
    axes = panel(2, 1)
    tops = [100 * (row.accuracy or {}).get("top1", np.nan) for row in rows]
    draw_bars(axes, [""] * len(names), tops, "{:.1f}", "accuracy, top-1, % (each on its own data)")
    axes.set_xlim(0, 120)
    axes.set_xticks([0, 25, 50, 75, 100])
    for number, (words, weights) in enumerate(zip(headings, filters, strict=True)):
        row, column = divmod(number, across)
        left, top = 0.22 + column * cell, 0.1 + below + row * deep
        page.text("\n".join(words), left, top)
        top += 0.15 * len(words) + 0.05
        if weights.shape[1] in (1, 3):
            page.picture(filters_image(weights), left, top, side, 0.7 * side)
        else:
            page.text(f"filters of {weights.shape[1]} channels", left, top + 0.1, colour=QUIET)
    return page.figure


def _first_words(row: ComparisonRow, room: float) -> list[str]:
    first = row.first
    kernel = f"{first['kernel']}×{first['kernel']}, stride {first['stride']}"
    lines = [*names_that_fit([f"{row.name} {first['layer']}"], room), f"{first['filters']} of {kernel}"]
    bands = first.get("bands")
    if bands:
        lines.append("low/middle/high " + "/".join(f"{100 * b:.0f}" for b in bands) + " %")
    return [part for line in lines for part in wrapped(line, room)]


def timing_note(record: ComparisonRecord) -> str:
    """How the times were taken, in a sentence."""
    return f"Times: median of {record.rounds} interleaved rounds, {record.batch} input(s) at once."


def figures(record: ComparisonRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"comparison": comparison_figure(record.rows, record.filters, record.threads, timing_note(record))}
