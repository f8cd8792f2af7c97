"""Correspondence as runs of schema 1 hold it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvnet.experiments.correspondence.record import CorrespondenceRecord, MaskedPhoto, SignChange
from deconvnet.geometry import Box
from deconvnet.runs.directory import Run
from deconvnet.runs.record import from_json


def read(run: Run) -> CorrespondenceRecord:
    """``correspondence.json`` and ``correspondence.safetensors``."""
    record, arrays = run.json("correspondence"), run.arrays("correspondence")
    others = ("rows", "masked", "covered", "distances")
    plain = {f.name: from_json(record[f.name]) for f in fields(CorrespondenceRecord) if f.name not in others}
    masked = tuple(_masked(entry, view) for entry, view in zip(record["masked"], arrays["views"], strict=True))
    distances = {n.removeprefix("distances/"): a for n, a in arrays.items() if n.startswith("distances/")}
    rows = tuple(SignChange(**row) for row in record["rows"])
    return CorrespondenceRecord(rows=rows, masked=masked, covered=arrays["covered"], distances=distances, **plain)


def _masked(entry: dict[str, Any], view: npt.NDArray[np.uint8]) -> MaskedPhoto:
    boxes, random = (tuple(Box(*box) for box in entry[name]) for name in ("boxes", "random"))
    return MaskedPhoto(entry["photo"], entry["group"], view, tuple(entry["parts"]), boxes, random)
