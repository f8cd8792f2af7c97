"""How a map's maxima spread over all photos: histogram, a random photo of each bin, sums by class. No torch.

The strongest nine photos are a selection; this is what stands beside them. Everything is made of counts, minima and
sums of integers, so that neither the order of photos nor their division into shards changes a bit of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from deconvnet.errors import OptionError

LOWEST, HIGHEST = -16, 16  # powers of two between which maxima are told apart
STEPS = 4  # bins between a power of two and the next
BINS = (HIGHEST - LOWEST) * STEPS + 1
"""Number of bins. Bin 0 is "not active": at or below zero. The others divide each power of two from 2^-16 to 2^16 into
four equal parts; the first of them also takes everything smaller, the last everything larger."""

_GOLDEN = 0x9E3779B97F4A7C15
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
WHOLE, PART = 2**16, 2**40  # fixed-point units of `LayerSpread.class_sums`: v = (whole + part / 2^40) / 2^16
LARGEST = 2.0**26  # larger maxima count as this in the sums by class


class QuantileSamples(NamedTuple):
    """A photo drawn at random from the histogram's bin that holds a quantile of the map's maxima."""

    quantile: float
    photo: int
    value: float


@dataclass(frozen=True, eq=False)
class LayerSpread:
    """How the maxima of a layer's maps spread over the photos.

    Attributes
    ----------
    histogram : ndarray, int64, (C, BINS)
        Number of photos whose maximum lies in each bin; see `edges`.
    sample : ndarray, int64, (C, BINS)
        For each bin a photo drawn evenly from all that fell into it: the one whose `order` is least; -1 in empty bins.
    sample_values : ndarray, float32, (C, BINS)
        That photo's maximum; 0 in empty bins.
    class_sums : ndarray, int64, (K, C, 2)
        Sum of the positive maxima over the photos of each class, in fixed point: wholes and parts of 2^-16.
    class_counts : ndarray, int64, (K,)
        Photos of each class; K is 0 for photos without classes.
    """

    histogram: Annotated[npt.NDArray[np.int64], "C 129"]
    sample: Annotated[npt.NDArray[np.int64], "C 129"]
    sample_values: Annotated[npt.NDArray[np.float32], "C 129"]
    class_sums: Annotated[npt.NDArray[np.int64], "K C 2"]
    class_counts: Annotated[npt.NDArray[np.int64], "K"]

    @classmethod
    def empty(cls, channels: int, classes: int) -> LayerSpread:
        """The record before any photo was seen."""
        return cls(
            np.zeros((channels, BINS), np.int64),
            np.full((channels, BINS), -1, np.int64),
            np.zeros((channels, BINS), np.float32),
            np.zeros((classes, channels, 2), np.int64),
            np.zeros(classes, np.int64),
        )

    def at_quantiles(
        self, channel: int, quantiles: Sequence[float] = QUANTILES, *, active: bool = False
    ) -> list[QuantileSamples]:
        """Photos that show what the map does to ordinary photos, from the weakest to the strongest.

        Parameters
        ----------
        channel : int
        quantiles : sequence of float
            0 to 1. The q-quantile of n maxima is the one at place ``floor(q * n)`` in ascending order (the last for 1).
        active : bool
            Quantiles of those photos alone that activate the map.

        Returns
        -------
        list of QuantileSamples
            For each quantile, a photo drawn at random from the bin in which it falls: its value is within a quarter of
            the quantile's (inside the range of `edges`). Two quantiles in one bin give the same photo. Empty for a map
            that no photo activates, if ``active``.

        Raises
        ------
        OptionError
            If a quantile lies outside 0 to 1.
        """
        counts = self.histogram[channel].copy()
        if active:
            counts[0] = 0
        reached = np.cumsum(counts)
        if not reached[-1]:
            return []
        found = []
        for q in quantiles:
            if not 0 <= q <= 1:
                raise OptionError(f"a quantile lies between 0 and 1, not at {q}.")
            place = min(int(q * reached[-1]), int(reached[-1]) - 1)
            at = int(np.searchsorted(reached, place, side="right"))
            found.append(QuantileSamples(q, int(self.sample[channel, at]), float(self.sample_values[channel, at])))
        return found

    def class_means(self, channel: int) -> npt.NDArray[np.float64]:
        """Mean of the map's maximum (0 where not active) by class: float64, (K,); NaN for a class without photos."""
        whole, part = self.class_sums[:, channel, 0], self.class_sums[:, channel, 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (whole + part / PART) / WHOLE / self.class_counts

    def strongest_classes(self, channel: int, count: int = 3) -> list[tuple[int, float]]:
        """Classes with the largest mean maximum, and these means, largest first (ties: the lower class).

        Classes in which the map is never active are left out.
        """
        means = np.nan_to_num(self.class_means(channel), nan=0.0)
        order = np.argsort(-means, kind="stable")[:count]
        return [(int(c), float(means[c])) for c in order if means[c] > 0]


def bins(maxima: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The bin of each maximum: float32, any shape, to int64, 0 to ``BINS - 1``."""
    bits = np.ascontiguousarray(maxima, np.float32).view(np.int32)
    quarter = (bits >> 21).astype(np.int64)  # sign, exponent and the two highest bits of the mantissa
    place = np.clip(quarter - ((127 + LOWEST) * STEPS - 1), 1, BINS - 1)
    return np.where(maxima > 0, place, 0)


def edges() -> npt.NDArray[np.float64]:
    """Lower edges of bins 1 to ``BINS - 1``, and the upper edge of the last: float64, (BINS,), ascending."""
    power, step = np.divmod(np.arange(BINS), STEPS)
    return np.ldexp(1 + step / STEPS, power + LOWEST)


def order(photos: npt.NDArray[np.int64], channels: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """A random order of photos for each channel, which follows from the two numbers and the seed alone.

    Parameters
    ----------
    photos, channels : ndarray, int64
        Photo indices below 2^32 and channels; they are broadcast together.
    seed : int

    Returns
    -------
    ndarray, uint64
        Different for different photos of a channel: the upper half is splitmix64's mixing of seed, photo and channel
        (Steele, Lea & Flood 2014), the lower half is the photo's index.
    """
    start = (seed * 0xD1342543DE82EF95 + _GOLDEN) % 2**64
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64; numpy warns of it in single numbers
        mixed = _mix(photos.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(start))
        mixed = _mix(mixed + _mix((channels.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)))
    return (mixed & np.uint64(0xFFFFFFFF00000000)) | photos.astype(np.uint64)


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def merge_spreads(a: LayerSpread, b: LayerSpread, seed: int) -> LayerSpread:
    """What one pass over the photos of both would have found, exactly; both of one layer, seed and set of classes."""
    last = np.iinfo(np.uint64).max
    channels = np.arange(len(a.sample))[:, None]
    left = np.where(a.sample >= 0, order(np.maximum(a.sample, 0), channels, seed), last)
    right = np.where(b.sample >= 0, order(np.maximum(b.sample, 0), channels, seed), last)
    keep = left <= right
    return LayerSpread(
        a.histogram + b.histogram,
        np.where(keep, a.sample, b.sample),
        np.where(keep, a.sample_values, b.sample_values),
        a.class_sums + b.class_sums,
        a.class_counts + b.class_counts,
    )
