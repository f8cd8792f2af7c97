"""How training went: loss, accuracy and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from deconvnet.errors import OptionError
from deconvnet.figures.axes import Page, dress, legend
from deconvnet.figures.palette import HELD_OUT, PER_CLASS, QUIET, TRAINING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run
    from deconvnet.training.record import TrainingRecord


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
    page = Page(10.5, 3.25, title or "")
    panels = [page.axes(left, 0.3, width, 2.45) for left, width in ((0.5, 3.6), (4.6, 3.6), (8.7, 1.6))]
    _panel(
        panels[0], "Loss", metrics, [("train_loss", "training", TRAINING), ("val_loss", "held-out photos", HELD_OUT)]
    )
    _panel(
        panels[1],
        "Accuracy (%)",
        metrics,
        [
            ("train_top1", "training, top-1", TRAINING),
            ("val_top1", "held-out photos, top-1", HELD_OUT),
            ("val_per_class", "held-out photos, mean per class", PER_CLASS),
        ],
        factor=100.0,
    )
    _panel(panels[2], "Learning rate", metrics, [("learning_rate", "", QUIET)])
    panels[2].ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
    panels[2].yaxis.get_offset_text().set_fontsize(8)
    return page.figure


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
    dress(axes, title, below="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    first, last = min(entry["epoch"] for entry in metrics), max(entry["epoch"] for entry in metrics)
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.margins(y=0.08)
    axes.set_ylim(bottom=0)
    if any(label for _, label, _ in lines):
        legend(axes)


def _value(raw: Any, factor: float) -> float | None:
    return float(raw) * factor if raw is not None and isfinite(raw) else None


def figures(record: TrainingRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"curve": training_curve(record.metrics, record.title)}
