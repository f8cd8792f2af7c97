"""Sums of float32 numbers without any rounding, so that no order and no division into shards changes them.

A float32 number is an integer below 2^24 times a power of two. The integers are added up in int64 limbs, one for every
12 powers of two; a limb of 2^28 numbers cannot overflow.
"""

from __future__ import annotations

import numpy as np

LIMBS = 24
_BITS = 12  # powers of two that share a limb
_ROWS = 2**18
_LOWEST = 172  # frexp's smallest exponent for float32 is -148, and mantissas are scaled by 2^24


def exact_sums(numbers: np.ndarray) -> np.ndarray:
    """Sum along the first axis.

    Parameters
    ----------
    numbers : ndarray, float32, (N, C)
        Finite numbers.

    Returns
    -------
    ndarray, int64, (C, 24)
        The sums as limbs. Adding two such arrays gives the limbs of the two sums' sum.
    """
    columns = numbers.shape[1]
    sums = np.zeros(columns * LIMBS, np.int64)
    for first in range(0, len(numbers), _ROWS):
        some = numbers[first : first + _ROWS].astype(np.float32, copy=False)
        mantissa, exponent = np.frexp(some)
        limb, shift = np.divmod(exponent + (_LOWEST - 24), _BITS)
        place = limb + np.arange(columns) * LIMBS
        # Whole numbers below 2^35, at most 2^18 of them: exact in bincount's float64.
        whole = np.ldexp(mantissa.astype(np.float64), 24 + shift)
        sums += np.bincount(place.ravel(), whole.ravel(), len(sums)).astype(np.int64)
    return sums.reshape(columns, LIMBS)


def exact_means(sums: np.ndarray, count: int) -> np.ndarray:
    """Means from the limbs of `exact_sums` over ``count`` numbers: float64, (C,), each rounded once."""
    wholes = (sum(int(limb) << (_BITS * place) for place, limb in enumerate(row)) for row in sums)
    return np.array([whole / (count << _LOWEST) for whole in wholes], np.float64)
