"""Deletion and insertion curves: a class's probability as a photo's pixels are covered, or uncovered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deconvnet.errors import OptionError
from deconvnet.experiments.occlusion.faithfulness_record import CURVES, ORDERS, Faithfulness
from deconvnet.figures.axes import Page, band_line, dress
from deconvnet.figures.lettering import shortened
from deconvnet.figures.palette import BLUE, GREEN, GREY, INK, QUIET, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = dict(zip(ORDERS, (VERMILION, GREEN, GREY, BLUE), strict=True))
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
    row = 2.9
    note = (
        "Shaded: one standard deviation over seeds. Half-covered photos are unlike those that the network learned "
        "from, and single random pixels most of all."
    )
    page = Page(_WIDTH, row * len(found), title, notes=[note])
    for number, one in enumerate(found):
        top = number * row
        words = f"{one.photo} · {one.label} · fill: {one.fill}"
        page.text(shortened(words, _WIDTH - 0.9, 8.5), 0.64, top + 0.03, size=8.5, colour=QUIET)
        for column, curve in enumerate(CURVES):
            _panel(page.axes(0.64 + 4.47 * column, top + 0.5, 3.89, 1.85), one, curve)
        _areas(page.axes(9.28, top + 0.5, 2.2, 1.85), one)
    return page.figure


def _panel(axes: Axes, one: Faithfulness, curve: str) -> None:
    lines: Mapping[str, npt.NDArray[np.float32]] = one.deletion if curve == "deletion" else one.insertion
    for order, colour in _COLOURS.items():
        values = lines[order].astype(np.float64)
        band_line(axes, one.shares, values, colour, 2.0 if order == "map" else 1.3, (0.0, 1.0))
    words = f"share of pixels {'' if curve == 'deletion' else 'un'}covered"
    dress(axes, _WORDS[curve], below=words, beside="probability")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)


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
