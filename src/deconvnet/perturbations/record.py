"""What covers a part of a photo, as it is recorded. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Fill:
    """What covers the photo.

    Attributes
    ----------
    name : str
        As it was asked for: ``"grey"``, ``"blur"``, ``"#ff0000"``.
    about : str
        What that was: ``"grey (127, 127, 127)"``, ``"photo blurred, sigma 12.5 px"``.
    picture : ndarray of uint8, (H, W, 3)
        The pixels of which each rectangle shows its part.
    """

    name: str
    about: str
    picture: Annotated[npt.NDArray[np.uint8], "H W 3"]
