"""Networks beside each other: what they cost, how well they do, and the errors of their average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.experiments.comparison.record import ComparisonRow
from deconvnet.figures.bars import draw_bars
from deconvnet.figures.canvas import INK, QUIET, foot_note, new_figure
from deconvnet.figures.filters import filters_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    bar, wide = 0.3 * len(rows) + 0.1, 11.0
    side = min(2.1, (wide - 0.4) / len(rows) - 0.25)
    tall = 0.5 + 2 * (bar + 0.75) + 0.7 * side + 0.55 + 0.35
    figure = new_figure(wide, tall)
    names = [row.name for row in rows]
    panels = [
        ("parameters, millions", [row.parameters / 1e6 for row in rows], "{:.3g}", True),
        ("multiply-adds, millions", [row.multiply_adds / 1e6 for row in rows], "{:.3g}", True),
        ("activations, MiB", [row.activation_bytes / 2**20 for row in rows], "{:.2g}", True),
        (f"ms for one input ({threads} thread{'s' * (threads > 1)})", [r.milliseconds for r in rows], "{:.3g}", True),
        ("last conv sees, px", [float(row.receptive_field or np.nan) for row in rows], "{:.0f}", False),
    ]
    for number, (title, values, form, log) in enumerate(panels):
        column, line = number % 3, number // 3
        axes = figure.add_axes(_place(column, line, bar, wide, tall))
        draw_bars(axes, names if column == 0 else [""] * len(names), values, form, title, log=log)
    axes = figure.add_axes(_place(2, 1, bar, wide, tall))
    tops = [100 * (row.accuracy or {}).get("top1", np.nan) for row in rows]
    draw_bars(axes, [""] * len(names), tops, "{:.1f}", "accuracy, top-1, % (each on its own data)")
    axes.set_xlim(0, 120)
    axes.set_xticks([0, 25, 50, 75, 100])
    top = 0.5 + 2 * (bar + 0.75)
    for number, (row, weights) in enumerate(zip(rows, filters, strict=True)):
        left = 0.3 + number * (wide - 0.4) / len(rows)
        figure.text(left / wide, 1 - (top - 0.05) / tall, _first_words(row), fontsize=8, color=INK, va="top")
        axes = figure.add_axes((left / wide, 1 - (top + 0.42 + 0.7 * side) / tall, side / wide, 0.7 * side / tall))
        axes.set_axis_off()
        if weights.shape[1] in (1, 3):
            axes.imshow(filters_image(weights), interpolation="nearest")
            axes.set_anchor("NW")
        else:
            axes.text(0, 0.8, f"filters of {weights.shape[1]} channels", fontsize=8, color=QUIET)
    words = "Cost on logarithmic scales. Mid-grey of a filter is zero, each on its own scale. " + note
    foot_note(figure, words, 0.3, 0.1)
    return figure


def _place(column: int, line: int, bar: float, wide: float, tall: float) -> tuple[float, float, float, float]:
    """Left, bottom, width, height of a panel of bars, in shares of the figure."""
    left, width = 1.35 + column * 3.2, 2.6
    return left / wide, 1 - (0.42 + line * (bar + 0.75) + bar) / tall, width / wide, bar / tall


def _first_words(row: ComparisonRow) -> str:
    first = row.first
    kernel = f"{first['kernel']}×{first['kernel']}, stride {first['stride']}"
    size = f"{row.name} {first['layer']}\n{first['filters']} of {kernel}"
    bands = first.get("bands")
    return size + ("; low/middle/high " + "/".join(f"{100 * b:.0f}" for b in bands) + " %" if bands else "")
