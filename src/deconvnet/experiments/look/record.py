"""The record of a look into a network (``look.json``), read into dataclasses and checked on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deconvnet.errors import RunError
from deconvnet.geometry import Box


class LookRun(Protocol):
    """What a page needs of a run; `deconvnet.runs.Run` is one."""

    path: Any

    @property
    def manifest(self) -> Mapping[str, Any]: ...

    def json(self, name: str) -> Any: ...

    def image(self, name: str) -> np.ndarray: ...


@dataclass(frozen=True)
class UnitPicture:
    """One feature map's strongest unit in a photo.

    ``activation`` is its value; ``box`` its receptive field in pixels of the photo, which it may leave;
    ``projection`` and ``patch`` name pictures of the run, each as large as the box; ``scale`` is the value drawn at
    full strength in the projection (0 if nothing came back, None if unknown).
    """

    unit: str
    activation: float
    box: Box
    projection: str
    patch: str
    scale: float | None


@dataclass(frozen=True)
class Layer:
    """One layer in one photo: its strongest maps, the strongest first, and their receptive field's side in pixels."""

    name: str
    receptive_field: int
    maps: tuple[UnitPicture, ...]


@dataclass(frozen=True)
class Photo:
    """One photo: ``view`` names the picture of the pixels that the network saw."""

    name: str
    source: str
    view: str
    predictions: tuple[tuple[str, float], ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Network:
    """The network's card."""

    name: str
    title: str
    classes: int
    parameters: int
    input_size: tuple[int, int]
    trained_on: str
    accuracy: str
    weights: str


@dataclass(frozen=True)
class Look:
    """The whole record."""

    network: Network
    settings: Mapping[str, Any]
    filters: str | None
    photos: tuple[Photo, ...]
    skipped: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, run: LookRun) -> Look:
        """Read the record of ``run``.

        Raises
        ------
        RunError
            If the record is missing, or lacks something that a page needs.
        """
        content = run.json("look")
        try:
            look = cls(
                _network(content["network"]),
                dict(content["settings"]),
                content.get("filters"),
                tuple(_photo(photo) for photo in content["photos"]),
                tuple((str(entry["name"]), str(entry["why"])) for entry in content.get("skipped", ())),
            )
        except KeyError as error:
            raise RunError(f"the record look.json in {run.path} lacks {error}: make the run again.") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise RunError(f"the record look.json in {run.path} is damaged ({error}): make the run again.") from error
        if not look.photos:
            raise RunError(f"the run {run.path} holds no photo: make it again with at least one.")
        return look


def _network(entry: Mapping[str, Any]) -> Network:
    height, width = entry["input_size"]
    return Network(
        str(entry["name"]),
        str(entry.get("title") or entry["name"]),
        int(entry["classes"]),
        int(entry["parameters"]),
        (int(height), int(width)),
        str(entry.get("trained_on") or ""),
        str(entry.get("accuracy") or ""),
        str(entry.get("weights") or ""),
    )


def _photo(entry: Mapping[str, Any]) -> Photo:
    return Photo(
        str(entry["name"]),
        str(entry.get("source") or ""),
        str(entry["view"]),
        tuple((str(guess["class"]), float(guess["probability"])) for guess in entry["predictions"]),
        tuple(
            Layer(str(layer["layer"]), int(layer["receptive_field"]), tuple(_shown(one) for one in layer["maps"]))
            for layer in entry["layers"]
        ),
    )


def _shown(entry: Mapping[str, Any]) -> UnitPicture:
    top, left, bottom, right = entry["box"]
    scale = entry.get("scale")
    return UnitPicture(
        str(entry["unit"]),
        float(entry["activation"]),
        Box(int(top), int(left), int(bottom), int(right)),
        str(entry["projection"]),
        str(entry["patch"]),
        None if scale is None else float(scale),
    )
