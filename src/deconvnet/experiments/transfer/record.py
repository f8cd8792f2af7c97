"""The record of transfer (Tables 4 to 7, Fig. 9): what linear classifiers make of each layer's features. No torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from deconvnet.runs.directory import Run
from deconvnet.runs.records import from_json, reading
from deconvnet.runs.statistics import mean_deviation, percent

KIND = "transfer"
ACCURACY = "mean accuracy over classes"
PRECISION = "mean average precision"


@dataclass(frozen=True)
class Layer:
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
class TransferRecord:
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
    layers : tuple of Layer, L
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

    network: str
    data: str
    measure: str
    classes: tuple[str, ...]
    known: tuple[str, ...]
    layers: tuple[Layer, ...]
    classifiers: tuple[str, ...]
    sizes: tuple[int, ...]
    folds: int
    seed: int
    tested: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    by_class: npt.NDArray[np.float64]
    chosen: npt.NDArray[np.float64]
    chance: float
    scratch: npt.NDArray[np.float64]
    scratch_words: str
    photos: int
    unreadable: int
    seen: int
    threshold: float
    duplicates: tuple[Duplicate, ...]
    seconds: float
    forward_seconds: float

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

    def write(self, run: Run) -> None:
        """Into a run of kind ``"transfer"``: ``transfer.json``, ``transfer.safetensors``."""
        run.save_arrays("transfer", {name: getattr(self, name) for name in _ARRAYS})
        plain = {name: getattr(self, name) for name in _PLAIN}
        plain["layers"] = [vars(each) for each in self.layers]
        plain["duplicates"] = [vars(each) for each in self.duplicates]
        cells = [{**vars(c), "deviation": None if np.isnan(c.deviation) else c.deviation} for c in self.cells()]
        run.save_json("transfer", {**plain, "cells": cells})

    @classmethod
    def read(cls, run: Run) -> Self:
        """What :meth:`write` wrote.

        Raises
        ------
        RunError
            If the run is of another kind, or parts of it are missing or damaged.
        """
        with reading(run, KIND):
            record, arrays = run.json("transfer"), run.arrays("transfer")
            content: dict[str, Any] = {name: from_json(record[name]) for name in _PLAIN}
            content |= {name: arrays[name] for name in _ARRAYS}
            layers = [Layer(each["name"], tuple(each["shape"]), tuple(each["used"])) for each in record["layers"]]
            content["layers"] = tuple(layers)
            content["duplicates"] = tuple(Duplicate(**each) for each in record["duplicates"])
            return cls(**content)


_ARRAYS = ("tested", "scores", "by_class", "chosen", "scratch")
_PLAIN = tuple(f.name for f in fields(TransferRecord) if f.name not in _ARRAYS)
