"""Transfer drawn: accuracy layer by layer (Table 7), and by the number of training photos (Fig. 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deconvnet.experiments.transfer.record import ACCURACY, TransferRecord
from deconvnet.figures.axes import Page, dress, legend, name_columns, name_rows, spread_line
from deconvnet.figures.lettering import lay_names
from deconvnet.figures.palette import CHANCE, CLASSIFIERS, GREEN
from deconvnet.runs.statistics import mean_deviation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_NAMES = {"svm": "linear SVM", "softmax": "softmax"}
_WIDE, _TALL, _LEFT = 10.6, 2.7, 4.5  # of the figure, of a panel, of the left panel; inches


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
    what = "labels" if labels else "classes"
    words = title or f"{record.network}: transfer to {len(record.classes)} {what} of {record.data}"
    names = lay_names([layer.name for layer in record.layers], _LEFT)
    page = Page(_WIDE, 0.3 + tall + max(names.height, 0.42) + 0.05, words, notes=[_note(record)])
    left = page.axes(max(0.75, names.overhang - 0.1), 0.3, _LEFT, tall)
    _layers(left, record)
    name_columns(left, names)
    if labels:
        _by_label(page.axes(7.0, 0.3, 3.4, tall), record)
    else:
        _curve(page.axes(6.0, 0.3, 4.4, tall), record)
    return page.figure


def _layers(axes: Axes, record: TransferRecord) -> None:
    places = np.arange(len(record.layers))
    for j, classifier in enumerate(record.classifiers):
        shift = 0.06 * (j - (len(record.classifiers) - 1) / 2)
        _line(axes, places + shift, record.scores[:, j, -1], CLASSIFIERS[classifier], _NAMES[classifier])
    _chance(axes, record)
    axes.set_xlim(-0.4, len(places) - 0.6)
    size = record.sizes[-1]
    unit = f"{size} photos a class" if record.measure == ACCURACY else f"{size} training photos"
    _finish(axes, f"by layer, {unit}", record)


def _curve(axes: Axes, record: TransferRecord) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = np.array(record.sizes, float)
    for j, classifier in enumerate(record.classifiers):
        _line(
            axes,
            sizes,
            record.scores[-1, j],
            CLASSIFIERS[classifier],
            f"{_NAMES[classifier]}, {record.layers[-1].name}",
        )
        best = int(np.argmax(record.scores[:, j, -1].mean(1)))
        if best != len(record.layers) - 1:
            name = f"{_NAMES[classifier]}, {record.layers[best].name} (best)"
            _line(axes, sizes, record.scores[best, j], CLASSIFIERS[classifier], name, "--")
    if record.scratch_words:
        _line(axes, sizes, record.scratch, GREEN, "trained from scratch")
    _chance(axes, record)
    if sizes.max() / sizes.min() > 5:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:g}" for size in sizes])
    _finish(axes, "by the number of training photos", record, "training photos a class")


def _by_label(axes: Axes, record: TransferRecord) -> None:
    found = record.by_class[-1, :, 0]
    means = np.array([[mean_deviation(row[~np.isnan(row)])[0] for row in part.T] for part in found]) * 100
    order = np.argsort(-np.nan_to_num(means.mean(0), nan=-1), kind="stable")
    places = np.arange(len(order))
    bar = 0.8 / len(means)
    for j, (row, classifier) in enumerate(zip(means, record.classifiers, strict=True)):
        shift = bar * (j - (len(means) - 1) / 2)
        axes.barh(places + shift, np.nan_to_num(row[order]), bar, color=CLASSIFIERS[classifier])
    dress(axes, f"average precision (%) by label, {record.layers[-1].name}", grid="x", spines=("bottom", "left"))
    name_rows(axes, [record.classes[i] for i in order], 1.25)
    axes.set_xlim(0, 100)


def _line(axes: Axes, places: np.ndarray, scores: np.ndarray, colour: str, name: str, style: str = "-") -> None:
    """Means over folds with deviations as whiskers; ``scores`` is (places, folds), with NaN for folds that are not."""
    told = [mean_deviation(row[~np.isnan(row)]) for row in scores]
    means = np.array([mean for mean, _ in told]) * 100
    spreads = np.nan_to_num(np.array([deviation for _, deviation in told])) * 100
    spread_line(axes, places, means, spreads, colour, name, style=style)


def _chance(axes: Axes, record: TransferRecord) -> None:
    axes.axhline(100 * record.chance, color=CHANCE, linewidth=1, linestyle=":", label="chance")


def _finish(axes: Axes, title: str, record: TransferRecord, below: str = "") -> None:
    what = "mean accuracy over classes (%)" if record.measure == ACCURACY else "mean average precision (%)"
    dress(axes, title, below=below, beside=what, spines=("bottom", "left"))
    axes.set_ylim(0, _top(record))
    legend(axes, loc="best", handlelength=3.2)


def _top(record: TransferRecord) -> float:
    """Both panels end at the same height, so that they compare."""
    return min(100.0, 10 * np.ceil(max(float(record.scores.max()), record.chance) * 10 + 1.2))


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


def figures(record: TransferRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"transfer": transfer_figure(record)}
