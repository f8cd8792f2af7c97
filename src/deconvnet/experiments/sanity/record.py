"""The record of the sanity checks: how alike projections stay while weights become random. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.runs.record import Record
from deconvnet.runs.units import Unit

KIND = "sanity"
TESTS = ("cascade", "alone", "other map", "other photo", "noise")
MEASURES = ("ssim", "rank", "rank of magnitudes")

Array = npt.NDArray[np.floating]
Similarities = Annotated[npt.NDArray[np.floating], "_ U 3"]
Picture = Annotated[npt.NDArray[np.floating], "_ _ _"]


@dataclass(frozen=True, eq=False)
class SanityRecord(Record):
    """What the sanity checks found.

    Attributes
    ----------
    title : str
        The network's.
    layer : str
        The units' layer.
    stages : tuple of tuple of str
        Layers that get random weights together, from the units' own layer down to the first.
    units : tuple of Unit, length U
    photos : tuple of int, length U
        The photo of each unit.
    similarities : dict of rule to dict of test to ndarray of float, (S, U, 3)
        SSIM, rank correlation, and rank correlation of magnitudes (`deconvnet.experiments.sanity.measure.similarity`)
        of each unit's picture with the unchanged one; S is the number of stages for ``"cascade"`` and ``"alone"``, else
        1. ``"other photo"`` is missing if there is one photo alone.
    pictures : dict of rule to tuple of ndarray of float, (C, h, w)
        The first unit's projection, in the part of its receptive field that lies in the photo: unchanged, then after
        each stage of the cascade.
    views : tuple of ndarray of uint8, (H, W, 3)
        What the network saw of each photo.
    """

    kind: ClassVar[str] = KIND

    title: str
    layer: str
    stages: tuple[tuple[str, ...], ...]
    units: Annotated[tuple[Unit, ...], "U"]
    photos: Annotated[tuple[int, ...], "U"]
    similarities: dict[str, dict[str, Similarities]]
    pictures: dict[str, tuple[Picture, ...]]
    views: tuple[Annotated[npt.NDArray[np.uint8], "_ _ 3"], ...]

    def check(self) -> None:
        """Refuse tests that are missing or do not exist, and photos beyond the views."""
        if not self.stages or not all(self.stages) or not self.units or not self.similarities:
            raise ValueError("it holds no stage, unit or rule, or an empty stage")
        if not 0 <= min(self.photos) <= max(self.photos) < len(self.views):
            raise ValueError(f"photos names a photo beyond the {len(self.views)} that there are")
        if self.pictures.keys() != self.similarities.keys():
            raise ValueError("pictures and similarities are not of the same rules")
        needed = {"cascade", "alone", "other map", "noise"} | ({"other photo"} if len(self.views) > 1 else set())
        for rule, tests in self.similarities.items():
            if not needed <= tests.keys() <= set(TESTS):
                raise ValueError(f"similarities.{rule[:60]} are not of the tests that there are")
            for test, found in tests.items():
                expected = len(self.stages) if test in ("cascade", "alone") else 1
                if len(found) != expected:
                    raise ValueError(f"similarities.{rule[:60]}.{test} has {len(found)} rows, not {expected}")
            if len(self.pictures[rule]) != len(self.stages) + 1:
                raise ValueError(f"pictures.{rule[:60]} has {len(self.pictures[rule])}, not {len(self.stages) + 1}")

    @property
    def stage_names(self) -> tuple[str, ...]:
        """A short name for each stage: its uppermost layer, and how many more it has."""
        return tuple(stage[0] + (f" +{len(stage) - 1}" if len(stage) > 1 else "") for stage in self.stages)

    def mean(self, rule: str, test: str) -> Array:
        """Similarities of one rule and test, averaged over units; (S, 3)."""
        return self.similarities[rule][test].mean(1)

    def blank(self, rule: str, test: str) -> int:
        """Comparisons of a test in which one of the two pictures was empty; they count as similarity 0."""
        return int((self.similarities[rule][test] == 0).all(2).sum())

    def finding(self) -> str:
        """What was measured of the dependence on upper layers, in a sentence."""
        upper = max(1, len(self.stages) // 2)
        layers = [name for stage in self.stages[:upper] for name in stage]
        named = layers[0] if len(layers) == 1 else f"{layers[0]} down to {layers[-1]}"
        floor = "other photo" if len(self.views) > 1 else "noise"
        told: list[str] = []
        for rule in self.similarities:
            kept, unrelated = self.mean(rule, "cascade")[upper - 1], self.mean(rule, floor)[0]
            told.append(
                f"{rule} {kept[0]:.2f} ({unrelated[0]:.2f}), rank of magnitudes {kept[2]:.2f} ({unrelated[2]:.2f})"
            )
        return (
            f"with random weights in the upper {len(layers)} of {sum(map(len, self.stages))} layers ({named}), SSIM to "
            f"the unchanged pictures, and in brackets what {floor.replace('other', 'another')} gives: "
            f"{'; '.join(told)}"
        )

    def table(self) -> str:
        """Mean similarities by rule and test, and the finding."""
        wide = max(
            len(f"{rule}, {test}, {name}") for rule in self.similarities for test in TESTS for name in self._names
        )
        lines = [f"{'':{wide}}  " + "  ".join(f"{measure:>18}" for measure in MEASURES)]
        for rule, tests in self.similarities.items():
            for test in tests:
                for name, row in zip(
                    self._names if len(tests[test]) > 1 else ("",), self.mean(rule, test), strict=False
                ):
                    head = ", ".join(part for part in (rule, test, name) if part)
                    lines.append(f"{head:{wide}}  " + "  ".join(f"{value:18.3f}" for value in row))
        return "\n".join([*lines, self.finding()])

    @property
    def _names(self) -> tuple[str, ...]:
        return self.stage_names
