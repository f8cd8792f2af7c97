"""The record of averaging (Table 2): the errors of several networks and of their average. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
