"""Occlusion as runs of schema 1 hold it."""

from __future__ import annotations

from typing import Any

from deconvnet.experiments.occlusion.faithfulness_record import CURVES, Faithfulness
from deconvnet.experiments.occlusion.record import (
    Grid,
    OccludedPhoto,
    OcclusionMap,
    OcclusionRecord,
    ProjectionRecord,
)
from deconvnet.geometry import Box
from deconvnet.perturbations.record import Fill
from deconvnet.runs.directory import Run
from deconvnet.runs.units import Unit


def read(run: Run) -> OcclusionRecord:
    """``occlusion.json``, ``photos/000.safetensors`` and one file more for each fill; ``faithfulness.*`` if there."""
    record = run.json("occlusion")
    classes = tuple(record["classes"])
    return OcclusionRecord(
        str(run.inputs.get("network", "")),
        tuple(_photo(run, number, entry, classes) for number, entry in enumerate(record["photos"])),
        _faithfulness(run) if run.has("faithfulness") else (),
        run.settings.get("score", "probability"),
    )


def _photo(run: Run, number: int, entry: dict[str, Any], classes: tuple[str, ...]) -> OccludedPhoto:
    base = f"photos/{number:03d}"
    own = run.arrays(base)
    height, width = own["view"].shape[:2]
    (h, w), (down, across) = entry["size"], entry["stride"]
    grid = Grid((height, width), (h, w), (down, across), entry["border"], own["tops"], own["lefts"])
    maps = []
    for i, fill in enumerate(entry["fills"]):
        arrays = run.arrays(f"{base}-fill{i}")
        maps.append(
            OcclusionMap(
                own["view"],
                classes,
                entry["layer"],
                Fill(fill["name"], fill["about"], arrays["fill"]),
                grid,
                arrays["logits"],
                arrays["sums"],
                arrays["maxima"],
                own["clean_logits"],
                own["clean_sums"],
                own["clean_maxima"],
                entry["precision"],
            )
        )
    projections = tuple(
        ProjectionRecord(p["photo"], Unit.parse(p["unit"]), p["activation"], Box(*p["box"]), own[f"projection/{i}"])
        for i, p in enumerate(entry["projections"])
    )
    return OccludedPhoto(
        entry["name"], entry["label"], entry["given"], entry["channel"], tuple(maps), projections, entry["unprojected"]
    )


def _faithfulness(run: Run) -> tuple[Faithfulness, ...]:
    table, arrays = run.json("faithfulness"), run.arrays("faithfulness")
    return tuple(
        Faithfulness(
            entry["photo"],
            entry["class"],
            entry["fill"],
            arrays[f"{number}/shares"],
            *({order: arrays[f"{number}/{curve}/{order}"] for order in entry["areas"][curve]} for curve in CURVES),
        )
        for number, entry in enumerate(table)
    )
