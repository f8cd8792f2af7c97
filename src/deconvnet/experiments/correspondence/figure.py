"""Figure 8's masked photos, and Table 1 drawn: each part's sign changes beside those of random regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deconvnet.experiments.correspondence.record import CorrespondenceRecord, MaskedPhoto, SignChange
from deconvnet.figures.axes import TITLE, Page, dress, name_rows, spread_line
from deconvnet.figures.lettering import NAME, names_that_fit, width_of
from deconvnet.figures.palette import BLUE, GREY, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_PHOTOS = 5  # Fig. 8
_CELL, _LABEL, _MARGIN, _PANEL = 0.92, 0.95, 0.22, 2.75


def correspondence_figure(record: CorrespondenceRecord, title: str | None = None) -> Figure:
    """Draw for each group of photos up to five of them, masked, and the table's lines, a panel for each layer.

    Parameters
    ----------
    record : CorrespondenceRecord
    title : str, optional
        By default the network, the layers and the fill.

    Returns
    -------
    matplotlib.figure.Figure
    """
    heights = [_height(record, group) for group in record.groups]
    most = max(sum(each.group == group for each in record.masked) for group in record.groups)
    pictures = _LABEL + min(_PHOTOS, most) * _CELL
    layers = names_that_fit(record.layers, _PANEL - width_of(": mean feature sign change", TITLE) - 0.2, TITLE)
    words = title or f"{record.network}: signs of feature changes when a part is masked ({record.fill})"
    note = (
        "Mean and standard deviation, over pairs of photos, of the share of features whose sign differs; lower: missed "
        f"alike. Random: {record.regions} regions of the part's size a photo. p: permutation test, two-sided."
    )
    page = Page(_MARGIN * 2 + pictures + 1.05 + _PANEL * len(record.layers), sum(heights), words, notes=[note])
    top = 0.0
    for group, tall in zip(record.groups, heights, strict=True):
        parts = _parts(record, group)
        _photos(page, record, group, parts, top)
        for number, layer in enumerate(record.layers):
            left = _MARGIN + pictures + 1.05 + number * _PANEL
            axes = page.axes(left, top + 0.36, _PANEL - 0.25, tall - 0.98)
            _panel(axes, [record.row(group, part, layer) for part in parts], layers[number], labelled=number == 0)
        top += tall
    return page.figure


def _parts(record: CorrespondenceRecord, group: str) -> list[str]:
    return list(dict.fromkeys(row.part for row in record.rows if row.group == group))


def _height(record: CorrespondenceRecord, group: str) -> float:
    return max(2.3, 0.32 + (2 + len(_parts(record, group))) * _CELL + 0.2)


def _photos(page: Page, record: CorrespondenceRecord, group: str, parts: list[str], top: float) -> None:
    """A column for each photo: whole, each part masked, and a random region masked."""
    members = [i for i, each in enumerate(record.masked) if each.group == group][:_PHOTOS]
    count = sum(each.group == group for each in record.masked)
    heading = f"{group}: {len(members)} of {count} photos" if count > len(members) else f"{group}: {count} photos"
    room = _LABEL + _PHOTOS * _CELL
    page.text(names_that_fit([heading], room, 9.5)[0], _MARGIN, top + 0.03, size=9.5, bold=True)
    names = ("", *parts, "random")
    shown = names_that_fit(["whole photo", *parts, "random"], _LABEL - 0.06)
    for row, (name, words) in enumerate(zip(names, shown, strict=True)):
        middle = top + 0.32 + (row + 0.5) * _CELL
        page.text(words, _MARGIN, middle, size=NAME, down="center")
        for column, index in enumerate(members):
            picture = _masked(record.masked[index], record.covered[index], name)
            if picture is not None:
                side = _CELL - 0.05
                page.picture(picture, _MARGIN + _LABEL + column * _CELL, middle - side / 2, side, side, smooth=True)


def _masked(photo: MaskedPhoto, cover: np.ndarray, name: str) -> np.ndarray | None:
    picture = photo.view.copy()
    if not name:
        return picture
    if name == "random":
        box = photo.random[0]
    elif name in photo.parts:
        box = photo.boxes[photo.parts.index(name)]
    else:
        return None
    inside = np.s_[box.top : box.bottom, box.left : box.right]
    picture[inside] = cover[inside]
    return picture


def _panel(axes: Axes, rows: list[SignChange], layer: str, *, labelled: bool) -> None:
    for place, row in enumerate(rows):
        for offset, mean, std, colour in (
            (-0.13, row.mean, row.std, BLUE),
            (0.13, row.random_mean, row.random_std, GREY),
        ):
            spread_line(axes, [place + offset], np.array([mean]), np.array([std]), colour, vertical=False)
        axes.text(
            0.99,
            place - 0.13,
            f"p = {row.p_value:.2g}",
            fontsize=NAME,
            color=QUIET,
            ha="right",
            va="center",
            transform=axes.get_yaxis_transform(),
        )
    dress(axes, f"{layer}: mean feature sign change", below="part (blue), random regions (grey)", grid="x")
    name_rows(axes, [row.part for row in rows] if labelled else [""] * len(rows), 0.9)
    axes.set_ylim(len(rows) - 0.4, -0.75)
    ends = [m + s for r in rows for m, s in ((r.mean, r.std), (r.random_mean, r.random_std))]
    axes.set_xlim(0, max([*ends, 1e-6]) * 1.4)  # room for p at the right


def figures(record: CorrespondenceRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"correspondence": correspondence_figure(record)}
