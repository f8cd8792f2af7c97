"""Deletion and insertion curves: a class's probability as a photo's pixels are covered, or uncovered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deconvnet.errors import OptionError
from deconvnet.experiments.occlusion.faithfulness_record import CURVES, ORDERS, Faithfulness
from deconvnet.figures.canvas import INK, QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = dict(zip(ORDERS, ("#d55e00", "#009e73", "#8c8c8c", "#0072b2"), strict=True))
_WIDTH = 11.6
_WORDS = {"deletion": "Deletion: lower is better", "insertion": "Insertion: higher is better"}


def faithfulness_curves(found: Sequence[Faithfulness], title: str = "") -> Figure:
    """Draw deletion at the left and insertion at the right, one row for each photo and fill.

    Parameters
    ----------
    found : sequence of Faithfulness
    title : str
        A line above the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Of random orders the mean and, shaded, one standard deviation over the seeds; the legend gives the areas.

    Raises
    ------
    OptionError
        If there is nothing to draw.
    """
    if not found:
        raise OptionError("there are no deletion and insertion curves to draw: give at least one record.")
    row, head, foot = 2.9, 0.45 if title else 0.1, 0.35
    height = head + row * len(found) + foot
    figure = new_figure(_WIDTH, height)
    if title:
        top = 1 - 0.14 / height
        figure.text(0.025, top, title, fontsize=12, fontweight="bold", color=INK, va="top", parse_math=False)
    for number, one in enumerate(found):
        bottom = foot + row * (len(found) - 1 - number) + 0.55
        words = f"{one.photo} · {one.label} · fill: {one.fill}"
        top = (foot + row * (len(found) - number) - 0.06) / height
        figure.text(0.055, top, words[:130], fontsize=8.5, color=QUIET, va="top", parse_math=False)
        for column, curve in enumerate(CURVES):
            axes = figure.add_axes((0.055 + 0.385 * column, bottom / height, 0.335, 1.85 / height))
            _panel(axes, one, curve)
        _areas(figure.add_axes((0.8, bottom / height, 0.19, 1.85 / height)), one)
    words = (
        "Shaded: one standard deviation over seeds. Half-covered photos are unlike those that the network learned "
        "from, and single random pixels most of all."
    )
    figure.text(0.025, 0.12 / height, words, fontsize=7.5, color=QUIET, va="bottom", parse_math=False)
    return figure


def _panel(axes: Axes, one: Faithfulness, curve: str) -> None:
    lines: Mapping[str, npt.NDArray[np.float32]] = one.deletion if curve == "deletion" else one.insertion
    for order, colour in _COLOURS.items():
        values = lines[order].astype(np.float64)
        mean, spread = values.mean(0), values.std(0)
        axes.plot(one.shares, mean, color=colour, linewidth=2.0 if order == "map" else 1.3)
        if len(values) > 1:
            band = (each.clip(0, 1) for each in (mean - spread, mean + spread))
            axes.fill_between(one.shares, *band, color=colour, alpha=0.18, linewidth=0)
    axes.set_title(_WORDS[curve], loc="left", fontsize=9.5, color=INK)
    axes.set_xlabel(f"share of pixels {'' if curve == 'deletion' else 'un'}covered", fontsize=8.5, color=QUIET)
    axes.set_ylabel("probability", fontsize=8.5, color=QUIET)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8, colors=QUIET, length=0)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color("#c5c9ce")


def _areas(axes: Axes, one: Faithfulness) -> None:
    """The legend: each order's colour and the areas under its curves."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.text(0.0, 0.97, "area under the curve", fontsize=8, color=QUIET, va="top")
    for column, curve in enumerate(CURVES):
        axes.text(0.5 + 0.27 * column, 0.85, curve, fontsize=7.5, color=QUIET, va="top")
    for number, (order, colour) in enumerate(_COLOURS.items()):
        y = 0.73 - 0.14 * number
        axes.plot([0, 0.06], [y - 0.03] * 2, color=colour, linewidth=2)
        axes.text(0.09, y, order, fontsize=7.5, color=INK, va="top")
        for column, curve in enumerate(CURVES):
            area = one.area(curve, order)
            axes.text(0.5 + 0.27 * column, y, f"{area.mean():.3f}", fontsize=7.5, color=INK, va="top")
            if len(area) > 1:
                axes.text(0.5 + 0.27 * column, y - 0.065, f"± {area.std():.3f}", fontsize=6, color=QUIET, va="top")
