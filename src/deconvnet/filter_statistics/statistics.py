"""Sizes, duplicates and noise of a layer's filters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from deconvnet.training.initialization import spatial_autocorrelation

RADIUS = 0.1
"""The RMS to which Zeiler & Fergus renormalise filters that exceed it (Sec. 3)."""
DUPLICATE = 0.95
"""Filters are duplicates where the cosine between them is at least this; opposites, at most minus this."""
_NULL = 256  # filters of white noise that stand for chance

Floats = npt.NDArray[np.float64]


def filter_rms(filters: npt.NDArray[np.floating]) -> Floats:
    """Root mean square of each filter's weights: (O, C, h, w) -> (O,)."""
    return np.sqrt((filters.astype(np.float64) ** 2).mean((1, 2, 3)))


def in_pixel_units(filters: npt.NDArray[np.floating], scale: float | tuple[float, ...]) -> npt.NDArray[np.floating]:
    """First-layer filters as they would be on inputs of the paper's range, pixel values less their mean.

    A filter w on inputs that were divided by ``scale`` answers as w / scale does on undivided ones.
    """
    return filters / np.reshape(np.asarray(scale, np.float64), (1, -1, 1, 1))


def duplicates(filters: npt.NDArray[np.floating], limit: float = DUPLICATE) -> list[tuple[int, int, float]]:
    """Pairs of filters that point the same way, or opposite ways.

    Parameters
    ----------
    filters : ndarray, (O, C, h, w)
    limit : float
        Least magnitude of the cosine, 0 to 1.

    Returns
    -------
    list of (int, int, float)
        Two channels, the lower first, and their cosine; the closest pairs first. Filters of zeros are in no pair.
    """
    flat = filters.reshape(len(filters), -1).astype(np.float64)
    length = np.linalg.norm(flat, axis=1)
    unit = flat / np.where(length > 0, length, 1.0)[:, None]
    cosines = np.triu(unit @ unit.T, 1)
    first, second = np.nonzero(np.abs(cosines) >= limit)
    pairs = [(int(i), int(j), float(cosines[i, j])) for i, j in zip(first, second, strict=True)]
    return sorted(pairs, key=lambda pair: (-abs(pair[2]), pair[:2]))


def autocorrelation(filters: npt.NDArray[np.floating]) -> Floats:
    """Lag-1 autocorrelation in space of each filter, (O,); NaN where the kernel is not square or smaller than 3."""
    height, width = filters.shape[2:]
    if height != width or height < 3:
        return np.full(len(filters), np.nan)
    return spatial_autocorrelation(torch.from_numpy(filters.astype(np.float64))).numpy()


def noise_limit(shape: tuple[int, ...]) -> float:
    """Autocorrelation that a filter of white noise exceeds in about one case of forty.

    Parameters
    ----------
    shape : (O, C, k, k)

    Returns
    -------
    float
        Mean plus two deviations over 256 filters of normal noise (seed 0); NaN where the kernel is smaller than 3 or
        not square.
    """
    noise = np.random.default_rng(0).standard_normal((_NULL, *shape[1:]))
    values = autocorrelation(noise)
    return float(values.mean() + 2 * values.std())
