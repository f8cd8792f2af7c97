"""Hamming distances between signs, and the permutation test on them: numbers only (Sec. 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_COLUMNS = 1 << 16  # features a block: whole numbers below 2^24 are exact in float32


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of M sign vectors.

    Attributes
    ----------
    features : int
    hamming : ndarray of int64, (M, M)
        Features whose signs differ; 0, no change, is a sign of its own.
    both, opposite : ndarray of int64, (M, M)
        Features that change in both, and those of them that change in opposite directions.
    """

    features: int
    hamming: npt.NDArray[np.int64]
    both: npt.NDArray[np.int64]
    opposite: npt.NDArray[np.int64]


def compare(signs: npt.NDArray[np.int8]) -> Pairs:
    """Compare sign vectors, -1, 0 or 1, int8 (M, F), each with each."""
    count, features = signs.shape
    both = np.zeros((count, count), np.int64)
    product = np.zeros((count, count), np.int64)
    for first in range(0, features, _COLUMNS):
        block = signs[:, first : first + _COLUMNS].astype(np.float32)
        product += np.rint(block @ block.T).astype(np.int64)
        block = np.abs(block)
        both += np.rint(block @ block.T).astype(np.int64)
    alone = np.diag(both)  # features that change in each
    opposite = (both - product) // 2
    # differing: changed in one only, or in both but in opposite directions
    return Pairs(features, alone[:, None] + alone[None, :] - 2 * both + opposite, both, opposite)


def permutation_test(
    part: npt.NDArray[Any],
    whole: npt.NDArray[Any] | float,
    permutations: int,
    generator: np.random.Generator,
) -> float:
    """Whether the first region of each photo differs from its others by more than noise.

    The statistic takes one region of each photo and is the sum of ``part`` over pairs of photos by that of ``whole``.
    If the first region were like any other of its photo, each choice of regions would be as likely as the first ones.

    Parameters
    ----------
    part : ndarray, (n, R, n, R)
        For region r of photo i and region s of photo j, a number.
    whole : ndarray, (n, R, n, R), or float
        What it is a share of.
    permutations : int
        Choices drawn.
    generator : numpy.random.Generator

    Returns
    -------
    float
        The two-sided p: twice the smaller of the two tails, each of which counts the first regions themselves; at most
        1. A choice without anything in ``whole`` counts in both tails.
    """
    photos, regions = part.shape[:2]
    whole = np.broadcast_to(np.asarray(whole, np.float64), part.shape)
    one, other = np.triu_indices(photos, 1)

    def statistic(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        places = one, chosen[:, one], other, chosen[:, other]
        some, every = part[places].sum(1), whole[places].sum(1)
        return np.divide(some, every, out=np.full(len(chosen), np.nan), where=every > 0)

    observed = statistic(np.zeros((1, photos), np.int64))[0]
    below = above = 1
    for first in range(0, permutations, 1000):
        drawn = statistic(generator.integers(0, regions, (min(1000, permutations - first), photos)))
        below += int((~(drawn > observed + 1e-12)).sum())
        above += int((~(drawn < observed - 1e-12)).sum())
    return min(1.0, 2 * min(below, above) / (permutations + 1))
