"""A mining run of schema 1."""

from __future__ import annotations

from deconvnet.mining.record import TopActivations
from deconvnet.mining.run_record import MiningRecord, SkippedPhoto
from deconvnet.runs.directory import Run
from deconvnet.runs.record import unfinished


def read(run: Run) -> MiningRecord:
    """``top.safetensors``, ``photos.json`` and ``timing.json``; the classes stand in the manifest."""
    if not run.has("top") and not run.finished:
        raise unfinished(run)
    photos, timing = run.json("photos"), run.json("timing")
    return MiningRecord(
        TopActivations.from_arrays(run.arrays("top")),
        tuple(photos["names"]),
        tuple(photos["labels"]),
        tuple(run.inputs["classes"]),
        tuple(SkippedPhoto(**each) for each in photos["skipped"]),
        timing["processes"],
        timing["seconds"],
    )
