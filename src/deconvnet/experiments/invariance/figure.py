"""The paper's Figure 5: photos transformed, the distances of their features by layer, and the class's probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.experiments.invariance.record import InvarianceRecord, TransformationCurve
from deconvnet.figures.canvas import INK, QUIET, foot_note, head_line, new_figure
from deconvnet.figures.tiles import tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#3465a4", "#d9730d", "#2e7d5b", "#a8328a", "#8a6d00", "#c0392b", "#5b5f97", "#00838f")
_STYLES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")  # one for each eight photos
_MOST = 24
_ROW, _HEAD, _FOOT, _LEGEND = 2.35, 0.62, 0.52, 0.2


def invariance_figure(record: InvarianceRecord, title: str | None = None) -> Figure:
    """Draw a row for each transformation: the photos, the distance in each layer, the probability of the class.

    Parameters
    ----------
    record : InvarianceRecord
    title : str, optional
        By default the network and how many photos.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        If there are more than 24 photos, whose lines could not be told apart.
    """
    count = len(record.photos)
    if count > _MOST:
        raise OptionError(f"{count} photos cannot be told apart in one figure: draw at most {_MOST}.")
    plots = len(record.layers) + (1 if record.labels else 0)
    across = 3
    legend = _LEGEND * -(-count // across) + 0.12
    width = 2.9 + 3.0 * plots
    height = _HEAD + legend + _ROW * len(record.courses) + _FOOT
    figure = new_figure(width, height)
    words = title or f"{record.network}: features of {count} photo{'s' * (count > 1)} under transformations"
    head_line(figure, words, 0.2, 0.14)
    _legend(figure, record, across)
    grid = figure.add_gridspec(
        len(record.courses),
        1 + plots,
        width_ratios=(2.2, *(2.6 for _ in range(plots))),
        left=0.42 / width,
        right=1 - 0.15 / width,
        bottom=(_FOOT + 0.36) / height,
        top=1 - (_HEAD + legend + 0.02) / height,
        hspace=0.52,
        wspace=0.27,
    )
    for row, course in enumerate(record.courses):
        letter = chr(ord("a") + row)
        _examples(figure.add_subplot(grid[row, 0]), record, course, letter)
        for number, layer in enumerate(record.layers):
            axes = figure.add_subplot(grid[row, 1 + number])
            _lines(axes, course, course.distances[number])
            axes.set_title(f"{letter}{2 + number}  {layer}: Euclidean distance", loc="left", fontsize=8.5, color=INK)
        if record.labels:
            axes = figure.add_subplot(grid[row, plots])
            _lines(axes, course, course.probabilities)
            axes.set_ylim(0, 1.03)
            axes.set_title(f"{letter}{1 + plots}  probability of the class", loc="left", fontsize=8.5, color=INK)
    filled = max(float(course.filled.max()) for course in record.courses)
    note = (
        "Distances to the untransformed photo, each panel on its own scale; dots are the steps measured. "
        f"Beyond a photo: {record.fill} (up to {filled:.0%} of a picture)."
    )
    foot_note(figure, note, 0.2, 0.12)
    return figure


def _style(number: int) -> tuple[str, Literal["-", "--", ":"]]:
    return _COLOURS[number % len(_COLOURS)], _STYLES[number // len(_COLOURS) % len(_STYLES)]


def _legend(figure: Figure, record: InvarianceRecord, across: int) -> None:
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    room = (width - 0.4) / across
    for number, photo in enumerate(record.photos):
        row, column = divmod(number, across)
        left, top = 0.2 + column * room, _HEAD - 0.16 + row * _LEGEND
        colour, style = _style(number)
        line = Line2D(
            [left / width, (left + 0.28) / width], [1 - top / height] * 2, color=colour, linestyle=style, linewidth=2
        )
        figure.add_artist(line)
        words = "/".join(photo.replace("\\", "/").split("/")[-2:])
        if record.labels:
            said = {"given": "", "folder": "", "predicted": " (predicted)"}[record.label_sources[number]]
            words += f": {record.labels[number]}{said}, {record.baseline[number]:.0%}"
        most = int((room - 0.4) / 0.062)
        words = words if len(words) <= most else "…" + words[-most + 1 :]
        figure.text(
            (left + 0.34) / width, 1 - top / height, words, fontsize=7.5, color=INK, va="center", parse_math=False
        )


def _examples(axes: Axes, record: InvarianceRecord, course: TransformationCurve, letter: str) -> None:
    """Photos at the first step, one in the middle and the last: a column for each photo, framed in its colour."""
    from matplotlib.colors import to_rgb

    photos = min(len(record.photos), 5)
    cells = []
    for step in range(len(course.shown)):
        for number in range(photos):
            colour = np.array([round(255 * c) for c in to_rgb(_style(number)[0])], np.uint8)
            picture = course.examples[number, step]
            edge = max(2, picture.shape[0] // 22)
            framed = np.empty((picture.shape[0] + 2 * edge, picture.shape[1] + 2 * edge, 3), np.uint8)
            framed[:] = colour
            framed[edge:-edge, edge:-edge] = picture
            cells.append(framed)
    sheet = tile(cells, photos, max(1, cells[0].shape[0] // 20))
    axes.imshow(sheet, interpolation="antialiased", aspect="equal")
    side = sheet.shape[0] / len(course.shown)
    axes.set_yticks(
        [side * (step + 0.5) for step in range(len(course.shown))],
        [f"{value:g}" for value in course.shown],
        fontsize=7.5,
    )
    axes.set_xticks([])
    axes.tick_params(length=0, colors=QUIET, pad=2)
    axes.set_anchor("W")
    for spine in axes.spines.values():
        spine.set_visible(False)
    more = f" (first {photos} photos)" if len(record.photos) > photos else ""
    axes.set_title(f"{letter}1  {course.title}{more}", loc="left", fontsize=8.5, color=INK)


def _lines(axes: Axes, course: TransformationCurve, rows: np.ndarray) -> None:
    for number, row in enumerate(rows):
        colour, style = _style(number)
        axes.plot(course.values, row, color=colour, linestyle=style, linewidth=1.2, marker="o", markersize=1.8)
    axes.axvline(course.identity, color="#c5c9ce", linewidth=0.8, zorder=0)
    axes.set_xlabel(f"{course.title} ({course.unit})", fontsize=7.5, color=QUIET, labelpad=2)
    axes.set_xlim(float(course.values.min()), float(course.values.max()))
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7.5, colors=QUIET)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("bottom", "left"))
        spine.set_color("#c5c9ce")
