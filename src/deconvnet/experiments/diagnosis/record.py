"""The record of a diagnosis: what is wrong with a network's filters and maps (Sec. 4.1 of Zeiler & Fergus)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvnet.filter_statistics.record import FilterHealth, MapHealth, StrideHealth
from deconvnet.runs.directory import Run
from deconvnet.runs.records import reading

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
    first: npt.NDArray[np.float32]
    input_size: int
    filters: tuple[FilterHealth, ...]
    maps: tuple[MapHealth, ...]
    strided: tuple[StrideHealth, ...]
    shifts: tuple[ShiftHealth, ...]
    second_layer: str
    second_channels: npt.NDArray[np.int64]
    second: npt.NDArray[np.float32]
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


def write_diagnosis(run: Run, name: str, record: DiagnosisRecord) -> None:
    """Store a diagnosis as ``NAME.json`` and ``NAME.safetensors``."""
    arrays: dict[str, np.ndarray] = {"first": record.first}
    arrays |= {"second": record.second, "second_channels": record.second_channels}
    table: dict[str, Any] = {"network": record.network, "title": record.title, "input_size": record.input_size}
    table["second_layer"] = record.second_layer
    table |= {"photos": record.photos, "probed": record.probed, "data": record.data}
    table |= {"consistency": _number(record.consistency), "verdict": record.verdict}
    table["findings"] = [vars(finding) for finding in record.findings]
    for kind in ("filters", "maps", "strided", "shifts"):
        rows = []
        for number, entry in enumerate(getattr(record, kind)):
            row: dict[str, Any] = {}
            for key, value in vars(entry).items():
                if isinstance(value, np.ndarray):
                    arrays[f"{kind}.{number}.{key}"] = value
                else:
                    row[key] = _number(value) if isinstance(value, float) else value
            rows.append(row)
        table[kind] = rows
    run.save_arrays(name, arrays)
    run.save_json(name, table)


def read_diagnosis(run: Run, name: str) -> DiagnosisRecord:
    """The diagnosis stored under ``name``.

    Raises
    ------
    RunError
        If it is missing or damaged.
    """
    arrays, table = run.arrays(name), run.json(name)

    def entries(kind: str, make: type) -> tuple[Any, ...]:
        made = []
        for number, row in enumerate(table[kind]):
            start = f"{kind}.{number}."
            own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
            made.append(make(**{key: _read(key, value) for key, value in row.items()}, **own))
        return tuple(made)

    with reading(run):
        return DiagnosisRecord(
            table["network"],
            table["title"],
            arrays["first"],
            table["input_size"],
            entries("filters", FilterHealth),
            entries("maps", MapHealth),
            entries("strided", StrideHealth),
            entries("shifts", ShiftHealth),
            table["second_layer"],
            arrays["second_channels"],
            arrays["second"],
            _read("consistency", table["consistency"]),
            table["photos"],
            table["probed"],
            table["data"],
            tuple(Finding(**row) for row in table["findings"]),
        )


_FLOATS = ("share", "change", "unexplained", "noise_limit", "consistency")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _read(key: str, value: Any) -> Any:
    if key in _FLOATS:
        return float("nan") if value is None else float(value)
    if key == "duplicates":
        return tuple((int(i), int(j), float(c)) for i, j, c in value)
    return tuple(value) if key == "shape" else value
