"""A page of panels, and how every panel looks: title, ticks, spines, lines with their spread, legend."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deconvnet.figures.canvas import new_figure
from deconvnet.figures.lettering import HEAD, HEAD_LINE, NAME, NOTE, NOTE_LINE, NameLayout, names_that_fit, wrapped
from deconvnet.figures.palette import GRID, INK, QUIET, SPINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

MARGIN = 0.22
TITLE, LABEL = 9.0, 8.0


class Page:
    """A figure with a title above, notes below and between them panels at places in inches.

    Title, subtitle and notes are wrapped to the width and their height is reserved: nothing lies over a panel, and
    nothing is cut.

    Parameters
    ----------
    width : float
        Inches.
    body : float
        Height of what lies between title and notes, inches.
    title, subtitle : str
    notes : sequence of str
        What the reader must know, a paragraph each.

    Raises
    ------
    DeconvnetError
        If matplotlib is not installed.
    """

    def __init__(
        self, width: float, body: float, title: str = "", *, subtitle: str = "", notes: Sequence[str] = ()
    ) -> None:
        self.figure = new_figure(width, 1)
        room = width - 2 * MARGIN
        heads = wrapped(title, room, HEAD, bold=True)
        below = wrapped(subtitle, room, TITLE)
        lines = [line for note in notes for line in wrapped(note, room, NOTE)]
        self.width = width
        top = 0.14
        titled = top + HEAD_LINE * len(heads)
        self._top = titled + 0.17 * len(below) + (0.1 if heads or below else 0.0)
        foot = 0.12 + NOTE_LINE * len(lines) + (0.06 if lines else 0.0)
        self.height = self._top + body + foot
        self.figure.set_size_inches(width, self.height)
        self._write("\n".join(heads), MARGIN, top, size=HEAD, bold=True)
        self._write("\n".join(below), MARGIN, titled, size=TITLE, colour=QUIET)
        self._write("\n".join(lines), MARGIN, self.height - foot + 0.06, size=NOTE, colour=QUIET)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """A panel; ``top`` is measured from below the title."""
        top += self._top
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def picture(
        self, image: np.ndarray, left: float, top: float, width: float, height: float, smooth: bool = False
    ) -> Axes:
        """A panel that holds a picture at its upper left corner and no axis."""
        axes = self.axes(left, top, width, height)
        axes.imshow(image, interpolation="antialiased" if smooth else "nearest")
        axes.set_axis_off()
        axes.set_anchor("NW")
        return axes

    def line(self, left: float, top: float, width: float, colour: str, style: Any = "-") -> None:
        """A level line, as a legend has them; ``top`` is measured from below the title."""
        from matplotlib.lines import Line2D

        ends, level = [left / self.width, (left + width) / self.width], 1 - (top + self._top) / self.height
        self.figure.add_artist(Line2D(ends, [level] * 2, color=colour, linestyle=style, linewidth=2))

    def text(self, words: str, left: float, top: float, *, size: float = NAME, **look: Any) -> Text | None:
        """Words at a place; ``top`` is measured from below the title. See :meth:`_write` for the look."""
        return self._write(words, left, top + self._top, size=size, **look)

    def _write(
        self,
        words: str,
        left: float,
        top: float,
        *,
        size: float,
        colour: str = INK,
        bold: bool = False,
        across: Literal["left", "center", "right"] = "left",
        down: Literal["top", "center", "bottom"] = "top",
    ) -> Text | None:
        if not words:
            return None
        return self.figure.text(
            left / self.width,
            1 - top / self.height,
            words,
            fontsize=size,
            color=colour,
            fontweight="bold" if bold else "normal",
            ha=across,
            va=down,
            parse_math=False,
            linespacing=1.2,
        )


def title_panel(axes: Axes, words: str, pad: float = 6.0) -> None:
    """A panel's title, at its upper left corner; wrapped, where it is wider than the panel."""
    room = axes.get_position(original=True).width * axes.figure.get_figure(root=True).get_size_inches()[0]  # type: ignore[union-attr]
    axes.set_title(
        "\n".join(wrapped(words, room + 0.1, TITLE)), loc="left", fontsize=TITLE, color=INK, pad=pad, parse_math=False
    )


def dress(
    axes: Axes,
    title: str = "",
    *,
    below: str = "",
    beside: str = "",
    grid: Literal["x", "y"] = "y",
    spines: Collection[str] = ("bottom",),
    pad: float = 6.0,
) -> None:
    """Give a panel the look of all panels.

    Parameters
    ----------
    axes : Axes
    title : str
        Above, at the left.
    below, beside : str
        Labels of the axes.
    grid : {"x", "y"}
        Along which axis values are read; the other one has no tick marks.
    spines : collection of str
        Those that are drawn.
    pad : float
        Points between panel and title.
    """
    title_panel(axes, title, pad)
    axes.set_xlabel(below, fontsize=LABEL, color=QUIET, labelpad=3, parse_math=False)
    axes.set_ylabel(beside, fontsize=LABEL, color=QUIET, parse_math=False)
    axes.tick_params(labelsize=NAME, colors=QUIET, length=2)
    axes.tick_params(axis="y", length=0)
    if grid == "x":
        axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis=grid, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in spines)
        spine.set_color(SPINE)


def legend(axes: Axes, **where: Any) -> None:
    """A panel's legend, if anything has a name."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=NAME, labelcolor=INK, **where)


def name_columns(axes: Axes, layout: NameLayout) -> None:
    """Names below the places 0, 1, ... of the horizontal axis; see :func:`deconvnet.figures.lettering.lay_names`."""
    axes.set_xticks(layout.shown, layout.words, fontsize=NAME)
    for label in axes.get_xticklabels():
        label.set_parse_math(False)
        if layout.angle:
            label.set(rotation=layout.angle, ha="right", rotation_mode="anchor")


def name_rows(axes: Axes, names: Sequence[str], room: float) -> None:
    """Names of at most ``room`` inches beside the places 0, 1, ... of the vertical axis, the first one above."""
    axes.set_yticks(range(len(names)), names_that_fit(names, room), fontsize=NAME)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(names) - 0.5, -0.5)


def spread_line(
    axes: Axes,
    places: Sequence[float] | np.ndarray,
    means: np.ndarray,
    spreads: np.ndarray,
    colour: str,
    name: str = "",
    *,
    style: str = "-",
    vertical: bool = True,
) -> None:
    """Means as dots on a line with whiskers of ``spreads`` on both sides; NaN leaves a gap.

    With ``vertical`` False the means lie along the horizontal axis.
    """
    look: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": 1.4, "marker": "o", "markersize": 4.5}
    look |= {"capsize": 2.5, "elinewidth": 1.1, "label": name}
    if vertical:
        axes.errorbar(places, means, yerr=np.nan_to_num(spreads), **look)
    else:
        axes.errorbar(means, places, xerr=np.nan_to_num(spreads), **look)


def band_line(
    axes: Axes, places: np.ndarray, values: np.ndarray, colour: str, width: float, ends: tuple[float, float]
) -> None:
    """The mean of several curves, (curves, places), and shaded one standard deviation, cut at ``ends``."""
    mean, spread = values.mean(0), values.std(0)
    axes.plot(places, mean, color=colour, linewidth=width)
    if len(values) > 1:
        low, high = (each.clip(*ends) for each in (mean - spread, mean + spread))
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
