"""Figure 6, with numbers: first-layer filters, second-layer projections, spectrum, dead maps, aliasing, shifts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.experiments.diagnosis.record import DiagnosisRecord
from deconvnet.figures.canvas import INK, QUIET, new_figure
from deconvnet.figures.display import display
from deconvnet.figures.filters import filters_image
from deconvnet.figures.tiles import tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 4
_BLUE, _ORANGE, _PALE = "#3465a4", "#d9730d", "#dfe5ee"
_COLUMN, _LEFT, _TOP, _FOOT = 3.9, 0.55, 0.62, 0.62
_PICTURE, _PANEL, _GAP = 2.2, 1.35, 0.72
_LABELLED = 40  # letters of all layers' names together that fit side by side


def diagnosis_figure(records: Sequence[DiagnosisRecord]) -> Figure:
    """Draw the diagnoses of one to four networks, a column each, on common scales.

    Parameters
    ----------
    records : sequence of DiagnosisRecord

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        If there is none, or more than four.
    """
    if not 1 <= len(records) <= MOST:
        raise OptionError(f"one to {MOST} networks are drawn side by side, not {len(records)}.")
    on_photos = any(record.photos for record in records)
    seconds = any(len(record.second) for record in records)
    spectral = any(len(r.filters) and not np.isnan(r.filters[0].radial).all() for r in records)
    kinds = ["filters"] + ["second"] * seconds + ["spectrum"] * spectral + ["maps", "strided", "shifts"] * on_photos
    heights = [_PICTURE if kind in ("filters", "second") else _PANEL for kind in kinds]
    tall = _TOP + sum(heights) + _GAP * (len(kinds) - 1) + _FOOT + 0.35
    wide = _LEFT + _COLUMN * len(records) + 0.15
    figure = new_figure(wide, tall)
    limits = _limits(records)
    for column, record in enumerate(records):
        left = _LEFT + column * _COLUMN
        figure.text(left / wide, 1 - 0.16 / tall, record.title, fontsize=12, fontweight="bold", color=INK, va="top")
        top = _TOP
        for kind, height in zip(kinds, heights, strict=True):
            place = (left / wide, 1 - (top + height) / tall, (_COLUMN - 0.6) / wide, height / tall)
            _DRAW[kind](figure.add_axes(place), record, limits)
            top += height + _GAP
    note = "Pictures: mid-grey is zero, each filter and projection on its own scale. " + (
        f"Photos: {records[0].data}." if on_photos else "No photos were given: filters only."
    )
    figure.text(_LEFT / wide, 0.12 / tall, note, fontsize=7.5, color=QUIET, va="bottom", wrap=True, parse_math=False)
    return figure


def _filters(axes: Axes, record: DiagnosisRecord, _limits: dict[str, float]) -> None:
    first = record.filters[0]
    count, channels, height, width = first.shape
    title = f"{first.layer}: {count} filters, {height} × {width}, stride {first.stride}; {len(first.faint)} faint"
    if channels in (1, 3):
        _picture(axes, filters_image(record.first), title)
    else:
        _nothing(axes, title, f"filters of {channels} channels are no pictures")


def _second(axes: Axes, record: DiagnosisRecord, _limits: dict[str, float]) -> None:
    if not len(record.second):
        _nothing(axes, "second layer", "no projections")
        return
    side = record.second.shape[-1]
    title = f"{record.second_layer}: {len(record.second)} maps, strongest answer, {side} × {side} px"
    columns = int(np.ceil(np.sqrt(len(record.second) * 1.55)))
    _picture(axes, tile([display(each) for each in record.second], columns, max(1, side // 20)), title)


def _spectrum(axes: Axes, record: DiagnosisRecord, limits: dict[str, float]) -> None:
    first = record.filters[0]
    title = f"{first.layer}: power of the filters by frequency"
    if np.isnan(first.radial).all():
        _nothing(axes, title, "kernel too small to tell")
        return
    rings = len(first.radial)
    for low, high, word, share in zip(
        (0, 1 / 8, 1 / 4), (1 / 8, 1 / 4, 1 / 2), ("low", "middle", "high"), first.mean_bands, strict=True
    ):
        axes.axvspan(low, high, color=_PALE if word == "middle" else "#f4f6f9", linewidth=0)
        axes.text(
            (low + high) / 2,
            0.96,
            f"{word} {share:.0%}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=7,
            color=QUIET,
        )
    axes.plot((np.arange(rings) + 0.5) / (2 * rings), np.maximum(first.radial, 1e-3), color=_BLUE, linewidth=1.6)
    axes.axhline(1, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(0.03, limits["radial"])
    axes.set_xlim(0, 0.5)
    _style(axes, title, "cycles per pixel (dotted: white noise)")


def _maps(axes: Axes, record: DiagnosisRecord, limits: dict[str, float]) -> None:
    layers = [m.layer for m in record.maps]
    dead = [100 * len(m.dead) / len(m.photos) for m in record.maps]
    _bars(axes, layers, dead, [f"{len(m.dead)}" for m in record.maps], limits["dead"])
    _style(axes, f"dead maps, % ({record.photos} photos)", "")


def _strided(axes: Axes, record: DiagnosisRecord, limits: dict[str, float]) -> None:
    layers = [f"{s.layer}/{s.stride}" for s in record.strided]
    shares = [100 * s.share for s in record.strided]
    _bars(axes, layers, shares, [f"{share:.1f}" for share in shares], limits["folded"])
    _style(axes, "energy that strided layers fold, %", "")


def _shifts(axes: Axes, record: DiagnosisRecord, limits: dict[str, float]) -> None:
    places = np.arange(len(record.shifts))
    marker = "o" if len(places) < 12 else ""
    for key, words, colour in (("change", "change of the maps", _BLUE), ("unexplained", "beyond mere motion", _ORANGE)):
        values = [100 * getattr(s, key) for s in record.shifts]
        axes.plot(places, values, color=colour, linewidth=1.5, marker=marker, markersize=3.5, label=words)
    _names(axes, [s.layer for s in record.shifts])
    axes.set_ylim(0, limits["shift"])
    kept = "" if np.isnan(record.consistency) else f"; class stays {record.consistency:.0%}"
    _style(axes, f"answer to a shift by 1 px, %{kept}", "")
    axes.legend(frameon=False, fontsize=7, labelcolor=INK, loc="upper right", ncols=2)


_DRAW = {
    "filters": _filters,
    "second": _second,
    "spectrum": _spectrum,
    "maps": _maps,
    "strided": _strided,
    "shifts": _shifts,
}


def _limits(records: Sequence[DiagnosisRecord]) -> dict[str, float]:
    """Common upper ends of the columns' axes."""
    radial = [float(np.nanmax(r.filters[0].radial)) for r in records if not np.isnan(r.filters[0].radial).all()]
    dead = [100 * len(m.dead) / len(m.photos) for r in records for m in r.maps]
    folded = [100 * s.share for r in records for s in r.strided if not np.isnan(s.share)]
    shift = [100 * v for r in records for s in r.shifts for v in (s.change, s.unexplained) if not np.isnan(v)]
    return {
        "radial": 3 * max([*radial, 1.0]),
        "dead": 1.25 * max([*dead, 1.0]),
        "folded": 1.25 * max([*folded, 1.0]),
        "shift": 1.4 * max([*shift, 1.0]),
    }


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], labels: Sequence[str], top: float) -> None:
    places = np.arange(len(values))
    axes.bar(places, np.nan_to_num(values), color=_BLUE, width=0.6)
    if len(values) <= 12:
        for place, (value, label) in enumerate(zip(values, labels, strict=True)):
            if not np.isnan(value):
                axes.text(place, value + top * 0.02, label, ha="center", va="bottom", fontsize=7, color=INK)
    _names(axes, names)
    axes.set_ylim(0, top)


def _names(axes: Axes, names: Sequence[str]) -> None:
    """Layers below the axis: all where they fit, turned where they nearly do, else the first, middle and last."""
    places = np.arange(len(names))
    shown = list(range(len(names)))
    if len(names) > 12:
        shown = sorted({round(i) for i in np.linspace(0, len(names) - 1, 5)})
    axes.set_xticks(places[shown])
    turned = sum(len(names[i]) for i in shown) > _LABELLED
    axes.set_xticklabels(
        [_short(names[i]) for i in shown], rotation=21 if turned else 0, ha="right" if turned else "center", fontsize=7
    )
    if turned:
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
            label.set_fontsize(6.5)
    axes.set_xlim(-0.6, max(len(names) - 0.4, 0.6))


def _short(name: str) -> str:
    """A long name without its middle."""
    return name if len(name) <= 15 else f"{name[:7]}…{name[-7:]}"


def _picture(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()
    axes.set_anchor("NW")
    axes.set_title(title, loc="left", fontsize=8.5, color=INK)


def _nothing(axes: Axes, title: str, words: str) -> None:
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=8.5, color=INK)
    axes.text(0, 0.8, words, fontsize=8, color=QUIET)


def _style(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=8.5, color=INK)
    axes.set_xlabel(below, fontsize=7.5, color=QUIET)
    axes.tick_params(labelsize=7, colors=QUIET, length=2)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("bottom", "left"))
        spine.set_color("#c5c9ce")
