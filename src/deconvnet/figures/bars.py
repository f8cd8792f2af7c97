"""Horizontal bars with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.figures.canvas import INK, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE = "#3465a4", "#d9730d"


def draw_bars(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    form: str,
    title: str,
    spreads: Sequence[float] | None = None,
    log: bool = False,
) -> None:
    places = np.arange(len(values))
    shown = np.nan_to_num(np.asarray(values, float))
    whiskers = {"xerr": spreads, "error_kw": {"ecolor": QUIET, "linewidth": 1}} if spreads is not None else {}
    axes.barh(places, shown, color=BLUE, height=0.62, **whiskers)
    known = [value for value in values if not np.isnan(value)]
    top = max([*known, 1e-9]) + (max(spreads) if spreads else 0.0)
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
    axes.set_yticks(places)
    axes.set_yticklabels(names, fontsize=8, color=INK)
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=8.5, color=INK)
    axes.tick_params(axis="x", labelsize=7, colors=QUIET, length=2)
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color("#c5c9ce")
