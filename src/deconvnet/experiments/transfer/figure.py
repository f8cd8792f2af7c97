"""Transfer drawn: accuracy layer by layer (Table 7), and by the number of training photos (Fig. 9)."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.experiments.transfer.record import ACCURACY, TransferRecord
from deconvnet.figures.canvas import INK, QUIET, foot_note, head_line, new_figure
from deconvnet.runs.statistics import mean_deviation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {"svm": "#3465a4", "softmax": "#d9730d"}
_NAMES = {"svm": "linear SVM", "softmax": "softmax"}
_GREEN = "#2e7d5b"
_WIDE, _TALL = 10.5, 4.4


def transfer_figure(record: TransferRecord, title: str | None = None) -> Figure:
    """Draw the layers with the most training photos at the left, the last layer by the number of photos at the right.

    With several labels a photo the right panel shows the average precision of each label in the last layer.

    Parameters
    ----------
    record : TransferRecord
    title : str, optional
        By default network, data and number of classes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    labels = record.measure != ACCURACY
    tall = _TALL + (max(0, len(record.classes) - 20) * 0.14 if labels else 0)
    figure = new_figure(_WIDE, tall)
    what = "labels" if labels else "classes"
    words = title or f"{record.network}: transfer to {len(record.classes)} {what} of {record.data}"
    head_line(figure, words, 0.25, 0.15)
    bottom, height = 0.95 / tall, (tall - 0.95 - 0.75) / tall
    _layers(figure.add_axes((0.065, bottom, 0.43, height)), record)
    right = figure.add_axes((0.66 if labels else 0.565, bottom, 0.32 if labels else 0.415, height))
    if labels:
        _by_label(right, record)
    else:
        _curve(right, record)
    foot_note(figure, textwrap.fill(_note(record), 185), 0.25, 0.12)
    return figure


def _layers(axes: Axes, record: TransferRecord) -> None:
    places = np.arange(len(record.layers))
    for j, classifier in enumerate(record.classifiers):
        shift = 0.06 * (j - (len(record.classifiers) - 1) / 2)
        _line(axes, places + shift, record.scores[:, j, -1], _COLOURS[classifier], _NAMES[classifier])
    _chance(axes, record)
    axes.set_xticks(places, [layer.name for layer in record.layers], rotation=30 if len(places) > 8 else 0, fontsize=8)
    axes.set_xlim(-0.4, len(places) - 0.6)
    size = record.sizes[-1]
    unit = f"{size} photos a class" if record.measure == ACCURACY else f"{size} training photos"
    _finish(axes, f"by layer, {unit}", record)


def _curve(axes: Axes, record: TransferRecord) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = np.array(record.sizes, float)
    for j, classifier in enumerate(record.classifiers):
        _line(
            axes, sizes, record.scores[-1, j], _COLOURS[classifier], f"{_NAMES[classifier]}, {record.layers[-1].name}"
        )
        best = int(np.argmax(record.scores[:, j, -1].mean(1)))
        if best != len(record.layers) - 1:
            name = f"{_NAMES[classifier]}, {record.layers[best].name} (best)"
            _line(axes, sizes, record.scores[best, j], _COLOURS[classifier], name, "--")
    if record.scratch_words:
        _line(axes, sizes, record.scratch, _GREEN, "trained from scratch")
    _chance(axes, record)
    if sizes.max() / sizes.min() > 5:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:g}" for size in sizes], fontsize=8)
    axes.set_xlabel("training photos a class", fontsize=8.5, color=QUIET)
    _finish(axes, "by the number of training photos", record)


def _by_label(axes: Axes, record: TransferRecord) -> None:
    found = record.by_class[-1, :, 0]
    means = np.array([[mean_deviation(row[~np.isnan(row)])[0] for row in part.T] for part in found]) * 100
    order = np.argsort(-np.nan_to_num(means.mean(0), nan=-1), kind="stable")
    places = np.arange(len(order))
    bar = 0.8 / len(means)
    for j, (row, classifier) in enumerate(zip(means, record.classifiers, strict=True)):
        shift = bar * (j - (len(means) - 1) / 2)
        axes.barh(places + shift, np.nan_to_num(row[order]), bar, color=_COLOURS[classifier])
    axes.set_yticks(places, [record.classes[i] for i in order], fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_title(f"average precision (%) by label, {record.layers[-1].name}", loc="left", fontsize=9.5, color=INK)
    axes.tick_params(labelsize=7.5, colors=QUIET)
    axes.grid(axis="x", color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)
    _spines(axes)


def _line(axes: Axes, places: np.ndarray, scores: np.ndarray, colour: str, name: str, style: str = "-") -> None:
    """Means over folds with deviations as whiskers; ``scores`` is (places, folds), with NaN for folds that are not."""
    told = [mean_deviation(row[~np.isnan(row)]) for row in scores]
    means = np.array([mean for mean, _ in told]) * 100
    spreads = np.nan_to_num(np.array([deviation for _, deviation in told])) * 100
    axes.errorbar(
        places,
        means,
        spreads,
        color=colour,
        linestyle=style,
        linewidth=1.5,
        marker="o",
        markersize=4,
        capsize=2.5,
        elinewidth=1,
        label=name,
    )


def _chance(axes: Axes, record: TransferRecord) -> None:
    axes.axhline(100 * record.chance, color="#9aa0a6", linewidth=1, linestyle=":", label="chance")


def _finish(axes: Axes, title: str, record: TransferRecord) -> None:
    what = "mean accuracy over classes (%)" if record.measure == ACCURACY else "mean average precision (%)"
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.set_ylabel(what, fontsize=8.5, color=QUIET)
    axes.set_ylim(0, _top(record))
    axes.tick_params(labelsize=8, colors=QUIET)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=7.5, labelcolor=INK, loc="best", handlelength=3.2)
    _spines(axes)


def _top(record: TransferRecord) -> float:
    """Both panels end at the same height, so that they compare."""
    return min(100.0, 10 * np.ceil(max(float(record.scores.max()), record.chance) * 10 + 1.2))


def _spines(axes: Axes) -> None:
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("bottom", "left"))
        spine.set_color("#c5c9ce")


def _note(record: TransferRecord) -> str:
    spread = f"Mean and standard deviation over {record.folds} folds" if record.folds > 1 else "One fold"
    words = (
        f"{spread}; {int(record.tested.sum()):,} test photos in each." if record.measure == ACCURACY else f"{spread}."
    )
    pooled = [str(layer) for layer in record.layers if layer.pooled]
    if pooled:
        words += f" {'; '.join(pooled)}."
    if record.seen:
        count = len(record.duplicates)
        words += f" {count} photo{'s' * (count != 1)} left out as seen before (correlation ≥ {record.threshold:g})."
    if record.known:
        words += f" The network was trained on {len(record.known)} of these classes: this is no transfer to them."
    if record.scratch_words:
        words += f" {record.scratch_words[0].upper()}{record.scratch_words[1:]}."
    return words
