"""Table 2: the class probabilities of several networks averaged, and the errors of each and of the average.

Command: ``deconvnet average NETWORK NETWORK ... --data FOLDER``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.data import none_readable
from deconvnet.errors import DataError, OptionError
from deconvnet.experiments.averaging.figure import averaging_figure
from deconvnet.experiments.averaging.record import AVERAGE, AverageRow, AveragingRecord
from deconvnet.networks import Network
from deconvnet.progress import Progress, counter
from deconvnet.runs.results import RunResult
from deconvnet.training.evaluation import Accuracy, accuracy, scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deconvnet.training.dataset import Dataset


@dataclass(frozen=True, eq=False, repr=False)
class Averaging(AveragingRecord, RunResult):
    """What was found, with its figure; a notebook shows that."""

    kind: ClassVar[str] = AVERAGE

    def __repr__(self) -> str:
        return f"Averaging({', '.join(row.name for row in self.rows[:-1])}: {len(self.labels)} photos)"

    def plot(self) -> Figure:
        """Errors as bars, the average last."""
        return averaging_figure(self.rows, self.data)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        names = [row.name for row in self.rows[:-1]]
        return {"networks": names, "ten_crops": self.ten_crops}, {"data": self.data, "classes": self.classes}


def check_classes(networks: Sequence[Network], classes: Sequence[str] | None = None) -> None:
    """Refuse networks that cannot be averaged.

    Raises
    ------
    OptionError
        If there are fewer than two, two have other classes or another order of them, or one has none.
    DataError
        If the photos' classes are others.
    """
    if len(networks) < 2:
        raise OptionError(f"an average needs at least two networks, not {len(networks)}.")
    first = networks[0]
    for network in networks:
        if not network.classes:
            raise OptionError(f"{network.name} gives no class scores, so that there is nothing to average.")
        if tuple(network.classes) != tuple(first.classes):
            raise OptionError(
                f"{network.name} tells {len(network.classes)} classes ({_few(network.classes)}) and {first.name} "
                f"{len(first.classes)} ({_few(first.classes)}): only networks of the same classes can be averaged."
            )
    if classes is not None and tuple(classes) != tuple(first.classes):
        odd = sorted(set(classes) ^ set(first.classes))
        raise DataError(
            f"the photos have other classes than {first.name} was trained on ({_few(odd) or 'in another order'}): give "
            "the data that it learned from, or leave classes out with --exclude."
        )


def average(
    networks: Sequence[Network],
    dataset: Dataset,
    indices: npt.NDArray[np.int64] | None = None,
    *,
    ten_crops: bool = True,
    data: str = "",
    progress: Progress | None = None,
) -> Averaging:
    """Evaluate networks and the average of their class probabilities on the same photos.

    Parameters
    ----------
    networks : sequence of Network
        At least two, of the same classes in the same order.
    dataset : Dataset
        Photos and their classes, as :mod:`deconvnet.training.dataset` splits them.
    indices : ndarray of int64, optional
        Which photos; the held-out ones unless given.
    ten_crops : bool
        Average the paper's ten crops of each photo, or look at the centre once.
    data : str
        Words for data and split, for record and figure.
    progress : Progress, optional

    Returns
    -------
    Averaging
        Photos that cannot be read are left out for all networks alike.

    Raises
    ------
    OptionError, DataError
        See :func:`check_classes`; also if no photo can be read.
    """
    check_classes(networks, dataset.classes)
    indices = dataset.held_out if indices is None else indices
    every: list[npt.NDArray[np.float32]] = []
    kept = np.zeros(0, np.int64)
    for network in networks:
        values, kept = scores(network, dataset, indices, ten_crops, counter(progress, network.name))
        if not len(kept):
            raise none_readable(dataset.photos.root, len(indices), dataset.skipped)
        every.append(_softmax(values))
    probabilities = np.stack(every)
    labels = dataset.labels[kept]
    return Averaging(
        _rows([network.name for network in networks], probabilities, labels),
        labels,
        kept,
        probabilities,
        tuple(networks[0].classes),
        ten_crops,
        data,
    )


def _rows(
    names: Sequence[str], probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> tuple[AverageRow, ...]:
    mean = probabilities.astype(np.float64).mean(0)
    with np.errstate(divide="ignore"):
        logs = [np.log(np.maximum(each.astype(np.float64), 1e-300)) for each in (*probabilities, mean)]
    results = [accuracy(each, labels) for each in logs]
    best = int(np.argmax([result.top1 for result in results[:-1]]))
    right = [each.argmax(1) == labels for each in logs]
    gained, lost = int((right[-1] & ~right[best]).sum()), int((~right[-1] & right[best]).sum())
    rows = [_row(name, result, 0, 0, float("nan")) for name, result in zip(names, results, strict=False)]
    chance = sign_test(gained, lost)
    return (*rows, _row(f"average of {len(names)}", results[-1], gained, lost, chance))


def _row(name: str, result: Accuracy, gained: int, lost: int, chance: float) -> AverageRow:
    spread = math.sqrt(result.top1 * (1 - result.top1) / result.count)
    errors = (1 - result.top1, 1 - result.top5, 1 - result.per_class)
    return AverageRow(name, result.count, *errors, spread, gained, lost, None if math.isnan(chance) else chance)


def sign_test(gained: int, lost: int) -> float:
    """Probability of a split at least as uneven if gains and losses were equally likely (two-sided, exact)."""
    total, fewer = gained + lost, min(gained, lost)
    if not total:
        return 1.0
    tail = sum(math.comb(total, i) for i in range(fewer + 1)) / 2**total
    return min(1.0, 2 * tail)


def _softmax(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not len(values):
        return values
    shifted = np.exp(values.astype(np.float64) - values.max(1, keepdims=True))
    return (shifted / shifted.sum(1, keepdims=True)).astype(np.float32)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
