"""Table 3 drawn: errors of a network without some layers or with other sizes, beside the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deconvnet.experiments.ablation.record import BASE, AblationRecord
from deconvnet.figures.axes import Page, dress, legend, name_rows, spread_line
from deconvnet.figures.palette import CHANCE, HELD_OUT, QUIET, TRAINING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_WIDE, _NAMES = 10.5, 2.75  # inches


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
    height = 0.3 + 0.36 * len(record.variants)
    words = title or f"{record.network}, recipe {record.recipe}: layers removed and resized"
    page = Page(_WIDE, height + 0.85, words, notes=[_note(record)])
    _errors(page.axes(_NAMES + 0.3, 0.45, 3.5, height), record)
    _changes(page.axes(_NAMES + 4.1, 0.45, 3.3, height), record)
    return page.figure


def _errors(axes: Axes, record: AblationRecord) -> None:
    places = np.arange(len(record.variants))
    for values, colour, name, shift in (
        (record.train, TRAINING, "training photos", -0.1),
        (record.top1, HELD_OUT, "held-out photos", 0.1),
    ):
        spread_line(axes, places + shift, *_mean_spread(values), colour, name, style="none", vertical=False)
        for place, row in zip(places, values, strict=True):
            axes.plot(
                100 * row, np.full(len(row), place + shift), "o", color=colour, markerfacecolor="white", markersize=3
            )
    labels = [
        f"{title}, {parameters / 1e6:.2f} M parameters"
        for title, parameters in zip(record.titles, record.parameters, strict=True)
    ]
    axes.set_xlim(0, min(100.0, 100 * float(max(record.train.max(), record.top1.max())) + 8))
    _finish(axes, labels, "top-1 error (%)")


def _changes(axes: Axes, record: AblationRecord) -> None:
    rows = record.rows()
    places = np.arange(len(rows))
    ours = [row.name != BASE and not np.isnan(row.difference[0]) for row in rows]
    here = [(place, *row.difference) for place, row, told in zip(places, rows, ours, strict=True) if told]
    if here:
        where, means, spreads = (np.array(column) for column in zip(*here, strict=True))
        spread_line(
            axes, where - 0.1, 100 * means, 100 * spreads, HELD_OUT, "here, held out", style="none", vertical=False
        )
    paper = [(place, row.paper[1]) for place, row in zip(places, rows, strict=True) if row.paper and row.name != BASE]
    if paper:
        where, moved = (np.array(column) for column in zip(*paper, strict=True))
        axes.plot(moved, where + 0.1, "D", color=QUIET, markersize=5, label="paper, ImageNet validation")
    axes.axvline(0, color=CHANCE, linewidth=1)
    _finish(axes, [""] * len(places), "its change to the unchanged network (points)")


def _mean_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = values.std(1, ddof=1) if values.shape[1] > 1 else np.zeros(len(values))
    return 100 * values.mean(1), 100 * spread


def _finish(axes: Axes, names: list[str], title: str) -> None:
    dress(axes, title, grid="x", pad=18)
    name_rows(axes, names, _NAMES)
    legend(axes, loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2)


def _note(record: AblationRecord) -> str:
    seeds = len(record.seeds)
    many = f"Mean and standard deviation over {seeds} seeds, rings are seeds" if seeds > 1 else "One seed"
    return (
        f"{many}. {record.data}: {record.classes} classes, {record.train_photos:,} training and "
        f"{record.held_out_photos:,} held-out photos, {record.epochs} epochs, {record.size} px. Changes are taken seed "
        "by seed. The paper's: its own network where it printed the row, else its replication of Krizhevsky et al."
    )


def figures(record: AblationRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"ablation": ablation_figure(record)}
