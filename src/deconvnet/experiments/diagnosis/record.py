"""The record of a diagnosis: what is wrong with a network's filters and maps (Sec. 4.1 of Zeiler & Fergus)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.filter_statistics.record import FilterHealth, MapHealth, StrideHealth
from deconvnet.runs.record import Record

KIND = "diagnose"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ShiftHealth:
    """What becomes of a layer's maps when the photo moves by one pixel.

    Attributes
    ----------
    layer : str
    stride : int
        Pixels of the photo between neighbouring cells.
    change : float
        Length of the difference of the maps over the length of the maps, median over photos and directions.
    unexplained : float
        The same after the maps were moved along by 1 / stride cell (cubic interpolation), away from the border: what is
        no mere motion. NaN where the map is too small.
    """

    layer: str
    stride: int
    change: float
    unexplained: float


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict.

    Attributes
    ----------
    topic : str
        ``frequencies``, ``dead maps``, ...
    healthy : bool
    says, remedy : str
        What was found, and what helps (empty where nothing is wrong).
    """

    topic: str
    healthy: bool
    says: str
    remedy: str = ""


@dataclass(frozen=True, eq=False)
class DiagnosisRecord:
    """Everything that was measured on one network.

    Attributes
    ----------
    network, title : str
        Name, and name for headings.
    first : ndarray, (O, C, h, w)
        First-layer filters.
    input_size : int
        Side of the input, in pixels: frequencies are in cycles per pixel of it.
    filters, maps, strided, shifts : tuple
        One record a layer; all but the first are empty without photos.
    second_layer, second_channels, second : str, ndarray of int64 (M,), ndarray of float32 (M, 3, h, w)
        The second convolution, some of its maps, and the projections of each one's strongest activation (Fig. 6 d, e);
        empty without photos.
    consistency : float
        Share of one-pixel shifts under which the most probable class stays; NaN without photos or classes.
    photos, probed : int
        Photos that were looked at for maps, and those of them used for strided layers and shifts.
    data : str
        What the photos are; empty without.
    findings : tuple of Finding
    """

    network: str
    title: str
    first: Annotated[npt.NDArray[np.float32], "_ _ _ _"]
    input_size: int
    filters: tuple[FilterHealth, ...]
    maps: tuple[MapHealth, ...]
    strided: tuple[StrideHealth, ...]
    shifts: tuple[ShiftHealth, ...]
    second_layer: str
    second_channels: Annotated[npt.NDArray[np.int64], "M"]
    second: Annotated[npt.NDArray[np.float32], "M _ _ _"]
    consistency: float
    photos: int
    probed: int
    data: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """The findings that ask for something, or that nothing does."""
        ill = [finding for finding in self.findings if not finding.healthy]
        return " ".join(f"{f.says} {f.remedy}".strip() for f in ill) or "Nothing that was measured is out of order."

    def check(self) -> None:
        """Refuse a network without filters."""
        if not self.filters:
            raise ValueError("filters has no entry")

    def lines(self) -> list[str]:
        """The findings, a line each, under the network's title."""
        about = f"{self.title}{f', {self.data}' if self.data else ''}"
        marks = {True: "well", False: "ill "}
        return [about, *(f"  {marks[f.healthy]}  {f.topic}: {f'{f.says} {f.remedy}'.strip()}" for f in self.findings)]


@dataclass(frozen=True, eq=False)
class DiagnosesRecord(Record):
    """The diagnoses of one or several networks.

    Attributes
    ----------
    networks : tuple of DiagnosisRecord
    """

    kind: ClassVar[str] = KIND

    networks: tuple[DiagnosisRecord, ...]

    def check(self) -> None:
        """Refuse a diagnosis of nothing."""
        if not self.networks:
            raise ValueError("it holds no network")

    def of(self, network: str) -> DiagnosisRecord:
        """The diagnosis of a network; `KeyError` if there is none."""
        return {each.network: each for each in self.networks}[network]

    def table(self) -> str:
        """What was found, network by network."""
        return "\n".join(line for each in self.networks for line in each.lines())
