"""The record of ablation (Table 3): networks with layers removed or resized, trained alike several times. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.runs.record import Record
from deconvnet.runs.statistics import mean_deviation, percent

KIND = "ablate"


@dataclass(frozen=True)
class PublishedErrors:
    """A row of the paper's Table 3: ImageNet 2012 errors in percent.

    Attributes
    ----------
    train, top1, top5 : float
        Training top-1, validation top-1 and top-5.
    """

    train: float
    top1: float
    top5: float


@dataclass(frozen=True)
class Paper:
    """What the paper prints of a variant; None where it prints nothing.

    Attributes
    ----------
    replication : PublishedErrors or None
        Of the paper's replication of Krizhevsky et al.
    figure3 : PublishedErrors or None
        Of the paper's own network.
    """

    replication: PublishedErrors | None = None
    figure3: PublishedErrors | None = None


TABLE_3 = {
    "base": Paper(PublishedErrors(35.1, 40.5, 18.1), PublishedErrors(33.1, 38.4, 16.5)),
    "remove-3-4": Paper(PublishedErrors(41.8, 45.4, 22.1)),
    "remove-7": Paper(PublishedErrors(27.4, 40.0, 18.4)),
    "remove-6-7": Paper(PublishedErrors(27.4, 44.8, 22.4)),
    "remove-3-4-6-7": Paper(PublishedErrors(71.1, 71.3, 50.1)),
    "fc-half": Paper(PublishedErrors(40.3, 41.7, 18.8), PublishedErrors(38.2, 40.2, 17.6)),
    "fc-double": Paper(PublishedErrors(26.8, 40.0, 18.1), PublishedErrors(22.0, 38.8, 17.0)),
    "wide": Paper(None, PublishedErrors(18.8, 37.5, 16.0)),
    "wide-fc-double": Paper(None, PublishedErrors(10.0, 38.3, 16.9)),
}
"""The rows of Table 3 by the variants' names, in the paper's order."""
BASE = "base"


@dataclass(frozen=True)
class Row:
    """A variant in a few numbers; errors are shares, 0 to 1, and spreads the sample's deviation over seeds.

    Attributes
    ----------
    name, title : str
    parameters : int
    train, top1, top5, per_class : (float, float)
        Error on training photos, and on held-out ones (first, first five, mean over classes): mean and deviation.
    difference : (float, float)
        Of ``top1`` to the unchanged network's with the same seed; NaN without one.
    paper : (float, float) or None
        The paper's validation top-1 error and its difference to its unchanged network's, percent.
    """

    name: str
    title: str
    parameters: int
    train: tuple[float, float]
    top1: tuple[float, float]
    top5: tuple[float, float]
    per_class: tuple[float, float]
    difference: tuple[float, float]
    paper: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class AblationRecord(Record):
    """Everything of an ablation.

    Attributes
    ----------
    network, recipe, data : str
    epochs, size : int
        Of each training; input in pixels at its end.
    classes, train_photos, held_out_photos : int
        The photos of the first seed's split.
    measured : int
        Training photos on which the training error was measured, at most.
    variants, titles : tuple of str, V
        Names, and in words with the numbers of units and maps.
    seeds : tuple of int, S
        Each decides split, start, order and crops, alike for all variants.
    parameters : ndarray of int64, (V,)
    train, top1, top5, per_class : ndarray of float64, (V, S)
        Errors, 0 to 1: of training photos (centre crop, as the held-out ones), and of held-out ones.
    seconds : ndarray of float64, (V, S)
        Of each training, wall time.
    """

    kind: ClassVar[str] = KIND

    network: str
    recipe: str
    data: str
    epochs: int
    size: int
    classes: int
    train_photos: int
    held_out_photos: int
    measured: int
    variants: Annotated[tuple[str, ...], "V"]
    titles: Annotated[tuple[str, ...], "V"]
    seeds: Annotated[tuple[int, ...], "S"]
    parameters: Annotated[npt.NDArray[np.int64], "V"]
    train: Annotated[npt.NDArray[np.float64], "V S"]
    top1: Annotated[npt.NDArray[np.float64], "V S"]
    top5: Annotated[npt.NDArray[np.float64], "V S"]
    per_class: Annotated[npt.NDArray[np.float64], "V S"]
    seconds: Annotated[npt.NDArray[np.float64], "V S"]

    def check(self) -> None:
        """Refuse what is no row of Table 3, and a table without rows or seeds."""
        if not self.variants or not self.seeds:
            raise ValueError("it holds no variant or no seed")
        for name in self.variants:
            if name not in TABLE_3:
                raise ValueError(f"variants holds {name[:60]!r}, which is no row of Table 3")

    def rows(self) -> tuple[Row, ...]:
        """The table's rows."""
        base = self.variants.index(BASE) if BASE in self.variants else None
        found = []
        for i, (name, title) in enumerate(zip(self.variants, self.titles, strict=True)):
            moved = np.full(len(self.seeds), np.nan) if base is None else self.top1[i] - self.top1[base]
            train, top1, top5, per_class = (
                mean_deviation(e[i]) for e in (self.train, self.top1, self.top5, self.per_class)
            )
            count = int(self.parameters[i])
            found.append(
                Row(name, title, count, train, top1, top5, per_class, mean_deviation(moved), self._paper(name))
            )
        return tuple(found)

    def _paper(self, name: str) -> tuple[float, float] | None:
        """The paper's own network's row where it printed one and this is that network, else the replication's."""
        paper, base = TABLE_3[name], TABLE_3[BASE]
        own = (self.network.startswith("zfnet") and paper.figure3 is not None) or paper.replication is None
        row, whole = (paper.figure3, base.figure3) if own else (paper.replication, base.replication)
        return None if row is None or whole is None else (row.top1, round(row.top1 - whole.top1, 1))

    def table(self) -> str:
        """The rows as text, errors in percent."""
        heads = ("parameters", "train", "held out", "to base", "per class", "paper", "to base")
        rows = self.rows()
        wide = max(len(row.title) for row in rows)
        lines = [f"{'error, %':{wide}}" + "".join(f"{head:>14}" for head in heads)]
        for row in rows:
            cells = [f"{row.parameters:,}", *(percent(each) for each in (row.train, row.top1))]
            cells += [percent(row.difference, sign=True) if row.name != BASE else "", percent(row.per_class)]
            paper = row.paper
            cells += (
                ["-", "-"] if paper is None else [f"{paper[0]:.1f}", f"{paper[1]:+.1f}" if row.name != BASE else ""]
            )
            lines.append(f"{row.title:{wide}}" + "".join(f"{cell:>14}" for cell in cells))
        return "\n".join(lines)
