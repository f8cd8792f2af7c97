"""A sheet of paper measured in inches: pictures, boxes and text at exact places.

Figures of hundreds of small pictures are laid out by arithmetic on one pair of axes, instead of hundreds of axes:
faster, and no text can land on another.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from deconvnet.errors import DeconvnetError, OptionError
from deconvnet.figures.palette import INK, QUIET
from deconvnet.runs.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of ``width`` x ``height`` inches, unknown to pyplot.

    Raises
    ------
    DeconvnetError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DeconvnetError(
            "drawing this figure needs matplotlib, which is not installed: pip install 'deconvnet[figures]'."
        ) from error
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure whole or not at all; the ending of ``path`` names the format (png, pdf, svg, jpg).

    Raises
    ------
    OptionError
        If matplotlib cannot write that format.
    RunError
        If the file cannot be written, for example because the disk is full.
    """
    target = Path(path)
    known = figure.canvas.get_supported_filetypes()
    kind = target.suffix.lower().lstrip(".")
    if kind not in known:
        raise OptionError(f"{target} cannot be drawn: its ending must be one of {', '.join(sorted(known))}.")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=kind)
    write_bytes(target, drawn.getvalue())
    return target


class Sheet:
    """A figure with the origin at its top left corner and inches for coordinates."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = new_figure(width, height)
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._fix_limits()

    def _fix_limits(self) -> None:
        self._axes.set_xlim(0, self.width)
        self._axes.set_ylim(self.height, 0)
        self._axes.set_aspect("auto")

    def picture(self, image: np.ndarray, left: float, top: float, width: float, height: float) -> None:
        """Draw a uint8 (H, W, 3) picture as large as it fits, centred, in a rectangle; its pixels stay square."""
        rows, columns = image.shape[:2]
        unit = min(width / columns, height / rows)
        left, top = left + (width - columns * unit) / 2, top + (height - rows * unit) / 2
        smooth = unit * DPI < 1.5  # fewer than 1.5 screen pixels each: resample, else show the pixels as they are
        self._axes.imshow(
            image,
            extent=(left, left + columns * unit, top + rows * unit, top),
            interpolation="antialiased" if smooth else "nearest",
            aspect="auto",
            zorder=2,
        )
        self._fix_limits()

    def rectangle(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        *,
        edge: str | None = None,
        fill: str | None = None,
        line: float = 1.2,
        zorder: float = 1,
    ) -> None:
        """Draw a rectangle; with ``fill`` None only its outline."""
        from matplotlib.patches import Rectangle

        self._axes.add_patch(
            Rectangle(
                (left, top),
                width,
                height,
                facecolor=fill or "none",
                edgecolor=edge or "none",
                linewidth=line if edge else 0,
                joinstyle="miter",
                zorder=zorder,
            )
        )

    def text(
        self,
        words: str,
        left: float,
        top: float,
        *,
        size: float = 8,
        colour: str = INK,
        bold: bool = False,
        align: Literal["left", "center", "right"] = "left",
        room: float | None = None,
    ) -> float:
        """Write one line whose upper edge is at ``top``; return its width in inches.

        A line wider than ``room`` inches is set smaller, down to 5 points, and then cut with an ellipsis.
        """
        item = self._axes.text(
            left,
            top,
            words,
            fontsize=size,
            color=colour,
            fontweight="bold" if bold else "normal",
            ha=align,
            va="top",
            zorder=5,
            parse_math=False,
        )
        width = item.get_window_extent().width / DPI
        if room is None or width <= room:
            return width
        item.set_fontsize(max(5.0, size * room / width * 0.98))
        width = item.get_window_extent().width / DPI
        while width > room and len(words) > 1:
            words = words[: max(1, min(len(words) - 1, int(len(words) * room / width)))]
            item.set_text(words.rstrip() + "…")
            width = item.get_window_extent().width / DPI
        return width

    def notes(self, lines: Sequence[str], left: float, bottom: float, step: float = 0.155) -> None:
        """Write small quiet lines of which the last ends ``bottom`` inches above the sheet's lower edge."""
        for number, words in enumerate(lines):
            top = self.height - bottom - (len(lines) - number) * step
            self.text(words, left, top, size=7.5, colour=QUIET)
