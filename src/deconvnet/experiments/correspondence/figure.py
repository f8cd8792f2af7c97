"""Figure 8's masked photos, and Table 1 drawn: each part's sign changes beside those of random regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deconvnet.experiments.correspondence.record import CorrespondenceRecord, MaskedPhoto, SignChange
from deconvnet.figures.canvas import INK, QUIET, foot_note, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PHOTOS = 5  # Fig. 8
_PART, _RANDOM = "#3465a4", "#9aa0a6"
_CELL, _LABEL, _MARGIN = 0.92, 0.95, 0.2


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
    left_side = _LABEL + _PHOTOS * _CELL
    panel = 2.75
    width = _MARGIN * 2 + left_side + 1.05 + panel * len(record.layers)
    head, foot = 0.55, 0.45
    height = head + sum(heights) + foot
    figure = new_figure(width, height)
    words = title or f"{record.network}: signs of feature changes when a part is masked ({record.fill})"
    size = min(12.0, 12.0 * (width - 0.4) / (0.093 * len(words)))
    figure.text(
        _MARGIN / width,
        1 - 0.14 / height,
        words,
        fontsize=size,
        fontweight="bold",
        color=INK,
        va="top",
        parse_math=False,
    )
    top = head
    for group, tall in zip(record.groups, heights, strict=True):
        parts = _parts(record, group)
        _photos(figure, record, group, parts, top)
        for number, layer in enumerate(record.layers):
            left = _MARGIN + left_side + 1.05 + number * panel
            axes = figure.add_axes(
                (left / width, 1 - (top + tall - 0.62) / height, (panel - 0.25) / width, (tall - 0.98) / height)
            )
            _panel(axes, [record.row(group, part, layer) for part in parts], layer, labelled=number == 0)
        top += tall
    note = (
        "Mean and standard deviation, over pairs of photos, of the share of features whose sign differs; lower: missed "
        f"alike. Random: {record.regions} regions of the part's size a photo. p: permutation test, two-sided."
    )
    foot_note(figure, note, _MARGIN, 0.12)
    return figure


def _parts(record: CorrespondenceRecord, group: str) -> list[str]:
    return list(dict.fromkeys(row.part for row in record.rows if row.group == group))


def _height(record: CorrespondenceRecord, group: str) -> float:
    return max(2.3, 0.32 + (2 + len(_parts(record, group))) * _CELL + 0.2)


def _photos(figure: Figure, record: CorrespondenceRecord, group: str, parts: list[str], top: float) -> None:
    """A column for each photo: whole, each part masked, and a random region masked."""
    width, height = figure.get_size_inches()
    members = [i for i, each in enumerate(record.masked) if each.group == group][:_PHOTOS]
    count = sum(each.group == group for each in record.masked)
    heading = f"{group}: {len(members)} of {count} photos" if count > len(members) else f"{group}: {count} photos"
    figure.text(
        _MARGIN / width,
        1 - (top + 0.03) / height,
        heading,
        fontsize=9.5,
        fontweight="bold",
        color=INK,
        va="top",
        parse_math=False,
    )
    for row, name in enumerate(("", *parts, "random")):
        middle = top + 0.32 + (row + 0.5) * _CELL
        words = name or "whole photo"
        figure.text(
            _MARGIN / width,
            1 - middle / height,
            _short(words, 14),
            fontsize=8,
            color=INK,
            va="center",
            parse_math=False,
        )
        for column, index in enumerate(members):
            picture = _masked(record.masked[index], record.covered[index], name)
            if picture is None:
                continue
            left = _MARGIN + _LABEL + column * _CELL
            side = _CELL - 0.05
            axes = figure.add_axes((left / width, 1 - (middle + side / 2) / height, side / width, side / height))
            axes.imshow(picture, interpolation="antialiased")
            axes.set_axis_off()


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
        for offset, mean, std, colour, marker in (
            (-0.13, row.mean, row.std, _PART, "o"),
            (0.13, row.random_mean, row.random_std, _RANDOM, "s"),
        ):
            axes.errorbar(
                mean, place + offset, xerr=std, color=colour, marker=marker, markersize=5, capsize=2.5, linewidth=1.3
            )
        axes.text(
            0.99,
            place - 0.13,
            f"p = {row.p_value:.2g}",
            fontsize=7.5,
            color=QUIET,
            ha="right",
            va="center",
            transform=axes.get_yaxis_transform(),
        )
    axes.set_ylim(len(rows) - 0.4, -0.75)
    ends = [m + s for r in rows for m, s in ((r.mean, r.std), (r.random_mean, r.random_std))]
    axes.set_xlim(0, max([*ends, 1e-6]) * 1.4)  # room for p at the right
    axes.set_yticks(
        range(len(rows)), [_short(row.part, 14) for row in rows] if labelled else [""] * len(rows), fontsize=8
    )
    axes.set_title(f"{layer}: mean feature sign change", loc="left", fontsize=8.5, color=INK)
    axes.set_xlabel("part (blue), random regions (grey)", fontsize=7.5, color=QUIET)
    axes.tick_params(labelsize=8, colors=QUIET)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(axis="x", color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color("#c5c9ce")


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
