"""Comparison as runs of schema 1 hold it."""

from __future__ import annotations

from deconvnet.experiments.comparison.record import ComparisonRecord, ComparisonRow
from deconvnet.runs.directory import Run


def read(run: Run) -> ComparisonRecord:
    """``table.json`` and ``filters.safetensors``; rounds and data stand in the manifest."""
    table, filters = run.json("table"), run.arrays("filters")
    rows = tuple(ComparisonRow(**{**row, "input_shape": tuple(row["input_shape"])}) for row in table["rows"])
    return ComparisonRecord(
        rows,
        tuple(filters[str(number)] for number in range(len(rows))),
        table["threads"],
        run.settings["rounds"],
        run.settings["batch"],
        run.inputs["data"],
    )
