"""Averaging as runs of schema 1 hold it."""

from __future__ import annotations

from deconvnet.experiments.averaging.record import AverageRow, AveragingRecord
from deconvnet.runs.directory import Run


def read(run: Run) -> AveragingRecord:
    """``table.json`` and ``probabilities.safetensors``; the classes stand in the manifest."""
    table, arrays = run.json("table"), run.arrays("probabilities")
    return AveragingRecord(
        tuple(AverageRow(**row) for row in table["rows"]),
        arrays["labels"],
        arrays["photos"],
        arrays["probabilities"],
        tuple(run.inputs["classes"]),
        run.settings["ten_crops"],
        table["data"],
    )
