"""What is measured on filters and maps, as plain records. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


SATURATED = 0.99
"""A map is saturated where it is active at this share of all positions of all photos, or more."""


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
    rms: Annotated[Floats, "O"]
    rms_is_paper: bool
    autocorrelation: Annotated[Floats, "O"]
    noise_limit: float
    duplicates: tuple[tuple[int, int, float], ...]
    bands: Annotated[Floats, "O 3"]
    peak: Annotated[Floats, "O"]
    concentration: Annotated[Floats, "O"]
    radial: Annotated[Floats, "16"]
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
    photos: Annotated[Floats, "C"]
    positions: Annotated[Floats, "C"]
    lowest: Annotated[Floats, "C"]
    highest: Annotated[Floats, "C"]

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
    by_map: Annotated[Floats, "C"]
