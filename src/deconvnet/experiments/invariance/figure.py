"""The paper's Figure 5: photos transformed, the distances of their features by layer, and the class's probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.experiments.invariance.record import InvarianceRecord, TransformationCurve
from deconvnet.figures.axes import MARGIN, TITLE, Page, dress, title_panel
from deconvnet.figures.lettering import NAME, names_that_fit, shortened, width_of
from deconvnet.figures.palette import LINES, QUIET, SPINE, rgb
from deconvnet.figures.tiles import tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")  # one for each seven photos
_MOST = 24
_LEFT, _EXAMPLES, _PANEL, _BETWEEN = 0.45, 2.2, 2.5, 0.5
_HIGH, _ROW, _LEGEND = 1.55, 2.3, 0.2


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
    legend = _LEGEND * -(-count // across) + 0.2
    width = _LEFT + _EXAMPLES + plots * (_BETWEEN + _PANEL) + 0.2
    words = title or f"{record.network}: features of {count} photo{'s' * (count > 1)} under transformations"
    filled = max(float(course.filled.max()) for course in record.courses)
    note = (
        "Distances to the untransformed photo, each panel on its own scale; dots are the steps measured. "
        f"Beyond a photo: {record.fill} (up to {filled:.0%} of a picture)."
    )
    page = Page(width, legend + 0.1 + _ROW * len(record.courses), words, notes=[note])
    _legend(page, record, across)
    layers = names_that_fit(record.layers, _PANEL - width_of("a2  : Euclidean distance", TITLE), TITLE)
    for row, course in enumerate(record.courses):
        letter = chr(ord("a") + row)
        top = legend + 0.25 + row * _ROW

        def panel(number: int, top: float = top) -> Axes:
            return page.axes(_LEFT + _EXAMPLES + _BETWEEN + number * (_BETWEEN + _PANEL), top, _PANEL, _HIGH)

        _examples(page.axes(_LEFT, top, _EXAMPLES, _HIGH), record, course, letter)
        for number, layer in enumerate(layers):
            heading = f"{letter}{2 + number}  {layer}: Euclidean distance"
            _lines(panel(number), course, course.distances[number], heading)
        if record.labels:
            axes = panel(plots - 1)
            _lines(axes, course, course.probabilities, f"{letter}{1 + plots}  probability of the class")
            axes.set_ylim(0, 1.03)
    return page.figure


def _style(number: int) -> tuple[str, Literal["-", "--", ":", "-."]]:
    return LINES[number % len(LINES)], _STYLES[number // len(LINES) % len(_STYLES)]


def _legend(page: Page, record: InvarianceRecord, across: int) -> None:
    room = (page.width - 2 * MARGIN) / across
    for number, photo in enumerate(record.photos):
        row, column = divmod(number, across)
        left, top = MARGIN + column * room, row * _LEGEND
        colour, style = _style(number)
        page.line(left, top + 0.08, 0.28, colour, style)
        words = "/".join(photo.replace("\\", "/").split("/")[-2:])
        if record.labels:
            said = {"given": "", "folder": "", "predicted": " (predicted)"}[record.label_sources[number]]
            words += f": {record.labels[number]}{said}, {record.baseline[number]:.0%}"
        page.text(shortened(words, room - 0.5), left + 0.34, top + 0.08, size=NAME, down="center")


def _examples(axes: Axes, record: InvarianceRecord, course: TransformationCurve, letter: str) -> None:
    """Photos at the first step, one in the middle and the last: a column for each photo, framed in its colour."""
    photos = min(len(record.photos), 5)
    cells = []
    for step in range(len(course.shown)):
        for number in range(photos):
            colour = np.array(rgb(_style(number)[0]), np.uint8)
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
        fontsize=NAME,
    )
    axes.set_xticks([])
    axes.tick_params(length=0, colors=QUIET, pad=2)
    axes.set_anchor("W")
    for spine in axes.spines.values():
        spine.set_visible(False)
    more = f" (first {photos} photos)" if len(record.photos) > photos else ""
    title_panel(axes, f"{letter}1  {course.title}{more}")


def _lines(axes: Axes, course: TransformationCurve, rows: np.ndarray, title: str) -> None:
    for number, row in enumerate(rows):
        colour, style = _style(number)
        axes.plot(course.values, row, color=colour, linestyle=style, linewidth=1.2, marker="o", markersize=1.8)
    axes.axvline(course.identity, color=SPINE, linewidth=0.8, zorder=0)
    dress(axes, title, below=f"{course.title} ({course.unit})", spines=("bottom", "left"))
    axes.set_xlim(float(course.values.min()), float(course.values.max()))
    axes.set_ylim(bottom=0)


def figures(record: InvarianceRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"invariance": invariance_figure(record)}
