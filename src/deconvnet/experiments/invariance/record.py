"""The record of invariance (Fig. 5): how far features move as photos are moved, enlarged and turned. No torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from deconvnet.runs.directory import Run
from deconvnet.runs.records import from_json, reading

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
    values: npt.NDArray[np.float64]
    distances: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]
    filled: npt.NDArray[np.float64]
    examples: npt.NDArray[np.uint8]
    shown: npt.NDArray[np.float64]


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
class InvarianceRecord:
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

    network: str
    layers: tuple[str, ...]
    photos: tuple[str, ...]
    labels: tuple[str, ...]
    label_sources: tuple[str, ...]
    fill: str
    views: npt.NDArray[np.uint8]
    courses: tuple[TransformationCurve, ...]
    norms: npt.NDArray[np.float64]
    apart: npt.NDArray[np.float64]
    baseline: npt.NDArray[np.float64]
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

    def write(self, run: Run) -> None:
        """Into a run of kind ``"invariance"``: ``invariance.json``, ``invariance.safetensors``."""
        arrays: dict[str, np.ndarray] = {"views": self.views, "norms": self.norms, "baseline": self.baseline}
        arrays["apart"] = self.apart
        for course in self.courses:
            arrays |= {f"{course.name}/{part}": getattr(course, part) for part in _ARRAYS}
        run.save_arrays("invariance", arrays)
        run.save_json(
            "invariance",
            {
                **{name: getattr(self, name) for name in _PLAIN},
                "courses": [{name: getattr(course, name) for name in _WORDS} for course in self.courses],
                "summary": [vars(each) for each in self.summary()],
            },
        )

    @classmethod
    def read(cls, run: Run) -> Self:
        """What :meth:`write` wrote.

        Raises
        ------
        RunError
            If the run is of another kind, or parts of it are missing or damaged.
        """
        with reading(run, KIND):
            record, arrays = run.json("invariance"), run.arrays("invariance")
            courses = tuple(_course(entry, arrays) for entry in record["courses"])
            content: dict[str, Any] = {name: from_json(record[name]) for name in _PLAIN}
            content |= {name: arrays[name] for name in ("views", "norms", "apart", "baseline")}
            return cls(courses=courses, **content)


_ARRAYS = ("values", "distances", "probabilities", "filled", "examples", "shown")
_WORDS = ("name", "title", "unit", "identity")
_PLAIN = tuple(
    f.name for f in fields(InvarianceRecord) if f.name not in ("views", "courses", "norms", "apart", "baseline")
)


def _course(entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> TransformationCurve:
    whole: dict[str, Any] = {part: arrays[f"{entry['name']}/{part}"] for part in _ARRAYS}
    return TransformationCurve(**entry, **whole)


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
