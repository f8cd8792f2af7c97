"""Bars with their numbers: horizontal ones beside names, upright ones above names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.figures.axes import dress, name_columns, name_rows
from deconvnet.figures.lettering import NameLayout
from deconvnet.figures.palette import BLUE, INK, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_bars(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    form: str,
    title: str,
    spreads: Sequence[float] | None = None,
    log: bool = False,
    room: float = 1.2,
) -> None:
    """Horizontal bars.

    Parameters
    ----------
    axes : Axes
    names : sequence of str
        Beside the bars, the first above; "" for none.
    values : sequence of float
        NaN is written as "-".
    form : str
        How a number is written, such as ``"{:.1f}"``.
    title : str
    spreads : sequence of float, optional
        Whiskers on both sides.
    log : bool
        A logarithmic scale, where all values are positive.
    room : float
        Inches for a name.
    """
    places = np.arange(len(values))
    shown = np.nan_to_num(np.asarray(values, float))
    whiskers = {"xerr": spreads, "error_kw": {"ecolor": QUIET, "linewidth": 1}} if spreads is not None else {}
    axes.barh(places, shown, color=BLUE, height=0.62, **whiskers)
    known = [value for value in values if not np.isnan(value)]
    top = (max([*known, 0.0]) + (max(spreads) if spreads else 0.0)) or 1.0
    dress(axes, title, grid="x")
    if log and known and min(known) > 0:
        axes.set_xscale("log")
        axes.set_xlim(min(known) / 3, top * 6)
    else:
        axes.set_xlim(0, top * 1.3)
    for place, value in enumerate(values):
        known_value = not np.isnan(value)
        offset = (spreads[place] if spreads is not None else 0.0) if known_value else 0.0
        words = f" {form.format(value)}" if known_value else " -"
        axes.text((value + offset) if known_value else 0, place, words, va="center", fontsize=7.5, color=INK)
    name_rows(axes, names, room)
    axes.minorticks_off()


def draw_columns(axes: Axes, names: NameLayout, values: Sequence[float], labels: Sequence[str], top: float) -> None:
    """Upright bars on an axis that ends at ``top``, each with its label where there are at most 12; NaN has none."""
    places = np.arange(len(values))
    axes.bar(places, np.nan_to_num(values), color=BLUE, width=0.6)
    if len(values) <= 12:
        for place, (value, label) in enumerate(zip(values, labels, strict=True)):
            if not np.isnan(value):
                axes.text(place, value + top * 0.02, label, ha="center", va="bottom", fontsize=7, color=INK)
    name_columns(axes, names)
    axes.set_xlim(-0.6, max(len(values) - 0.4, 0.6))
    axes.set_ylim(0, top)
