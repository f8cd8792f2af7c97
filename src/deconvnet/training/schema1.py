"""A training as runs of schema 1 hold it."""

from __future__ import annotations

from deconvnet.runs.directory import Run
from deconvnet.runs.record import unfinished
from deconvnet.training.record import TrainingRecord, UnreadPhoto


def read(run: Run) -> TrainingRecord:
    """``split.json``, ``metrics.json`` and ``skipped.json``; the recipe is the manifest's settings."""
    if not run.finished and not run.has("split"):
        raise unfinished(run)
    split = run.json("split")
    skipped = run.json("skipped") if run.has("skipped") else []
    return TrainingRecord(
        dict(run.settings),
        split["seed"],
        tuple(split["classes"]),
        tuple(split["held_out"]),
        tuple(run.json("metrics")) if run.has("metrics") else (),
        tuple(sorted(f"snapshots/{path.stem}" for path in (run.path / "snapshots").glob("epoch-*.safetensors"))),
        tuple(UnreadPhoto(entry["name"], entry["why"]) for entry in skipped),
    )
