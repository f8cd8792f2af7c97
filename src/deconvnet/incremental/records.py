"""What the network answered to each covered photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Responses:
    """The network's answers, one row for each covered photo.

    Attributes
    ----------
    outputs : ndarray of float32, (positions, ...)
        What the model returned.
    sums : mapping of str to ndarray of float32, (positions, maps)
        For each layer asked for, the total activity of every feature map: the sum over its positions of the positive
        part (Sec. 4.2, Fig. 7(b)).
    maxima : mapping of str to ndarray of float32, (positions, maps)
        For each layer asked for, the largest value of every feature map.
    """

    outputs: npt.NDArray[np.float32]
    sums: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    maxima: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.outputs)
