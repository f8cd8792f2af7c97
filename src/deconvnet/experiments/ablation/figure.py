"""Table 3 drawn: errors of a network without some layers or with other sizes, beside the paper's."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.experiments.ablation.record import BASE, AblationRecord
from deconvnet.figures.canvas import INK, QUIET, foot_note, head_line, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE = "#3465a4", "#d9730d"
_WIDE = 10.5


def ablation_figure(record: AblationRecord, title: str | None = None) -> Figure:
    """Draw training and held-out errors at the left, and their change at the right with the paper's.

    Parameters
    ----------
    record : AblationRecord
    title : str, optional
        By default network, recipe, data and scale.

    Returns
    -------
    matplotlib.figure.Figure
    """
    tall = 1.75 + 0.36 * len(record.variants)
    figure = new_figure(_WIDE, tall)
    words = title or f"{record.network}, recipe {record.recipe}: layers removed and resized"
    head_line(figure, words, 0.25, 0.14)
    bottom, height = 0.95 / tall, (tall - 1.75) / tall
    left = figure.add_axes((0.29, bottom, 0.34, height))
    _errors(left, record)
    right = figure.add_axes((0.675, bottom, 0.31, height))
    _changes(right, record)
    foot_note(figure, textwrap.fill(_note(record), 180), 0.25, 0.1)
    return figure


def _errors(axes: Axes, record: AblationRecord) -> None:
    places = np.arange(len(record.variants))
    for values, colour, name, shift in (
        (record.train, _BLUE, "training photos", -0.1),
        (record.top1, _ORANGE, "held-out photos", 0.1),
    ):
        means, spreads = _mean_spread(values)
        axes.errorbar(means, places + shift, xerr=spreads, fmt="o", color=colour, markersize=5, capsize=2.5, label=name)
        for place, row in zip(places, values, strict=True):
            axes.plot(
                100 * row, np.full(len(row), place + shift), "o", color=colour, markerfacecolor="white", markersize=3
            )
    labels = [
        f"{title}\n{parameters / 1e6:.2f} M parameters"
        for title, parameters in zip(record.titles, record.parameters, strict=True)
    ]
    axes.set_yticks(places, labels, fontsize=7.5, color=INK)
    axes.set_xlim(0, min(100.0, 100 * float(max(record.train.max(), record.top1.max())) + 8))
    _finish(axes, len(places), "top-1 error (%)")


def _changes(axes: Axes, record: AblationRecord) -> None:
    rows = record.rows()
    places = np.arange(len(rows))
    ours = [row.name != BASE and not np.isnan(row.difference[0]) for row in rows]
    here = [(place, *row.difference) for place, row, told in zip(places, rows, ours, strict=True) if told]
    if here:
        where, means, spreads = (np.array(column) for column in zip(*here, strict=True))
        axes.errorbar(
            100 * means,
            where - 0.1,
            xerr=100 * np.nan_to_num(spreads),
            fmt="o",
            color=_ORANGE,
            markersize=5,
            capsize=2.5,
            label="here, held out",
        )
    paper = [(place, row.paper[1]) for place, row in zip(places, rows, strict=True) if row.paper and row.name != BASE]
    if paper:
        where, moved = (np.array(column) for column in zip(*paper, strict=True))
        axes.plot(moved, where + 0.1, "D", color="#6a737d", markersize=5, label="paper, ImageNet validation")
    axes.axvline(0, color="#9aa0a6", linewidth=1)
    axes.set_yticks(places, [""] * len(places))
    _finish(axes, len(places), "its change to the unchanged network (points)")


def _mean_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = values.std(1, ddof=1) if values.shape[1] > 1 else np.zeros(len(values))
    return 100 * values.mean(1), 100 * spread


def _finish(axes: Axes, rows: int, title: str) -> None:
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_title(title, loc="left", fontsize=9, color=INK, pad=18)
    axes.tick_params(axis="x", labelsize=8, colors=QUIET)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            frameon=False, fontsize=7.5, labelcolor=INK, loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2
        )
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color("#c5c9ce")


def _note(record: AblationRecord) -> str:
    seeds = len(record.seeds)
    many = f"Mean and standard deviation over {seeds} seeds, rings are seeds" if seeds > 1 else "One seed"
    return (
        f"{many}. {record.data}: {record.classes} classes, {record.train_photos:,} training and "
        f"{record.held_out_photos:,} held-out photos, {record.epochs} epochs, {record.size} px. Changes are taken seed "
        "by seed. The paper's: its own network where it printed the row, else its replication of Krizhevsky et al."
    )
