"""Which positions of each layer a covered window changes: integer arithmetic on intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int64]  # (positions, 4): top, left, bottom, right; the last two are exclusive


def slide(
    spans: Spans, kernel: tuple[int, int], stride: tuple[int, int], before: tuple[int, int], size: tuple[int, int]
) -> Spans:
    """Outputs of a sliding window of ``kernel`` extent that see a changed position.

    Parameters
    ----------
    spans : ndarray
        Changed positions of the input.
    kernel, stride : (int, int)
        Extent (dilation included) and step, rows and columns.
    before : (int, int)
        Padding above and on the left.
    size : (int, int)
        Of the output.
    """
    found = np.empty_like(spans)
    for axis in (0, 1):
        first, last = spans[:, axis], spans[:, axis + 2] - 1
        lowest = -(
            (kernel[axis] - 1 - first - before[axis]) // stride[axis]
        )  # ceil((first + pad - kernel + 1) / stride)
        highest = (last + before[axis]) // stride[axis] + 1
        found[:, axis] = np.clip(lowest, 0, size[axis])
        found[:, axis + 2] = np.clip(highest, 0, size[axis])
    return _tidy(found, spans)


def union(spans: list[Spans]) -> Spans:
    """The smallest windows that hold all of those given."""
    if len(spans) == 1:
        return spans[0]
    empty = np.stack([is_empty(s) for s in spans])
    stacked = np.stack(spans)
    far = np.iinfo(np.int64).max
    lows = np.where(empty[..., None], far, stacked[..., :2]).min(0)
    highs = np.where(empty[..., None], 0, stacked[..., 2:]).max(0)
    found = np.concatenate([np.where(lows == far, 0, lows), highs], axis=1)
    found[empty.all(0)] = 0
    return found


def shift(spans: Spans, before: tuple[int, int], size: tuple[int, int]) -> Spans:
    """After padding by ``before`` (negative: cropping) above and on the left, in a map of ``size``."""
    moved = spans + np.array([*before, *before])
    return _tidy(np.clip(moved, 0, [*size, *size]), spans)


def is_empty(spans: Spans) -> npt.NDArray[np.bool_]:
    """Where nothing changes."""
    return (spans[:, 2] <= spans[:, 0]) | (spans[:, 3] <= spans[:, 1])


def _tidy(found: Spans, before: Spans) -> Spans:
    found[is_empty(found) | is_empty(before)] = 0
    return found
