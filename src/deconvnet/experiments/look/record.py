"""The record of a look into a network: what it says of each photo, and its strongest units' pictures. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from deconvnet.geometry import Box
from deconvnet.runs.record import Record

KIND = "look"


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
class LayerPictures:
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
    layers: tuple[LayerPictures, ...]


@dataclass(frozen=True)
class NetworkFacts:
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
class Look(Record):
    """The whole record.

    Attributes
    ----------
    network : NetworkFacts
    settings : mapping
        What was asked for: rule, unpooling and the like.
    filters : str or None
        The picture of the first layer's filters; None where it does not read pixels.
    photos : tuple of Photo
    skipped : tuple of (str, str)
        Photos that could not be read, and why.
    """

    kind: ClassVar[str] = KIND

    network: NetworkFacts
    settings: Mapping[str, Any]
    filters: str | None
    photos: tuple[Photo, ...]
    skipped: tuple[tuple[str, str], ...]

    def check(self) -> None:
        """Refuse a look at nothing."""
        if not self.photos:
            raise ValueError("it holds no photo")

    def table(self) -> str:
        """For each photo what the network takes it for, and each layer's strongest unit."""
        lines = [f"{self.network.title}, {self.network.classes} classes, {self.network.parameters:,} parameters"]
        for photo in self.photos:
            guesses = ", ".join(f"{name} {probability:.1%}" for name, probability in photo.predictions)
            lines.append(f"{photo.name}: {guesses}")
            for layer in photo.layers:
                units = ", ".join(f"{shown.unit} {shown.activation:.4g}" for shown in layer.maps)
                lines.append(f"  {layer.name} (sees {layer.receptive_field} px): {units or 'no map is active'}")
        return "\n".join([*lines, *(f"{name} was left out: {why}" for name, why in self.skipped)])
