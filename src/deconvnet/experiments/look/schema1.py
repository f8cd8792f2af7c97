"""A look as runs of schema 1 hold it: ``look.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deconvnet.errors import RunError
from deconvnet.experiments.look.record import LayerPictures, Look, NetworkFacts, Photo, UnitPicture
from deconvnet.geometry import Box
from deconvnet.runs.directory import Run


def read(run: Run) -> Look:
    """``look.json``; a record without what a page needs is refused with the name of that."""
    content = run.json("look")
    try:
        return Look(
            _network(content["network"]),
            dict(content["settings"]),
            content.get("filters"),
            tuple(_photo(photo) for photo in content["photos"]),
            tuple((entry["name"], entry["why"]) for entry in content.get("skipped", ())),
        )
    except KeyError as error:
        raise RunError(f"the record look.json in {run.path} lacks {error}: make the run again.") from error


def _network(entry: Mapping[str, Any]) -> NetworkFacts:
    height, width = entry["input_size"]
    return NetworkFacts(
        entry["name"],
        entry.get("title") or entry["name"],
        entry["classes"],
        entry["parameters"],
        (height, width),
        entry.get("trained_on") or "",
        entry.get("accuracy") or "",
        entry.get("weights") or "",
    )


def _photo(entry: Mapping[str, Any]) -> Photo:
    return Photo(
        entry["name"],
        entry.get("source") or "",
        entry["view"],
        tuple((guess["class"], guess["probability"]) for guess in entry["predictions"]),
        tuple(
            LayerPictures(layer["layer"], layer["receptive_field"], tuple(_shown(one) for one in layer["maps"]))
            for layer in entry["layers"]
        ),
    )


def _shown(entry: Mapping[str, Any]) -> UnitPicture:
    top, left, bottom, right = entry["box"]
    return UnitPicture(
        entry["unit"],
        entry["activation"],
        Box(top, left, bottom, right),
        entry["projection"],
        entry["patch"],
        entry.get("scale"),
    )
