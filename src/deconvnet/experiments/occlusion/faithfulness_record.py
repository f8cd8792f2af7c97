"""The record of deletion and insertion curves (Petsiuk, Das & Saenko 2018). No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

ORDERS = ("map", "centre", "random pixels", "shuffled map")
"""In which order pixels are covered or uncovered; see `deconvnet.experiments.occlusion.faithfulness`."""


CURVES = ("deletion", "insertion")


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How a class's probability falls as a map's pixels are covered, and rises as they are uncovered.

    Attributes
    ----------
    photo, label, fill : str
        The photo's name, the class, and what covers.
    shares : ndarray of float64, (S + 1,)
        Share of the pixels that are covered (deletion) or uncovered (insertion), 0 to 1.
    deletion, insertion : mapping of str to ndarray of float32, (runs, S + 1)
        The class's probability by order; random orders have one run for each seed, the others one.
    """

    photo: str
    label: str
    fill: str
    shares: Annotated[npt.NDArray[np.float64], "S"]
    deletion: Mapping[str, Annotated[npt.NDArray[np.float32], "_ S"]]
    insertion: Mapping[str, Annotated[npt.NDArray[np.float32], "_ S"]]

    def check(self) -> None:
        """Refuse orders that do not exist, and curves without a run."""
        for name, curves in (("deletion", self.deletion), ("insertion", self.insertion)):
            if "map" not in curves:
                raise ValueError(f"{name} lacks the order 'map'")
            for order, values in curves.items():
                if order not in ORDERS:
                    raise ValueError(f"{name} holds the unknown order {order[:60]!r}")
                if not len(values):
                    raise ValueError(f"{name} of {order} has no run")

    def area(self, curve: str, order: str) -> npt.NDArray[np.float64]:
        """Area under the ``"deletion"`` or ``"insertion"`` curve of each run, 0 to 1, by the trapezoid rule."""
        values = (self.deletion if curve == "deletion" else self.insertion)[order].astype(np.float64)
        return ((values[:, 1:] + values[:, :-1]) / 2 * np.diff(self.shares)).sum(1)
