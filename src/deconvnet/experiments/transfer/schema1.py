"""Transfer as runs of schema 1 hold it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from deconvnet.experiments.transfer.record import Duplicate, FeatureLayer, TransferRecord
from deconvnet.runs.directory import Run
from deconvnet.runs.record import from_json

_ARRAYS = ("tested", "scores", "by_class", "chosen", "scratch")


def read(run: Run) -> TransferRecord:
    """``transfer.json`` and ``transfer.safetensors``."""
    record, arrays = run.json("transfer"), run.arrays("transfer")
    plain = [field.name for field in fields(TransferRecord) if field.name not in _ARRAYS]
    content: dict[str, Any] = {name: from_json(record[name]) for name in plain}
    content |= {name: arrays[name] for name in _ARRAYS}
    content["layers"] = tuple(
        FeatureLayer(each["name"], tuple(each["shape"]), tuple(each["used"])) for each in record["layers"]
    )
    content["duplicates"] = tuple(Duplicate(**each) for each in record["duplicates"])
    return TransferRecord(**content)
