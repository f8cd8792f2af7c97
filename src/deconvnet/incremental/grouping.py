"""Which covered photos are computed together: those whose windows have like sizes in every layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from deconvnet.incremental.fields import WindowPlacement
from deconvnet.incremental.spans import Spans

_OVERHEAD = 3e7  # multiply-adds whose time one more batch costs, whatever is in it
_READING = 50  # multiply-adds whose time it takes to read one weight from memory
_FULL = 0.85  # a window that takes so much of both sides is taken as the whole map


def extents(spans: Spans, size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Heights and widths of windows, (positions, 2), at least 1."""
    return np.clip(spans[:, 2:] - spans[:, :2], 1, size)


def batches(sizes: Sequence[npt.NDArray[np.int64]], costs: Sequence[float], most: int) -> list[npt.NDArray[np.int64]]:
    """Positions in batches, each of which is computed with the largest of its windows.

    Parameters
    ----------
    sizes : sequence of ndarray, (positions, 2)
        For each layer that counts, the heights and widths of the windows.
    costs : sequence of float
        Multiply-adds of one position of that layer.
    most : int
        Windows in a batch, at most.

    Returns
    -------
    list of ndarray
        Indices of positions. Of all ways to cut one sorted order into batches, the cheapest by count.
    """
    total = len(sizes[0]) if sizes else 0
    if not total:
        return []
    stacked = np.stack(sizes, axis=1)  # positions, layers, 2
    weight = np.asarray(costs, float)
    order = np.lexsort([*(_work(stacked, weight, axis) for axis in (1, 0))])
    stacked = stacked[order]
    changes = np.any(stacked[1:] != stacked[:-1], axis=(1, 2))
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [total]])
    starts = _at_most(starts, most)
    classes = stacked[starts[:-1]]
    counts = np.diff(starts)
    cuts = _cheapest(classes, counts, weight, most)
    return [order[starts[a] : starts[b]] for a, b in cuts]


def _work(stacked: npt.NDArray[np.int64], weight: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    return (stacked[:, :, axis] * np.sqrt(weight)).sum(1)


def _at_most(starts: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    found: list[int] = []
    for a, b in pairwise(starts):
        found.extend(range(a, b, most))
    return np.array([*found, starts[-1]])


def _cheapest(
    classes: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], weight: npt.NDArray[np.float64], most: int
) -> list[tuple[int, int]]:
    """Cut the classes, in order, into batches of the least cost altogether."""
    best = np.full(len(classes) + 1, np.inf)
    best[0] = 0
    came = np.zeros(len(classes) + 1, int)
    overhead = _OVERHEAD + _READING * float(weight.sum())
    for last in range(1, len(classes) + 1):
        largest = np.zeros(classes.shape[1:], int)
        count = 0
        for first in range(last - 1, -1, -1):
            count += counts[first]
            if count > most:
                break
            np.maximum(largest, classes[first], out=largest)
            cost = best[first] + overhead + count * float((largest.prod(1) * weight).sum())
            if cost < best[last]:
                best[last], came[last] = cost, first
    cuts: list[tuple[int, int]] = []
    end = len(classes)
    while end:
        cuts.append((int(came[end]), end))
        end = int(came[end])
    return cuts[::-1]


def place_of(spans: Spans, size: tuple[int, int], device: torch.device) -> WindowPlacement:
    """One height and width for all windows, the largest; windows that would leave the map are moved inside."""
    height, width = (int(v) for v in extents(spans, size).max(0))
    if height >= _FULL * size[0] and width >= _FULL * size[1]:
        height, width = size
    top = np.minimum(spans[:, 0], size[0] - height)
    left = np.minimum(spans[:, 1], size[1] - width)
    return WindowPlacement(torch.as_tensor(top, device=device), torch.as_tensor(left, device=device), height, width)
