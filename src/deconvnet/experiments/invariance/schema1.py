"""Invariance as runs of schema 1 hold it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from deconvnet.experiments.invariance.record import InvarianceRecord, TransformationCurve
from deconvnet.runs.directory import Run
from deconvnet.runs.record import from_json

_OF_ALL = ("views", "norms", "apart", "baseline")
_OF_ONE = ("values", "distances", "probabilities", "filled", "examples", "shown")


def read(run: Run) -> InvarianceRecord:
    """``invariance.json`` and ``invariance.safetensors``."""
    record, arrays = run.json("invariance"), run.arrays("invariance")
    courses = tuple(_course(entry, arrays) for entry in record["courses"])
    plain = [field.name for field in fields(InvarianceRecord) if field.name not in (*_OF_ALL, "courses")]
    content: dict[str, Any] = {name: from_json(record[name]) for name in plain}
    content |= {name: arrays[name] for name in _OF_ALL}
    return InvarianceRecord(courses=courses, **content)


def _course(entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> TransformationCurve:
    content: dict[str, Any] = {**entry, **{part: arrays[f"{entry['name']}/{part}"] for part in _OF_ONE}}
    return TransformationCurve(**content)
