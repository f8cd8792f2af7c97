"""The record of invariance (Fig. 5): how far features move as photos are moved, enlarged and turned. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.runs.record import Record

KIND = "invariance"


@dataclass(frozen=True, eq=False)
class TransformationCurve:
    """What one transformation did, step by step.

    Attributes
    ----------
    name, title, unit : str
        ``"vertical"``, ``"vertical translation"``, ``"px, down is positive"``.
    identity : float
        The value that leaves a photo as it is.
    values : ndarray of float64, (S,)
        The steps, ascending.
    distances : ndarray of float64, (L, P, S)
        Euclidean distance of each photo's feature vector, by layer, to that of the photo untransformed.
    probabilities : ndarray of float64, (P, S)
        Of the photo's class; (P, 0) where the network gives none.
    filled : ndarray of float64, (P, S)
        Share of the picture that lies outside of the photo.
    examples : ndarray of uint8, (P, E, H, W, 3)
        Pictures at the first step, one in the middle and the last.
    shown : ndarray of float64, (E,)
        The values of these.
    """

    name: str
    title: str
    unit: str
    identity: float
    values: Annotated[npt.NDArray[np.float64], "S"]
    distances: Annotated[npt.NDArray[np.float64], "L P S"]
    probabilities: Annotated[npt.NDArray[np.float64], "_ _"]
    filled: Annotated[npt.NDArray[np.float64], "P S"]
    examples: Annotated[npt.NDArray[np.uint8], "P E H W 3"]
    shown: Annotated[npt.NDArray[np.float64], "E"]


@dataclass(frozen=True)
class InvarianceSummary:
    """One transformation and layer in a few numbers.

    Attributes
    ----------
    transformation, layer : str
    between : float or None
        Mean distance over photos and steps, the identity left out, divided by the mean distance between two different
        photos, untransformed, in that layer. 0: nothing changed; 1: a transformed photo is as far from itself as
        another photo. None for a single photo.
    relative : float or None
        The mean over photos and steps of the distance divided by the length of the photo's own feature vector. None
        where one is all zero.
    onset : float or None
        The distance, mean over photos, at the smallest step off the identity, divided by the largest of all steps:
        near 1 where the smallest change already does all the damage. None where nothing changed.
    linearity : float or None
        Squared correlation of distance and size of the step, mean over photos. 1: quasi-linear. None where nothing
        changed, or for fewer than three steps.
    probability : float or None
        Mean over photos and steps of the class's probability divided by that of the photo untransformed. None where
        the network gives none.
    """

    transformation: str
    layer: str
    between: float | None
    relative: float | None
    onset: float | None
    linearity: float | None
    probability: float | None


@dataclass(frozen=True, eq=False)
class InvarianceRecord(Record):
    """Everything of Figure 5.

    Attributes
    ----------
    network : str
        Its title.
    layers : tuple of str, L
    photos : tuple of str, P
    labels : tuple of str
        The class of each photo whose probability is told; empty where the network gives none.
    label_sources : tuple of str
        ``"given"``, ``"folder"`` (the photo's folder bears the name of a class) or ``"predicted"``.
    fill : str
        What lies beyond a photo.
    views : ndarray of uint8, (P, H, W, 3)
        The photos untransformed, as the network sees them.
    courses : tuple of TransformationCurve
    norms : ndarray of float64, (L, P)
        Lengths of the untransformed photos' feature vectors.
    apart : ndarray of float64, (L,)
        Mean distance between two different photos' feature vectors; NaN for a single photo.
    baseline : ndarray of float64, (P,)
        Probability of each photo's class, untransformed; (0,) where there is none.
    pictures, passes : int
        Pictures run through the network, and in how many forward passes.
    seconds, forward_seconds : float
        All together, and the forward passes alone.
    """

    kind: ClassVar[str] = KIND

    network: str
    layers: Annotated[tuple[str, ...], "L"]
    photos: Annotated[tuple[str, ...], "P"]
    labels: Annotated[tuple[str, ...], "B"]
    label_sources: Annotated[tuple[str, ...], "B"]
    fill: str
    views: Annotated[npt.NDArray[np.uint8], "P H W 3"]
    courses: tuple[TransformationCurve, ...]
    norms: Annotated[npt.NDArray[np.float64], "L P"]
    apart: Annotated[npt.NDArray[np.float64], "L"]
    baseline: Annotated[npt.NDArray[np.float64], "B"]
    pictures: int
    passes: int
    seconds: float
    forward_seconds: float

    def summary(self) -> tuple[InvarianceSummary, ...]:
        """Each transformation and layer in a few numbers."""
        return tuple(
            self._summary(course, number, layer) for course in self.courses for number, layer in enumerate(self.layers)
        )

    def _summary(self, course: TransformationCurve, number: int, layer: str) -> InvarianceSummary:
        moved = course.values != course.identity
        distances = course.distances[number][:, moved]
        steps = _sizes(course)[moved]
        norms, apart = self.norms[number], float(self.apart[number])
        mean = distances.mean(0)
        changed = bool(mean.max() > 0)
        told = len(self.baseline) > 0 and self.baseline.min() > 0
        kept = course.probabilities[:, moved] / self.baseline[:, None] if told else None
        return InvarianceSummary(
            course.title,
            layer,
            float(distances.mean() / apart) if np.isfinite(apart) and apart > 0 else None,
            float((distances / norms[:, None]).mean()) if norms.min() > 0 else None,
            float(mean[steps == steps.min()].mean() / mean.max()) if changed else None,
            _linearity(steps, distances),
            float(kept.mean()) if kept is not None else None,
        )

    def check(self) -> None:
        """Refuse curves that do not fit to the layers and photos."""
        if not self.layers or not self.photos:
            raise ValueError("it holds no layer or no photo")
        if len(self.labels) not in (0, len(self.photos)):
            raise ValueError(f"labels has {len(self.labels)} entries for {len(self.photos)} photos")
        for number, course in enumerate(self.courses):
            where = f"courses[{number}]"
            if course.distances.shape[:2] != (len(self.layers), len(self.photos)):
                raise ValueError(f"{where}.distances is not of {len(self.layers)} layers and {len(self.photos)} photos")
            steps = len(course.values) if len(self.baseline) else 0
            if course.probabilities.shape[1] != steps:
                raise ValueError(f"{where}.probabilities has {course.probabilities.shape[1]} steps, not {steps}")
            if not (course.values != course.identity).any():
                raise ValueError(f"{where}.values holds nothing but the identity")

    def table(self) -> str:
        """Each transformation and layer in a line."""
        rows = self.summary()
        wide = max([len(f"{row.transformation}, {row.layer}") for row in rows], default=0)
        lines = [f"{'':{wide}}  of another photo  of its length  at the first step  linearity  probability kept"]
        for row in rows:
            cells = (row.between, row.relative, row.onset, row.linearity, row.probability)
            told = ["-" if value is None else f"{value:.2f}" for value in cells]
            lines.append(
                f"{f'{row.transformation}, {row.layer}':{wide}}  {told[0]:>16}  {told[1]:>13}  {told[2]:>17}  "
                f"{told[3]:>9}  {told[4]:>16}"
            )
        return "\n".join(lines)


def _sizes(course: TransformationCurve) -> npt.NDArray[np.float64]:
    """How far each step is off the identity; a rotation by 350 degrees is one by 10."""
    sizes = np.abs(course.values - course.identity)
    if course.name == "rotation":
        sizes = np.minimum(sizes % 360, 360 - sizes % 360)
    return np.round(sizes, 9).astype(np.float64)


def _linearity(steps: npt.NDArray[np.float64], distances: npt.NDArray[np.float64]) -> float | None:
    if len(np.unique(steps)) < 3:
        return None
    found = [np.corrcoef(steps, row)[0, 1] ** 2 for row in distances if np.ptp(row) > 0]
    return float(np.mean(found)) if found else None
