"""Pictures as data URIs, so that a page needs no other file."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

EXACT_SIDE = 64
"""Pictures of at most this many pixels a side are stored exactly, as PNG."""


def picture_uri(pixels: np.ndarray, exact: bool = False) -> str:
    """A picture as a ``data:`` URI.

    Parameters
    ----------
    pixels : uint8 ndarray, shape (H, W, 3) or (H, W)
        The picture.
    exact : bool
        Store it as PNG whatever its size. Otherwise pictures above `EXACT_SIDE` are stored as JPEG (quality 90, full
        colour resolution), which keeps a page of hundreds of pictures small.

    Returns
    -------
    str
    """
    store = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if exact or max(pixels.shape[:2]) <= EXACT_SIDE:
        image.save(store, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(store, "JPEG", quality=90, subsampling=0, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(store.getvalue()).decode('ascii')}"
