"""A mean with its deviation, as records tell them of seeds or folds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def mean_deviation(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean and sample deviation (n - 1); NaN where there are too few values."""
    if not len(values):
        return float("nan"), float("nan")
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def percent(told: tuple[float, float], sign: bool = False) -> str:
    """Mean and deviation of shares as per cent: ``12.3 ± 0.4``; "-" where there is no mean."""
    mean, deviation = told
    if np.isnan(mean):
        return "-"
    return f"{100 * mean:{'+' if sign else ''}.1f}" + ("" if np.isnan(deviation) else f" ± {100 * deviation:.1f}")
