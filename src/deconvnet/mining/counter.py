"""Counting, while photos go by, how the maxima of all maps spread: numpy alone, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deconvnet.mining.exact_sums import LIMBS, exact_sums
from deconvnet.mining.histogram import BINS, LARGEST, PART, WHOLE, LayerSpread, bins, order
from deconvnet.mining.record import LayerTop

_NEVER = np.iinfo(np.uint64).max


class SpreadCounter:
    """What is counted of several layers at once, in arrays over all their maps: see `LayerSpread` and `LayerTop`.

    Parameters
    ----------
    channels : mapping of str to int
        The layers and their numbers of maps, in order.
    classes, seed : int
        Number of classes (0: none), and the seed of the random sample.
    """

    def __init__(self, channels: Mapping[str, int], classes: int, seed: int) -> None:
        self._channels = dict(channels)
        self._seed = seed
        maps = sum(channels.values())
        self._numbers = np.concatenate([np.arange(count) for count in channels.values()])
        self._first_bins = np.arange(maps, dtype=np.int64) * BINS
        self._histogram = np.zeros(maps * BINS, np.int64)
        self._orders = np.full(maps * BINS, _NEVER, np.uint64)
        self._values = np.zeros(maps * BINS, np.float32)
        self._sums = np.zeros((maps, LIMBS), np.int64)
        self._class_sums = np.zeros((classes, 2, maps), np.int64)
        self._class_counts = np.zeros(classes, np.int64)

    def add(
        self, photos: npt.NDArray[np.int64], maxima: npt.NDArray[np.float32], labels: npt.NDArray[np.int64] | None
    ) -> None:
        """Count photos: indices (N,), maxima (N, all maps), and classes (N,), -1 for none."""
        place = (bins(maxima) + self._first_bins).ravel()
        np.add.at(self._histogram, place, 1)
        self._sums += exact_sums(maxima)
        orders = order(photos[:, None], self._numbers, self._seed).ravel()
        least = np.flatnonzero(orders < self._orders[place])  # soon few
        if least.size:
            place, orders = place[least], orders[least]
            np.minimum.at(self._orders, place, orders)
            stays = self._orders[place] == orders
            self._values[place[stays]] = maxima.ravel()[least[stays]]
        if labels is not None and len(self._class_counts):
            scaled = np.clip(maxima, 0, LARGEST).astype(np.float64) * WHOLE
            whole = np.floor(scaled)
            part = ((scaled - whole) * PART).astype(np.int64)
            whole = whole.astype(np.int64)
            for row, label in enumerate(labels.tolist()):
                if label >= 0:
                    self._class_sums[label, 0] += whole[row]
                    self._class_sums[label, 1] += part[row]
                    self._class_counts[label] += 1

    def take_up(self, tops: Mapping[str, LayerTop]) -> None:
        """Go on from records that have a spread."""
        spreads = [top.spread for layer in self._channels if (top := tops[layer]).spread is not None]
        sample = np.concatenate([spread.sample for spread in spreads])
        orders = order(np.maximum(sample, 0), self._numbers[:, None], self._seed)
        self._orders = np.where(sample >= 0, orders, np.uint64(_NEVER)).ravel()
        self._histogram = np.concatenate([spread.histogram for spread in spreads]).ravel()
        self._values = np.concatenate([spread.sample_values for spread in spreads]).ravel()
        self._sums = np.concatenate([tops[layer].sums for layer in self._channels])
        class_sums = np.concatenate([spread.class_sums for spread in spreads], axis=1)
        self._class_sums = np.ascontiguousarray(class_sums.transpose(0, 2, 1))
        self._class_counts = spreads[0].class_counts.copy()

    def result(self) -> dict[str, dict[str, Any]]:
        """What was counted, by layer: fields ``active``, ``sums`` and ``spread`` of `LayerTop`; copies."""
        seen = self._orders != _NEVER
        sample = np.where(seen, (self._orders & np.uint64(0xFFFFFFFF)).astype(np.int64), -1).reshape(-1, BINS)
        found, first = {}, 0
        for layer, count in self._channels.items():
            maps = slice(first, first + count)
            histogram = self._histogram.reshape(-1, BINS)[maps].copy()
            spread = LayerSpread(
                histogram,
                sample[maps].copy(),
                self._values.reshape(-1, BINS)[maps].copy(),
                np.ascontiguousarray(self._class_sums[:, :, maps].transpose(0, 2, 1)),
                self._class_counts.copy(),
            )
            active = histogram[:, 1:].sum(axis=1)
            found[layer] = {"active": active, "sums": self._sums[maps].copy(), "spread": spread}
            first += count
        return found
