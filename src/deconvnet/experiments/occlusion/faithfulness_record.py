"""The record of deletion and insertion curves (Petsiuk, Das & Saenko 2018). No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deconvnet.errors import RunError
from deconvnet.runs.directory import Run

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
    shares: npt.NDArray[np.float64]
    deletion: Mapping[str, npt.NDArray[np.float32]]
    insertion: Mapping[str, npt.NDArray[np.float32]]

    def area(self, curve: str, order: str) -> npt.NDArray[np.float64]:
        """Area under the ``"deletion"`` or ``"insertion"`` curve of each run, 0 to 1, by the trapezoid rule."""
        values = (self.deletion if curve == "deletion" else self.insertion)[order].astype(np.float64)
        return ((values[:, 1:] + values[:, :-1]) / 2 * np.diff(self.shares)).sum(1)


def save_faithfulness(run: Run, found: Sequence[Faithfulness]) -> None:
    """Write ``faithfulness.json`` and ``faithfulness.safetensors`` into a run."""
    arrays: dict[str, np.ndarray] = {}
    table = []
    for number, one in enumerate(found):
        arrays[f"{number}/shares"] = one.shares
        areas = {}
        for curve, by_order in (("deletion", one.deletion), ("insertion", one.insertion)):
            arrays |= {f"{number}/{curve}/{order}": values for order, values in by_order.items()}
            areas[curve] = {order: one.area(curve, order).tolist() for order in by_order}
        table.append({"photo": one.photo, "class": one.label, "fill": one.fill, "areas": areas})
    run.save_arrays("faithfulness", arrays)
    run.save_json("faithfulness", table)


def read_faithfulness(run: Run) -> tuple[Faithfulness, ...]:
    """What :func:`save_faithfulness` wrote.

    Raises
    ------
    RunError
        If the run holds no such record, or a damaged one.
    """
    table, arrays = run.json("faithfulness"), run.arrays("faithfulness")
    try:
        return tuple(
            Faithfulness(
                entry["photo"],
                entry["class"],
                entry["fill"],
                arrays[f"{number}/shares"],
                *({order: arrays[f"{number}/{curve}/{order}"] for order in entry["areas"][curve]} for curve in CURVES),
            )
            for number, entry in enumerate(table)
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"the faithfulness record in {run.path} is damaged ({error!r}): make it again.") from error
