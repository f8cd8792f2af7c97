"""Ablation as runs of schema 1 hold it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from deconvnet.experiments.ablation.record import AblationRecord
from deconvnet.runs.directory import Run
from deconvnet.runs.record import from_json

_ARRAYS = ("parameters", "train", "top1", "top5", "per_class", "seconds")


def read(run: Run) -> AblationRecord:
    """``ablation.json`` and ``ablation.safetensors``."""
    record, arrays = run.json("ablation"), run.arrays("ablation")
    plain = [field.name for field in fields(AblationRecord) if field.name not in _ARRAYS]
    content: dict[str, Any] = {name: from_json(record[name]) for name in plain}
    content |= {name: arrays[name] for name in _ARRAYS}
    return AblationRecord(**content)
