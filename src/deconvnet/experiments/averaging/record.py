"""The record of averaging (Table 2): the errors of several networks and of their average. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.runs.record import Record

AVERAGE = "average"


@dataclass(frozen=True)
class AverageRow:
    """Errors of one network, or of the average.

    Attributes
    ----------
    name : str
    count : int
        Photos.
    top1, top5, per_class : float
        Errors, 0 to 1; the last is one less the mean over classes of the share that is right.
    top1_spread : float
        Standard error of ``top1`` over photos.
    gained, lost : int
        Of the average: photos that it names rightly and the best single network does not, and the reverse.
    chance : float or None
        Of the average: two-sided sign test of these two numbers.
    """

    name: str
    count: int
    top1: float
    top5: float
    per_class: float
    top1_spread: float
    gained: int = 0
    lost: int = 0
    chance: float | None = None


@dataclass(frozen=True, eq=False)
class AveragingRecord(Record):
    """Errors of networks and of their average.

    Attributes
    ----------
    rows : tuple of AverageRow
        One a network, then the average of all.
    labels : ndarray of int64, (N,)
        Class of each photo.
    photos : ndarray of int64, (N,)
        Which photos they were.
    probabilities : ndarray of float32, (networks, N, classes)
        Of each network, averaged over the crops.
    classes : tuple of str
    ten_crops : bool
        Whether the paper's ten crops were averaged.
    data : str
        What the photos are: data and split.
    """

    kind: ClassVar[str] = AVERAGE

    rows: Annotated[tuple[AverageRow, ...], "K"]
    labels: Annotated[npt.NDArray[np.int64], "N"]
    photos: Annotated[npt.NDArray[np.int64], "N"]
    probabilities: Annotated[npt.NDArray[np.float32], "K-1 N C"]
    classes: Annotated[tuple[str, ...], "C"]
    ten_crops: bool
    data: str

    def check(self) -> None:
        """Refuse a table without an average, and classes that do not exist."""
        if len(self.rows) < 3:
            raise ValueError(f"rows has {len(self.rows)} entries: an average needs two networks and its own row")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels names a class beyond the {len(self.classes)} that there are")

    def table(self) -> str:
        """The rows as text."""
        return average_table(self.rows)


def average_table(rows: Sequence[AverageRow]) -> str:
    """Errors as lines of text, in percent."""
    wide = max(len(row.name) for row in rows)
    lines = [f"{'':{wide}}  top-1 error  top-5 error  mean over classes"]
    lines += [
        f"{row.name:{wide}}  {row.top1:6.2%} ±{100 * row.top1_spread:.1f}  {row.top5:11.2%}  {row.per_class:17.2%}"
        for row in rows
    ]
    last = rows[-1]
    if last.chance is not None:
        lines.append(
            f"Against the best single network the average gains {last.gained} of {last.count} photos and loses "
            f"{last.lost} (sign test p = {last.chance:.2g})."
        )
    return "\n".join(lines)
