"""Power spectra of filters and maps, in cycles per pixel of the map that they lie on. Float64 throughout.

Bands of a filter's spectrum, by the radius of the frequency: **low** below 1/8 cycle/px, **middle** from 1/8 to 1/4,
**high** from 1/4. The borders are the Nyquist frequencies of strides 4 and 2, AlexNet's first layer and ZFNet's: a
stride of 4 carries the low band, a stride of 2 the middle one too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BANDS = (1 / 8, 1 / 4)
"""Borders between low, middle and high frequencies, in cycles per pixel."""
SIDE = 64
"""Length of the zero-padded transform of a filter: frequencies come in steps of 1/64 cycle/px."""
RINGS = 16
"""Rings of frequency in `radial_power`."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FilterSpectra:
    """Where the filters of a layer have their power.

    Attributes
    ----------
    bands : ndarray of float64, (O, 3)
        Shares of each filter's power in the low, middle and high band; zero for a filter of zeros.
    peak : ndarray of float64, (O,)
        Radius of each filter's strongest frequency, in cycles per pixel (0 is a plain blob).
    concentration : ndarray of float64, (O,)
        Share of the power that lies no further than half a cycle per kernel side from the strongest frequency, or from
        its mirror image.
    """

    bands: Floats
    peak: Floats
    concentration: Floats


def power(filters: npt.NDArray[np.floating], side: int = SIDE) -> Floats:
    """Power spectrum of filters, summed over their input channels.

    Parameters
    ----------
    filters : ndarray, (O, C, h, w)
    side : int
        Length of the zero-padded transform, at least h and w.

    Returns
    -------
    ndarray of float64, (O, side, side)
        ``|DFT|**2 / side**2`` in numpy's order of frequencies: sums to the filter's sum of squares (Parseval).
    """
    count, _, height, width = filters.shape
    lags = (2 * height - 1, 2 * width - 1)  # so long that the autocorrelation does not wrap round
    small = (np.abs(np.fft.fft2(filters.astype(np.float64), lags)) ** 2).sum(1)
    autocorrelation = np.fft.ifft2(small).real  # of all channels together: much fewer numbers than their spectra
    rows, columns = (np.rint(np.fft.fftfreq(n) * n).astype(int) for n in lags)
    folded = np.zeros((count, side, side))
    place = (slice(None), rows[:, None] % side, columns[None, :] % side)
    np.add.at(folded, place, autocorrelation)  # type: ignore[arg-type]
    return np.maximum(np.fft.fft2(folded).real, 0.0) / side**2  # Wiener and Khinchin: its transform is the power


def filter_spectra(filters: npt.NDArray[np.floating]) -> FilterSpectra:
    """Shares of the bands, strongest frequency and concentration of each filter.

    Parameters
    ----------
    filters : ndarray, (O, C, h, w)
    """
    side = max(SIDE, *filters.shape[2:])
    spectrum = power(filters, side)
    rows, columns = _frequencies(side, side)
    radius = np.hypot(rows, columns)
    total = spectrum.sum((1, 2))
    safe = np.where(total > 0, total, 1.0)
    inside = [radius < BANDS[0], (radius >= BANDS[0]) & (radius < BANDS[1]), radius >= BANDS[1]]
    bands = np.stack([(spectrum * mask).sum((1, 2)) / safe for mask in inside], axis=1)
    strongest = spectrum.reshape(len(spectrum), -1).argmax(1)
    peak_rows, peak_columns = rows.ravel()[strongest // side], columns.ravel()[strongest % side]
    reach = 0.5 / max(filters.shape[2:])
    concentration = np.empty(len(spectrum))
    for i, (row, column) in enumerate(zip(peak_rows, peak_columns, strict=True)):
        near = np.minimum(_distance(rows - row, columns - column), _distance(rows + row, columns + column)) <= reach
        concentration[i] = spectrum[i][near].sum() / safe[i]
    return FilterSpectra(bands, np.hypot(peak_rows, peak_columns), concentration)


def grating_concentration(shape: tuple[int, ...]) -> float:
    """Concentration of a grating of 1/4 cycle per pixel over a whole kernel of ``shape`` (O, C, h, w)."""
    width = max(shape[2:])
    angle = np.pi / 2 * np.arange(width)
    gratings = np.stack([np.tile(np.cos(angle + phase), (width, 1)) for phase in (0, np.pi / 4)])
    return float(filter_spectra(gratings[:, None]).concentration.mean())


def radial_power(filters: npt.NDArray[np.floating], bins: int = RINGS) -> Floats:
    """Mean power of a layer's filters over rings of frequency, every filter brought to the same energy first.

    Parameters
    ----------
    filters : ndarray, (O, C, h, w)
    bins : int
        Rings between 0 and 1/2 cycle per pixel; the corners beyond are left out.

    Returns
    -------
    ndarray of float64, (bins,)
        Mean power at a frequency of the ring, over the power of white noise: 1 everywhere for white noise.
    """
    side = max(SIDE, *filters.shape[2:])
    spectrum = power(filters, side)
    total = spectrum.sum((1, 2), keepdims=True)
    mean = (spectrum / np.where(total > 0, total, 1.0)).mean(0) * side**2
    rows, columns = _frequencies(side, side)
    ring = np.floor(np.hypot(rows, columns) * 2 * bins).astype(int)
    return np.array([mean[ring == i].mean() for i in range(bins)])


def beyond_nyquist(maps: npt.NDArray[np.floating], strides: tuple[int, int]) -> tuple[Floats, Floats]:
    """Energy of maps beyond the Nyquist frequency of a coarser grid.

    Each map's mean is taken off and the rest faded out towards the border by a Hann window, so that neither the mean
    nor the jump between opposite borders counts.

    Parameters
    ----------
    maps : ndarray, (N, C, H, W)
        Responses at stride 1.
    strides : (int, int)
        Of rows and columns: a grid of every s-th cell carries up to 1 / (2 s) cycles per cell along its axis.

    Returns
    -------
    beyond, total : ndarray of float64, (C,)
        Energies, summed over the N photos.
    """
    height, width = maps.shape[2:]
    window = np.outer(_hann(height), _hann(width))
    values = maps.astype(np.float64)
    values = (values - values.mean((2, 3), keepdims=True)) * window
    values -= values.sum((2, 3), keepdims=True) / window.sum() * window  # the window leaks some mean back in
    spectrum = (np.abs(np.fft.rfft2(values)) ** 2).sum(0)
    columns = np.fft.rfftfreq(width)[None, :]
    rows = np.abs(np.fft.fftfreq(height))[:, None]
    twice = np.full(columns.shape[1], 2.0)  # rfft2 holds each pair of mirror images once
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    spectrum *= twice
    far = (rows > 0.5 / strides[0] + 1e-9) | (columns > 0.5 / strides[1] + 1e-9)
    return (spectrum * far).sum((1, 2)), spectrum.sum((1, 2))


def _frequencies(height: int, width: int) -> tuple[Floats, Floats]:
    """Frequencies of rows (height, 1) and of columns (1, width), -1/2 to 1/2 cycle per pixel."""
    rows, columns = (np.asarray(np.fft.fftfreq(length), np.float64) for length in (height, width))
    return rows[:, None], columns[None, :]


def _distance(rows: Floats, columns: Floats) -> Floats:
    """Distance of frequencies on the torus on which a sampled signal's spectrum lies."""
    return np.hypot(rows - np.rint(rows), columns - np.rint(columns))


def _hann(length: int) -> Floats:
    return np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
