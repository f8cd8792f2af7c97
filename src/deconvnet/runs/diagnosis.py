"""The record of a diagnosis: what is wrong with a network's filters and maps (Sec. 4.1 of Zeiler & Fergus)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvnet.runs.directory import Run
from deconvnet.runs.records import reading

KIND = "diagnose"
SATURATED = 0.99
"""A map is saturated where it is active at this share of all positions of all photos, or more."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FilterHealth:
    """The filters of one convolutional layer.

    Attributes
    ----------
    layer : str
    shape : (int, int, int, int)
        Filters, input channels, height and width.
    stride : int
    rms : ndarray of float64, (O,)
        Root mean square of each filter's weights; of the first layer, as on inputs in the paper's range (pixel values).
    rms_is_paper : bool
        Whether ``rms`` may be compared with the paper's radius: for the first layer alone.
    autocorrelation : ndarray of float64, (O,)
        Of neighbours in space; NaN for kernels below 3 x 3.
    noise_limit : float
        What white noise exceeds in about one case of forty.
    duplicates : tuple of (int, int, float)
        Pairs of channels and their cosine, near 1 or near -1.
    bands : ndarray of float64, (O, 3)
        Shares of power below 1/8, from 1/8 to 1/4, and above 1/4 cycle per cell of the layer's input; NaN for kernels
        below 5 x 5.
    peak : ndarray of float64, (O,)
        The strongest frequency's radius in cycles per cell.
    concentration : ndarray of float64, (O,)
        Share of power near the strongest frequency, over that of a grating that fills the kernel.
    radial : ndarray of float64, (16,)
        Mean power over 16 rings of frequency up to 1/2 cycle per cell, over that of white noise.
    start : mapping
        What the card knows of the start: ``start`` (autocorrelation), ``cosine_to_start``; empty if nothing.
    """

    layer: str
    shape: tuple[int, int, int, int]
    stride: int
    rms: Floats
    rms_is_paper: bool
    autocorrelation: Floats
    noise_limit: float
    duplicates: tuple[tuple[int, int, float], ...]
    bands: Floats
    peak: Floats
    concentration: Floats
    radial: Floats
    start: Mapping[str, float]

    @property
    def noisy(self) -> npt.NDArray[np.int64]:
        """Channels whose autocorrelation is no more than white noise's."""
        with np.errstate(invalid="ignore"):
            return np.flatnonzero(self.autocorrelation <= self.noise_limit)

    @property
    def twins(self) -> int:
        """Pairs that point the same way."""
        return sum(cosine > 0 for _, _, cosine in self.duplicates)

    @property
    def dominated(self) -> npt.NDArray[np.int64]:
        """Channels at least nine tenths as concentrated in frequency as a grating that fills the kernel."""
        with np.errstate(invalid="ignore"):
            return np.flatnonzero(self.concentration >= 0.9)

    @property
    def faint(self) -> npt.NDArray[np.int64]:
        """Channels whose RMS is less than a quarter of the layer's median."""
        return np.flatnonzero(self.rms < np.median(self.rms) / 4)

    @property
    def mean_bands(self) -> Floats:
        """Shares of the low, middle and high band, mean over filters: (3,)."""
        return self.bands.mean(0)

    def over(self, radius: float) -> npt.NDArray[np.int64]:
        """Channels whose RMS exceeds ``radius``."""
        return np.flatnonzero(self.rms > radius)


@dataclass(frozen=True, eq=False)
class MapHealth:
    """How often the maps of one layer answer.

    Attributes
    ----------
    layer : str
        The convolution, or the ReLU after a sum of branches.
    at : str
        The module whose output was looked at.
    rectified : bool
        Whether that is a ReLU's output (or nothing but functional activations follow), so that a map can be dead.
    photos : ndarray of float64, (C,)
        Share of photos in which the map is active somewhere.
    positions : ndarray of float64, (C,)
        Share of all positions of all photos at which it is active.
    lowest, highest : ndarray of float64, (C,)
        Extremes of the map's values.
    """

    layer: str
    at: str
    rectified: bool
    photos: Floats
    positions: Floats
    lowest: Floats
    highest: Floats

    @property
    def dead(self) -> npt.NDArray[np.int64]:
        """Maps that no photo activates; where nothing is rectified, maps that never change."""
        if self.rectified:
            return np.flatnonzero(self.photos == 0)
        spread = self.highest - self.lowest
        return np.flatnonzero(spread <= 1e-6 * max(float(spread.max()), 1e-30))

    @property
    def saturated(self) -> npt.NDArray[np.int64]:
        """Maps that are active at nearly every position of every photo."""
        return np.flatnonzero(self.positions >= SATURATED) if self.rectified else np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class StrideHealth:
    """A layer that keeps every s-th position.

    Attributes
    ----------
    layer, kind : str
        Its name, and ``conv``, ``max pool``, ``average pool`` or ``blur``.
    stride : int
    share : float
        Energy of its response at stride 1 beyond the Nyquist frequency of the stride, over all of it.
    by_map : ndarray of float64, (C,)
        The same for each map; NaN where it never varies.
    """

    layer: str
    kind: str
    stride: int
    share: float
    by_map: Floats


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
