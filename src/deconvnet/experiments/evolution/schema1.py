"""Evolution as runs of schema 1 hold it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from deconvnet.experiments.evolution.record import EvolutionRecord, LayerEvolution
from deconvnet.runs.directory import Run
from deconvnet.runs.record import from_json


def read(run: Run) -> EvolutionRecord:
    """``evolution.json``, and ``layers/NAME.safetensors`` for each layer."""
    record = run.json("evolution")
    parts = [field.name for field in fields(LayerEvolution) if field.name != "layer"]
    layers = []
    for name in record["layers"]:
        arrays = run.arrays(f"layers/{name}")
        content: dict[str, Any] = {part: arrays[part] for part in parts}
        layers.append(LayerEvolution(name, **content))
    plain = [field.name for field in fields(EvolutionRecord) if field.name not in ("layers", "names")]
    names = {int(index): name for index, name in record["names"].items()}
    return EvolutionRecord(layers=tuple(layers), names=names, **{name: from_json(record[name]) for name in plain})
