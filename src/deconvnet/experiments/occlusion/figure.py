"""The paper's Figure 7: what a network answers, by the position of a square that covers a part of the photo."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deconvnet.errors import OptionError
from deconvnet.experiments.occlusion.record import SCORES, OccludedPhoto, OcclusionMap, OcclusionRecord
from deconvnet.figures.canvas import Sheet
from deconvnet.figures.display import display
from deconvnet.figures.lettering import NOTE_LINE, wrapped
from deconvnet.figures.palette import AREAS, DIVERGING, GREY, INK, MARK, QUIET, SEQUENTIAL, rgb
from deconvnet.geometry import Box

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_SIDE, _GAP, _LEGEND, _MARGIN = 1.75, 0.2, 1.45, 0.25
_HEAD, _TITLES, _CAPTION, _BAR, _BETWEEN = 0.42, 0.36, 0.19, 0.36, 0.14
Picture = npt.NDArray[np.uint8]


def occlusion_panel(photos: Sequence[OccludedPhoto], score: str = "probability", title: str = "") -> Figure:
    """Draw Figure 7: one row for each photo and fill.

    Parameters
    ----------
    photos : sequence of OccludedPhoto
        All on squares of one size and stride.
    score : {"probability", "logit"}
        What (d) and (f) show of the class.
    title : str
        A line above the figure.

    Returns
    -------
    matplotlib.figure.Figure
        (a) the photo with the square where the class's score is lowest; (b) total activity of the feature map, (d) the
        class's score and (e) the most probable class, each drawn where the square's centre was; (c) the feature map's
        projections, the photo's own framed; (f) for each pixel, how far the squares over it lower the score, on
        average. The rows of a photo share their scales.

    Raises
    ------
    OptionError
        If there is no photo, or ``score`` is unknown.
    """
    if not photos:
        raise OptionError("there is no occluded photo to draw: give at least one.")
    if score not in SCORES:
        raise OptionError(f"score is one of {', '.join(SCORES)}, not {score!r}.")
    rows = sum(len(photo.maps) for photo in photos)
    height, width = photos[0].maps[0].view.shape[:2]
    side = _SIDE * height / width
    down = _CAPTION + side + _BAR + _BETWEEN
    wide = 2 * _MARGIN + 6 * _SIDE + _LEGEND + 6 * _GAP
    notes = [line for note in _notes(photos) for line in wrapped(note, wide - 2 * _MARGIN)]
    head = _HEAD if title else 0.0
    sheet = Sheet(
        wide,
        2 * _MARGIN + head + _TITLES + rows * down + len(notes) * NOTE_LINE,
    )
    if title:
        sheet.text(title, _MARGIN, _MARGIN, size=12, bold=True, room=sheet.width - 2 * _MARGIN)
    lefts = [_MARGIN + i * (_SIDE + _GAP) + (_LEGEND + _GAP if i == 5 else 0) for i in range(6)]
    titles = (
        "(a) photo and square",
        "(b) map's total activity",
        "(c) the map projected",
        f"(d) {score} of a class",
        "(e) most probable class",
        f"(f) {score} lost",
    )
    top = _MARGIN + head
    for left, words in zip(lefts, titles, strict=True):
        sheet.text(words, left, top, size=8.5, bold=True, room=_SIDE + 0.1)
    top += _TITLES - 0.1
    for photo in photos:
        scales = _scales(photo, score)
        colours = _class_colours(photo)
        for found in photo.maps:
            _row(sheet, photo, found, score, scales, colours, lefts, top, side)
            top += down
    sheet.notes(notes, _MARGIN, _MARGIN)
    return sheet.figure


def _notes(photos: Sequence[OccludedPhoto]) -> list[str]:
    grid, precision = photos[0].maps[0].grid, photos[0].maps[0].precision
    rounded = "" if precision == "exact" else f", {precision} arithmetic"  # runs of earlier versions
    return [
        f"{grid.about[0].upper()}{grid.about[1:]}{rounded}. (b), (d), (e): a cell's colour is the answer "
        "with the square centred there; outside of the cells no square was centred. The mark on a bar is "
        "the photo uncovered.",
        "(c): this photo's projection framed, then other photos'; mid-grey is zero, each on its own scale. (f): for "
        "each pixel the mean over all squares that cover it, as Captum draws it; red lowers the score when covered.",
        "The maps depend on the square's size and on what it is filled with, and a covered photo is unlike those that "
        "the network learned from: compare fills and sizes before you conclude.",
    ]


def _scales(photo: OccludedPhoto, score: str) -> dict[str, tuple[float, float]]:
    """Ends of the bars, the same for all fills of a photo."""
    first = photo.maps[0]
    activity = max(float(found.sums[..., photo.channel].max()) for found in photo.maps)
    values = [found.score(photo.label, score) for found in photo.maps]
    clean = first.clean_score(photo.label, score)
    low = 0.0 if score == "probability" else min(clean, *(float(each.min()) for each in values))
    lost = max(float(np.nanmax(np.abs(found.per_pixel(photo.label, score)))) for found in photo.maps)
    return {
        "activity": (0.0, max(activity, float(first.clean_sums[photo.channel]))),
        "score": (low, max(clean, *(float(each.max()) for each in values))),
        "lost": (-lost, lost),
    }


def _class_colours(photo: OccludedPhoto) -> dict[int, str]:
    """Colours of the shown class, then of those that are most often the most probable."""
    counts = sum(np.bincount(m.most_probable.ravel(), minlength=len(m.classes)) for m in photo.maps)
    often = [
        int(i) for i in np.argsort(-np.asarray(counts), kind="stable") if np.asarray(counts)[i] and i != photo.label
    ]
    return dict(zip([photo.label, *often], AREAS, strict=False))


def _row(
    sheet: Sheet,
    photo: OccludedPhoto,
    found: OcclusionMap,
    score: str,
    scales: dict[str, tuple[float, float]],
    colours: dict[int, str],
    lefts: Sequence[float],
    top: float,
    side: float,
) -> None:
    unit, label = str(photo.unit), photo.label_name
    clean = found.clean_score(photo.label, score)
    activity = float(found.clean_sums[photo.channel])
    captions = (photo.name, unit, unit, f"{label} ({'given' if photo.given else 'predicted'})", "", label)
    for left, words in zip(lefts, captions, strict=True):
        sheet.text(words, left, top, size=7.5, room=_SIDE)
    picture = top + _CAPTION
    below = picture + side + 0.06

    _photo_and_square(sheet, photo, found, score, lefts[0], picture, side)
    sheet.text(found.fill.about, lefts[0], below, size=7, colour=QUIET, room=_SIDE)
    maps = (
        (1, found.grid.paint(found.sums[..., photo.channel]), scales["activity"], SEQUENTIAL, activity),
        (3, found.grid.paint(found.score(photo.label, score)), scales["score"], SEQUENTIAL, clean),
        (5, found.per_pixel(photo.label, score), scales["lost"], DIVERGING, None),
    )
    for column, values, (low, high), palette, mark in maps:
        image = _coloured(values, low, high, palette, found.view)
        sheet.picture(image, lefts[column], picture, _SIDE, side)
        _bar(sheet, low, high, palette, mark, lefts[column], below)
    _projections(sheet, photo, lefts[2], picture, side)
    image = _classes(found, colours)
    sheet.picture(image, lefts[4], picture, _SIDE, side)
    _legend(sheet, found, colours, lefts[4] + _SIDE + 0.1, picture)


def _photo_and_square(
    sheet: Sheet, photo: OccludedPhoto, found: OcclusionMap, score: str, left: float, top: float, side: float
) -> None:
    """The photo, covered where that lowers the class's score most."""
    lowest = int(found.score(photo.label, score).argmin())
    box = Box(*(int(edge) for edge in found.grid.windows[lowest])).clip(*found.grid.photo)
    covered = found.view.copy()
    place = slice(box.top, box.bottom), slice(box.left, box.right)
    covered[place] = found.fill.picture[place]
    sheet.picture(covered, left, top, _SIDE, side)
    unit = side / found.grid.photo[0]
    at = (left + unit * box.left, top + unit * box.top, unit * box.width, unit * box.height)
    sheet.rectangle(*at, edge="white", line=2.2, zorder=3)
    sheet.rectangle(*at, edge=MARK, line=1.1, zorder=4)


def _projections(sheet: Sheet, photo: OccludedPhoto, left: float, top: float, side: float) -> None:
    shown = photo.projections[:4]
    if not shown:
        for number, words in enumerate(textwrap.wrap(f"No projection: {photo.unprojected}", 34)[:9]):
            sheet.text(words, left, top + number * 0.14, size=7, colour=QUIET, room=_SIDE)
        return
    across = 1 if len(shown) == 1 else 2
    cell, high = (_SIDE - (across - 1) * 0.06) / across, (side - (across - 1) * 0.06) / across
    for number, one in enumerate(shown):
        row, column = divmod(number, across)
        x, y = left + column * (cell + 0.06), top + row * (high + 0.06)
        image = display(one.pixels)
        unit = min(cell / image.shape[1], high / image.shape[0])
        width, height = unit * image.shape[1], unit * image.shape[0]
        x, y = x + (cell - width) / 2, y + (high - height) / 2
        sheet.picture(image, x, y, width, height)
        if number == 0:
            sheet.rectangle(x, y, width, height, edge="black", line=1.6, zorder=4)
    others = len(shown) - 1
    words = f"framed: here, {shown[0].activation:.3g}" if others else f"activation {shown[0].activation:.3g}"
    more = f"; {others} other photo{'s' if others > 1 else ''}" if others else ""
    sheet.text(words + more, left, top + side + 0.06, size=7, colour=QUIET, room=_SIDE)


def _bar(sheet: Sheet, low: float, high: float, palette: str, mark: float | None, left: float, top: float) -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 256), (12, 256))
    thick = _SIDE * 12 / 256
    sheet.picture(_colour(ramp, palette), left, top, _SIDE, thick)
    below = top + thick + 0.04
    ends = [sheet.text(_number(low), left, below, size=7, colour=QUIET)]
    ends.append(sheet.text(_number(high), left + _SIDE, below, size=7, colour=QUIET, align="right"))
    if mark is None:
        return
    place = left + _SIDE * (0.0 if high <= low else (mark - low) / (high - low))
    sheet.rectangle(place - 0.012, top - 0.025, 0.024, thick + 0.05, fill=INK, zorder=6)
    room = _SIDE - sum(ends) - 0.12
    middle = left + ends[0] + 0.06 + room / 2
    sheet.text(f"uncovered {_number(mark)}", middle, below, size=7, align="center", room=room)


def _legend(sheet: Sheet, found: OcclusionMap, colours: dict[int, str], left: float, top: float) -> None:
    """The classes of (e), each with its share of the positions."""
    counts = np.bincount(found.most_probable.ravel(), minlength=len(found.classes))
    lines = [(colours[i], found.classes[i], int(counts[i])) for i in colours if counts[i] or i == found.predicted]
    rest = [int(i) for i in np.flatnonzero(counts) if int(i) not in colours]
    if rest:
        words = f"{len(rest)} other class{'es' if len(rest) > 1 else ''}"
        lines.append((GREY, words, int(counts[rest].sum())))
    for number, (colour, name, count) in enumerate(lines):
        y = top + number * 0.2
        sheet.rectangle(left, y, 0.12, 0.12, fill=colour)
        share = "< 1%" if 0 < count < 0.005 * counts.sum() else f"{count / counts.sum():.0%}"
        used = sheet.text(share, left + _LEGEND, y - 0.01, size=7, colour=QUIET, align="right")
        sheet.text(name, left + 0.18, y - 0.01, size=7, room=_LEGEND - 0.18 - used - 0.06)


def _classes(found: OcclusionMap, colours: dict[int, str]) -> Picture:
    rows, columns = found.grid.cells()
    table = np.empty((len(found.classes), 3), np.uint8)
    table[:] = rgb(GREY)
    for label, colour in colours.items():
        table[label] = rgb(colour)
    image = table[found.most_probable[rows[:, None], columns[None, :]]]
    outside = (rows < 0)[:, None] | (columns < 0)[None, :]
    image[outside] = _faint(found.view)[outside]
    return image


def _coloured(values: npt.NDArray[np.floating], low: float, high: float, palette: str, view: Picture) -> Picture:
    """Values (H, W) as colours; NaN shows the photo, faintly."""
    unit = np.clip((values - low) / (high - low), 0, 1) if high > low else np.where(np.isnan(values), values, 0.5)
    image = _colour(np.nan_to_num(unit), palette)
    outside = np.isnan(values)
    image[outside] = _faint(view)[outside]
    return image


def _colour(unit: npt.NDArray[np.floating], palette: str) -> Picture:
    import matplotlib

    return np.ascontiguousarray(matplotlib.colormaps[palette](unit, bytes=True)[..., :3])


def _faint(view: Picture) -> Picture:
    light = 222 + view.astype(np.float64).mean(2, keepdims=True) * (33 / 255)
    return np.repeat(light, 3, axis=2).astype(np.uint8)


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def figures(record: OcclusionRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name: Figure 7, and deletion and insertion curves where they were measured."""
    from deconvnet.experiments.occlusion.faithfulness_figure import faithfulness_curves

    found = {"occlusion": occlusion_panel(record.photos, record.score, record.title)}
    if record.faithfulness:
        found["faithfulness"] = faithfulness_curves(record.faithfulness, f"{record.title}: deletion and insertion")
    return found
