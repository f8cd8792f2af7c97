"""Reproduction as runs of schema 1 hold it."""

from __future__ import annotations

from deconvnet.reproduction.record import Answer, PartTime, ReproductionRecord
from deconvnet.runs.directory import Run


def read(run: Run) -> ReproductionRecord:
    """``claims.json``."""
    record = run.json("claims")
    return ReproductionRecord(
        record["scale"],
        record["about"],
        record["data"],
        tuple(record["networks"]),
        tuple(PartTime(**each) for each in record["parts"]),
        tuple(Answer(**{**each, "parts": tuple(each["parts"])}) for each in record["answers"]),
    )
