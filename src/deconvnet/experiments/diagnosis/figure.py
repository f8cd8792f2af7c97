"""Figure 6, with numbers: first-layer filters, second-layer projections, spectrum, dead maps, aliasing, shifts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.experiments.diagnosis.record import DiagnosesRecord, DiagnosisRecord
from deconvnet.figures.axes import Page, dress, legend, name_columns, title_panel
from deconvnet.figures.bars import draw_columns
from deconvnet.figures.display import display
from deconvnet.figures.filters import filters_image
from deconvnet.figures.lettering import NameLayout, lay_names, names_that_fit
from deconvnet.figures.palette import BLUE, PALE, PALEST, QUIET, VERMILION
from deconvnet.figures.tiles import tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

MOST = 4
_COLUMN, _LEFT = 3.9, 0.9
_PANEL_WIDTH = _COLUMN - 0.6
_Limits = dict[str, float]
_PICTURE, _PANEL, _GAP = 2.2, 1.35, 0.55


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
    layouts = {kind: [_layout(kind, record) for record in records] for kind in kinds}
    deep = {kind: _GAP + max(each.height for each in found) for kind, found in layouts.items()}
    heights = {kind: _PICTURE if kind in ("filters", "second") else _PANEL for kind in kinds}
    note = "Pictures: mid-grey is zero, each filter and projection on its own scale. " + (
        f"Photos: {records[0].data}." if on_photos else "No photos were given: filters only."
    )
    page = Page(
        _LEFT + _COLUMN * len(records) + 0.15, 0.5 + sum(heights[k] + deep[k] for k in kinds) - 0.3, notes=[note]
    )
    limits = _limits(records)
    for column, (record, words) in enumerate(zip(records, _titles(records), strict=True)):
        left = _LEFT + column * _COLUMN
        page.text(words, left, 0.0, size=12, bold=True)
        top = 0.5
        for kind in kinds:
            axes = page.axes(left, top, _PANEL_WIDTH, heights[kind])
            _DRAW[kind](axes, record, limits, layouts[kind][column])
            top += heights[kind] + deep[kind]
    return page.figure


def _titles(records: Sequence[DiagnosisRecord]) -> list[str]:
    """What stands above the columns: titles, with the networks' names or numbers where two have the same."""
    titles = [record.title for record in records]
    if len(set(titles)) < len(titles):
        titles = [f"{record.title} ({record.network})" for record in records]
    if len(set(titles)) < len(titles):
        titles = [f"{number}. {record.title}" for number, record in enumerate(records, start=1)]
    return names_that_fit(titles, (_PANEL_WIDTH + 0.4) / 1.1, 12)  # bold letters are a tenth wider


def _layout(kind: str, record: DiagnosisRecord) -> NameLayout:
    """How the layers' names stand below a panel."""
    names = {
        "maps": [m.layer for m in record.maps],
        "strided": [f"{s.layer}/{s.stride}" for s in record.strided],
        "shifts": [s.layer for s in record.shifts],
    }.get(kind, [])
    return lay_names(names, _PANEL_WIDTH) if names else NameLayout([], [], 0, 0.22 if kind == "spectrum" else 0.0, 0.0)


def _filters(axes: Axes, record: DiagnosisRecord, _limits: _Limits, _names: NameLayout) -> None:
    first = record.filters[0]
    count, channels, height, width = first.shape
    title = f"{first.layer}: {count} filters, {height} × {width}, stride {first.stride}; {len(first.faint)} faint"
    if channels in (1, 3):
        _picture(axes, filters_image(record.first), title)
    else:
        _nothing(axes, title, f"filters of {channels} channels are no pictures")


def _second(axes: Axes, record: DiagnosisRecord, _limits: _Limits, _names: NameLayout) -> None:
    if not len(record.second):
        _nothing(axes, "second layer", "no projections")
        return
    side = record.second.shape[-1]
    title = f"{record.second_layer}: {len(record.second)} maps, strongest answer, {side} × {side} px"
    columns = int(np.ceil(np.sqrt(len(record.second) * 1.55)))
    _picture(axes, tile([display(each) for each in record.second], columns, max(1, side // 20)), title)


def _spectrum(axes: Axes, record: DiagnosisRecord, limits: _Limits, _names: NameLayout) -> None:
    first = record.filters[0]
    title = f"{first.layer}: power of the filters by frequency"
    if np.isnan(first.radial).all():
        _nothing(axes, title, "kernel too small to tell")
        return
    rings = len(first.radial)
    for low, high, word, share in zip(
        (0, 1 / 8, 1 / 4), (1 / 8, 1 / 4, 1 / 2), ("low", "middle", "high"), first.mean_bands, strict=True
    ):
        axes.axvspan(low, high, color=PALE if word == "middle" else PALEST, linewidth=0)
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
    axes.plot((np.arange(rings) + 0.5) / (2 * rings), np.maximum(first.radial, 1e-3), color=BLUE, linewidth=1.6)
    axes.axhline(1, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(0.03, limits["radial"])
    axes.set_xlim(0, 0.5)
    _style(axes, title, "cycles per pixel (dotted: white noise)")


def _maps(axes: Axes, record: DiagnosisRecord, limits: _Limits, names: NameLayout) -> None:
    dead = [100 * len(m.dead) / len(m.photos) for m in record.maps]
    draw_columns(axes, names, dead, [f"{len(m.dead)}" for m in record.maps], limits["dead"])
    _style(axes, f"dead maps, % ({record.photos} photos)")


def _strided(axes: Axes, record: DiagnosisRecord, limits: _Limits, names: NameLayout) -> None:
    shares = [100 * s.share for s in record.strided]
    draw_columns(axes, names, shares, [f"{share:.1f}" for share in shares], limits["folded"])
    _style(axes, "energy that strided layers fold, %")


def _shifts(axes: Axes, record: DiagnosisRecord, limits: _Limits, names: NameLayout) -> None:
    places = np.arange(len(record.shifts))
    marker = "o" if len(places) < 12 else ""
    for key, words, colour in (
        ("change", "change of the maps", BLUE),
        ("unexplained", "beyond mere motion", VERMILION),
    ):
        values = [100 * getattr(s, key) for s in record.shifts]
        axes.plot(places, values, color=colour, linewidth=1.5, marker=marker, markersize=3.5, label=words)
    name_columns(axes, names)
    axes.set_xlim(-0.6, max(len(places) - 0.4, 0.6))
    axes.set_ylim(0, limits["shift"])
    kept = "" if np.isnan(record.consistency) else f"; class stays {record.consistency:.0%}"
    _style(axes, f"answer to a shift by 1 px, %{kept}")
    legend(axes, loc="upper right", ncols=2)


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


def _picture(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()
    axes.set_anchor("NW")
    title_panel(axes, title)


def _nothing(axes: Axes, title: str, words: str) -> None:
    axes.set_axis_off()
    title_panel(axes, title)
    axes.text(0, 0.8, words, fontsize=8, color=QUIET)


def _style(axes: Axes, title: str, below: str = "") -> None:
    dress(axes, title, below=below, spines=("bottom", "left"))


def figures(record: DiagnosesRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name: up to four networks a figure."""
    groups = [record.networks[first : first + MOST] for first in range(0, len(record.networks), MOST)]
    return {f"diagnosis{f'-{number}' if number > 1 else ''}": diagnosis_figure(g) for number, g in enumerate(groups, 1)}
