"""The paper's Figure 4, features through training, and how fast each layer settles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError, UnknownNameError
from deconvnet.experiments.evolution.record import EvolutionRecord, LayerEvolution, mean_over_maps
from deconvnet.figures.axes import Page, dress
from deconvnet.figures.canvas import Sheet
from deconvnet.figures.display import display
from deconvnet.figures.lettering import NAME, NOTE_LINE, names_that_fit, wrapped
from deconvnet.figures.palette import INK, MARK, NOTHING, QUIET, depth_colour
from deconvnet.figures.tiles import enlarge, shrink

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_CELL, _GAP, _LABEL = 0.56, 0.05, 0.42  # inches
_HEAD, _BETWEEN = 0.5, 0.32
_PIXELS = 112  # of a cell, at most; more would not be seen and would cost memory
_WIDEST = 14.0


def evolution_figure(
    record: EvolutionRecord, title: str | None = None, *, layers: Sequence[str] | None = None, patches: bool = True
) -> Figure:
    """Draw a block for each layer: a row a map, a column a snapshot, each the map's strongest projection.

    Parameters
    ----------
    record : EvolutionRecord
    title : str, optional
        By default the network, and where activations were looked for.
    layers : sequence of str, optional
        Blocks to draw; all unless given.
    patches : bool
        Whether the last column shows what the map saw in the last snapshot.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UnknownNameError
        If the record has no such layer.
    """
    known = {each.layer: each for each in record.layers}
    for name in layers or ():
        if name not in known:
            raise UnknownNameError("layer", name, known, "These are the layers of the record.")
    blocks = [known[name] for name in layers] if layers else list(record.layers)
    step = _CELL + _GAP
    wide = _LABEL + step * len(record.snapshots) + (step + 0.1 if patches else 0)
    heights = [_head(record) + step * len(block.shown) for block in blocks]
    columns = _columns(heights, wide)
    tallest = max(sum(heights[i] + _BETWEEN for i in column) for column in columns)
    width = max(5.5, 0.4 + len(columns) * wide + (len(columns) - 1) * _BETWEEN)
    names = names_that_fit([block.layer for block in blocks], 0.8 * (wide - 1.1), 9.5)  # bold letters are wider
    said = (
        "Pink bar: the photo that activates the map most is another than a snapshot before. Flat grey: no photo does.",
        "Each picture on its own scale, zero is mid-grey: brightness says nothing of strength.",
    )
    notes = [line for each in said for line in wrapped(each, width - 0.4)]
    sheet = Sheet(width, _HEAD + tallest + NOTE_LINE * len(notes) + 0.15)
    sheet.text(
        title or f"{record.network}: strongest activation of {record.photos:,} {record.photo_set}",
        0.2,
        0.14,
        size=12,
        bold=True,
        room=width - 0.4,
    )
    for number, column in enumerate(columns):
        top = _HEAD
        for i in column:
            _block(sheet, record, blocks[i], names[i], 0.2 + number * (wide + _BETWEEN), top, patches)
            top += heights[i] + _BETWEEN
    sheet.notes(notes, 0.2, 0.12)
    return sheet.figure


def _head(record: EvolutionRecord) -> float:
    return 0.62 if len(set(record.trained_at)) > 1 else 0.46


def _columns(heights: Sequence[float], wide: float) -> list[list[int]]:
    """Blocks in columns of about the same height, as many as make the sheet about square."""
    most = max(1, int(_WIDEST // (wide + _BETWEEN)))
    total = sum(heights) + _BETWEEN * len(heights)
    count = min(most, len(heights), max(1, round(math.sqrt(total / wide))))
    columns: list[list[int]] = [[]]
    filled = 0.0
    for i, height in enumerate(heights):
        if columns[-1] and len(columns) < count and filled + height / 2 > total / count:
            columns.append([])
            filled = 0.0
        columns[-1].append(i)
        filled += height + _BETWEEN
    return columns


def _block(
    sheet: Sheet, record: EvolutionRecord, block: LayerEvolution, name: str, left: float, top: float, patches: bool
) -> None:
    step = _CELL + _GAP
    height, width = block.projections.shape[3:]
    whole = height == width == record.input_size
    said = "the whole picture" if whole else f"{height} x {width} of {record.input_size} px"
    used = sheet.text(name, left, top, size=9.5, bold=True)
    sheet.text(said, left + used + 0.12, top + 0.03, size=7, colour=QUIET)
    cells = left + _LABEL
    under = top + 0.22
    sheet.text(record.axis, cells - 0.06, under, size=6.5, colour=QUIET, align="right")
    for s, label in enumerate(record.snapshots):
        middle = cells + s * step + _CELL / 2
        sheet.text(label, middle, under, size=7, align="center", room=_CELL)
        if len(set(record.trained_at)) > 1:
            sheet.text(f"{record.trained_at[s]} px", middle, under + 0.15, size=6, colour=QUIET, align="center")
    if patches:
        sheet.text("it saw", cells + len(record.snapshots) * step + 0.1 + _CELL / 2, under, size=7, align="center")
    under = top + _head(record) - 0.04
    for row, channel in enumerate(block.shown):
        down = under + row * step
        sheet.text(str(channel), cells - 0.07, down + _CELL / 2 - 0.05, size=7, align="right")
        for s in range(len(record.snapshots)):
            place = cells + s * step
            if block.active[s, channel]:
                sheet.picture(_fit(display(block.projections[s, row])), place, down, _CELL, _CELL)
            else:
                sheet.rectangle(place, down, _CELL, _CELL, fill=NOTHING)
            if s and block.jumped[s - 1, channel]:
                sheet.rectangle(place - _GAP + 0.006, down, _GAP - 0.012, _CELL, fill=MARK, zorder=3)
        if patches:
            place = cells + len(record.snapshots) * step + 0.1
            if block.active[-1, channel]:
                sheet.picture(_fit(block.patches[-1, row]), place, down, _CELL, _CELL)
            else:
                sheet.rectangle(place, down, _CELL, _CELL, fill=NOTHING)


def _fit(picture: np.ndarray) -> np.ndarray:
    longer = max(picture.shape[:2])
    return shrink(picture, _PIXELS) if longer > _PIXELS else enlarge(picture, max(1, _PIXELS // longer))


def convergence_figure(record: EvolutionRecord, title: str | None = None) -> Figure:
    """Draw by layer how alike weights and projections are: with the last snapshot, and from one to the next.

    Parameters
    ----------
    record : EvolutionRecord
    title : str, optional
        By default the network.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        If there are no layers.
    """
    if not record.layers:
        raise OptionError("there is no layer to draw.")
    note = (
        "Same unit: photo and position of each map's strongest activation in the last snapshot, projected in all. "
        "Strongest: on receptive fields, whatever the photo. Ticks at the right edge: the same cosine between two "
        "different maps of the layer, which is what to expect of pictures that have nothing in common but the place. "
        "Columns are evenly spaced."
    )
    page = Page(11.6, 6.0, title or f"{record.network}: how each layer settles", notes=[note])
    fixed = [mean_over_maps(each.fixed) for each in record.layers]
    fixed_steps = [mean_over_maps(each.fixed_steps) for each in record.layers]
    steps = [mean_over_maps(each.strongest_steps) for each in record.layers]
    floors = [float(mean_over_maps(each.fixed_floor[None])[0]) for each in record.layers]
    others = [float(mean_over_maps(each.strongest_floor[None])[0]) for each in record.layers]
    panels = (
        ("weights: cosine with the last", [each.weights for each in record.layers], None),
        ("same unit: cosine with the last", fixed, floors),
        ("maps whose strongest photo changed", [each.jump_share for each in record.layers], None),
        ("weights: cosine with the one before", [each.weight_steps for each in record.layers], None),
        ("same unit: cosine with the one before", fixed_steps, floors),
        ("strongest: cosine with the one before", steps, others),
    )
    for number, (words, curves, chance) in enumerate(panels):
        axes = page.axes(0.5 + (number % 3) * 3.15, 0.3 + (number // 3) * 2.95, 2.8, 2.2)
        _curves(axes, record, curves, chance, words)
        if number == 0:
            handles = axes.get_lines()[: len(record.layers)]
            names = names_that_fit([each.layer for each in record.layers], 1.25)
            axes.legend(
                handles, names, loc="upper left", bbox_to_anchor=(1 + 6.35 / 2.8, 1.03), frameon=False, fontsize=NAME,
                labelcolor=INK,
            )  # fmt: skip
    return page.figure


def _curves(
    axes: Axes, record: EvolutionRecord, curves: Sequence[np.ndarray], chance: Sequence[float] | None, title: str
) -> None:
    count = len(record.snapshots)
    values = [curve[np.isfinite(curve)] for curve in curves]
    low = min([0.0, *(float(each.min()) for each in values if len(each))])
    for number, curve in enumerate(curves):
        places = np.arange(count) if len(curve) == count else np.arange(1, count)
        axes.plot(places, curve, color=depth_colour(number, len(curves)), linewidth=1.5, marker="o", markersize=3)
    if chance is not None:
        for number, value in enumerate(chance):
            if math.isfinite(value):
                low = min(low, value)
                axes.plot(
                    [count - 0.72, count - 0.5], [value] * 2, color=depth_colour(number, len(curves)), linewidth=2
                )
    dress(axes, title)
    axes.set_xlim(-0.4, count - 0.45)
    axes.set_ylim(low - 0.02, 1.03)
    every = max(1, math.ceil(count / 12))
    shown = [i for i in range(count) if i % every == 0 or i == count - 1]
    long = max(len(each) for each in record.snapshots) > 5  # names of files would run into each other
    axes.set_xticks(shown, [str(i + 1) if long else record.snapshots[i] for i in shown])
    axes.set_xlabel(f"{record.axis}, in order" if long else record.axis)


def figures(record: EvolutionRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"evolution": evolution_figure(record), "convergence": convergence_figure(record)}
