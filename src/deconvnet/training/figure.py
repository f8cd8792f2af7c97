"""How training went: loss, accuracy and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from deconvnet.errors import OptionError
from deconvnet.figures.canvas import INK, QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN = "#3465a4", "#d9730d", "#2e7d5b"


def training_curve(metrics: Sequence[Mapping[str, Any]], title: str | None = None) -> Figure:
    """Draw a training run's metrics.

    Parameters
    ----------
    metrics : sequence of mapping
        One for each epoch: ``epoch`` (int), and where measured ``train_loss``, ``val_loss``, ``train_top1``,
        ``val_top1``, ``val_per_class`` (fractions, 0 to 1) and ``learning_rate``. What is absent, None or not
        finite leaves a gap.
    title : str, optional
        A line above the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        If there are no metrics yet, or one lacks its epoch.
    """
    if not metrics:
        raise OptionError("there are no metrics to draw yet: the run has not finished an epoch.")
    if any("epoch" not in entry for entry in metrics):
        raise OptionError("the metrics cannot be drawn: an entry lacks its epoch.")
    figure = new_figure(10.5, 3.6 if title else 3.3)
    high = 0.82 if title else 0.88
    if title:
        figure.text(0.055, 0.97, title, fontsize=12, fontweight="bold", color=INK, va="top", parse_math=False)
    grid = figure.add_gridspec(1, 3, width_ratios=(4, 4, 2.2), left=0.055, right=0.985, bottom=0.14, top=high)
    grid.update(wspace=0.24)
    panels = [figure.add_subplot(grid[0, number]) for number in range(3)]
    _panel(panels[0], "Loss", metrics, [("train_loss", "training", _BLUE), ("val_loss", "held-out photos", _ORANGE)])
    _panel(
        panels[1],
        "Accuracy (%)",
        metrics,
        [
            ("train_top1", "training, top-1", _BLUE),
            ("val_top1", "held-out photos, top-1", _ORANGE),
            ("val_per_class", "held-out photos, mean per class", _GREEN),
        ],
        factor=100.0,
    )
    _panel(panels[2], "Learning rate", metrics, [("learning_rate", "", QUIET)])
    panels[2].ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
    panels[2].yaxis.get_offset_text().set_fontsize(8)
    return figure


def _panel(
    axes: Axes,
    title: str,
    metrics: Sequence[Mapping[str, Any]],
    lines: Sequence[tuple[str, str, str]],
    factor: float = 1.0,
) -> None:
    from matplotlib.ticker import MaxNLocator

    for key, label, colour in lines:
        points = [(entry["epoch"], _value(entry.get(key), factor)) for entry in metrics]
        if all(value is None for _, value in points):
            continue
        epochs = [epoch for epoch, _ in points]
        values = [float("nan") if value is None else value for _, value in points]
        marker = "o" if len(points) < 12 else ""
        axes.plot(epochs, values, color=colour, label=label, linewidth=1.6, marker=marker, markersize=3)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel("epoch", fontsize=9, color=QUIET)
    axes.tick_params(labelsize=8, colors=QUIET)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    first, last = min(entry["epoch"] for entry in metrics), max(entry["epoch"] for entry in metrics)
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.margins(y=0.08)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color("#c5c9ce")
    if axes.lines and any(label for _, label, _ in lines):
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def _value(raw: Any, factor: float) -> float | None:
    return float(raw) * factor if raw is not None and isfinite(raw) else None
