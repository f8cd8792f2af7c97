"""Sanity checks as runs of schema 1 hold them."""

from __future__ import annotations

from deconvnet.experiments.sanity.record import SanityRecord
from deconvnet.runs.directory import Run
from deconvnet.runs.units import Unit


def read(run: Run) -> SanityRecord:
    """``sanity.json``, ``similarities.safetensors``, ``pictures.safetensors`` and ``view-N.png``."""
    content, found, drawn = run.json("sanity"), run.arrays("similarities"), run.arrays("pictures")
    rules, photos = list(content["means"]), tuple(content["photos"])
    stages = tuple(tuple(stage) for stage in content["stages"])
    views = len(list(run.path.glob("view-*.png")))
    return SanityRecord(
        content["title"],
        content["layer"],
        stages,
        tuple(Unit.parse(unit) for unit in content["units"]),
        photos,
        {rule: {test: found[f"{rule}/{test}"] for test in content["means"][rule]} for rule in rules},
        {rule: tuple(drawn[f"{rule}/{i}"] for i in range(len(stages) + 1)) for rule in rules},
        tuple(run.image(f"view-{number}") for number in range(views)),
    )
