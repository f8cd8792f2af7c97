"""The record of transfer (Tables 4 to 7, Fig. 9): what linear classifiers make of each layer's features. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.runs.record import Record
from deconvnet.runs.statistics import mean_deviation, percent

KIND = "transfer"
ACCURACY = "mean accuracy over classes"
PRECISION = "mean average precision"


@dataclass(frozen=True)
class FeatureLayer:
    """Where features came from.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of the layer's output for one photo.
    used : tuple of int
        The same after averaging over space, if it was too large; equal to ``shape`` otherwise.
    """

    name: str
    shape: tuple[int, ...]
    used: tuple[int, ...]

    def __str__(self) -> str:
        sizes = " x ".join(map(str, self.shape))
        return self.name + f" ({sizes}" + (f", averaged to {' x '.join(map(str, self.used))})" if self.pooled else ")")

    @property
    def pooled(self) -> bool:
        """Whether the map was averaged to fewer cells."""
        return self.used != self.shape


@dataclass(frozen=True)
class Duplicate:
    """A photo that also lies among those that the network was trained on, or nearly so.

    Attributes
    ----------
    photo, seen : str
        Names in either set.
    correlation : float
        Normalised correlation of the two, -1 to 1.
    mirrored : bool
        Whether one is the mirror image of the other.
    """

    photo: str
    seen: str
    correlation: float
    mirrored: bool


@dataclass(frozen=True)
class Cell:
    """A cell of the table: one layer, classifier and number of training photos.

    Attributes
    ----------
    layer, classifier : str
    size : int
    mean, deviation : float
        Over folds, 0 to 1; the deviation is the sample's (n - 1), NaN for a single fold.
    """

    layer: str
    classifier: str
    size: int
    mean: float
    deviation: float


@dataclass(frozen=True, eq=False)
class TransferRecord(Record):
    """Everything of a transfer experiment.

    Attributes
    ----------
    network : str
        Its title.
    data : str
        Where the photos lie.
    measure : str
        :data:`ACCURACY` or :data:`PRECISION`.
    classes : tuple of str, C
    known : tuple of str
        Those among them whose names the network's own classes bear: it was trained on them.
    layers : tuple of FeatureLayer, L
    classifiers : tuple of str, A
        ``"svm"``, ``"softmax"``.
    sizes : tuple of int, K
        Training photos of each class; in all, for several labels a photo.
    folds : int
    seed : int
    tested : ndarray of int64, (C,)
        Test photos of each class in every fold (with several labels: in the first).
    scores : ndarray of float64, (L, A, K, folds)
        The measure, 0 to 1.
    by_class : ndarray of float64, (L, A, K, folds, C)
        Accuracy or average precision of each class; NaN where a class has no test photo.
    chosen : ndarray of float64, (L, A, K, folds)
        The C that was chosen on the training photos.
    chance : float
        What guessing gives: 1 / C, or the labels' mean share.
    scratch : ndarray of float64, (K, folds)
        The same network trained on these photos alone, and tested on the same; NaN where it was not.
    scratch_words : str
        With which recipe, and for how long; empty without.
    photos, unreadable : int
        Photos whose features were taken, and those that could not be read.
    seen : int
        Photos that were searched for duplicates; 0 without.
    threshold : float
        Normalised correlation from which two photos count as one.
    duplicates : tuple of Duplicate
        Photos left out because of it, one entry for each.
    seconds, forward_seconds : float
        All together without training from scratch, and the forward passes alone.
    """

    kind: ClassVar[str] = KIND

    network: str
    data: str
    measure: str
    classes: Annotated[tuple[str, ...], "C"]
    known: tuple[str, ...]
    layers: Annotated[tuple[FeatureLayer, ...], "L"]
    classifiers: Annotated[tuple[str, ...], "A"]
    sizes: Annotated[tuple[int, ...], "K"]
    folds: int
    seed: int
    tested: Annotated[npt.NDArray[np.int64], "C"]
    scores: Annotated[npt.NDArray[np.float64], "L A K F"]
    by_class: Annotated[npt.NDArray[np.float64], "L A K F C"]
    chosen: Annotated[npt.NDArray[np.float64], "L A K F"]
    chance: float
    scratch: Annotated[npt.NDArray[np.float64], "K F"]
    scratch_words: str
    photos: int
    unreadable: int
    seen: int
    threshold: float
    duplicates: tuple[Duplicate, ...]
    seconds: float
    forward_seconds: float

    def check(self) -> None:
        """Refuse a table without cells."""
        if not all((self.layers, self.classifiers, self.sizes, self.folds > 0)):
            raise ValueError("it holds no layer, classifier, size or fold")
        if self.scores.shape[3] != self.folds:
            raise ValueError(f"scores has {self.scores.shape[3]} folds, not {self.folds}")

    def cells(self) -> tuple[Cell, ...]:
        """Mean and deviation over folds of every layer, classifier and size."""
        return tuple(
            Cell(layer.name, classifier, size, *mean_deviation(self.scores[i, j, k]))
            for i, layer in enumerate(self.layers)
            for j, classifier in enumerate(self.classifiers)
            for k, size in enumerate(self.sizes)
        )

    def table(self) -> str:
        """The cells as text, in percent: a line for each classifier and layer, a column for each size."""
        unit = "a class" if self.measure == ACCURACY else "photos"
        wide = max(
            [len("from scratch"), *(len(f"{c} {layer.name}") for c in self.classifiers for layer in self.layers)]
        )
        lines = [f"{'':{wide}}" + "".join(f"{f'{size} {unit}':>16}" for size in self.sizes)]
        for j, classifier in enumerate(self.classifiers):
            for i, layer in enumerate(self.layers):
                cells = [percent(mean_deviation(self.scores[i, j, k])) for k in range(len(self.sizes))]
                lines.append(f"{f'{classifier} {layer.name}':{wide}}" + "".join(f"{cell:>16}" for cell in cells))
        if self.scratch_words:
            cells = [percent(mean_deviation(row[~np.isnan(row)])) for row in self.scratch]
            lines.append(f"{'from scratch':{wide}}" + "".join(f"{cell:>16}" for cell in cells))
        chance = f"{100 * self.chance:.1f}"
        lines.append(f"{'chance':{wide}}" + f"{chance:>16}" * len(self.sizes))
        return "\n".join(lines)
