"""From signed values to pixels: zero is mid-grey, one scale per picture.

The paper says only that contrast is enhanced (Fig. 4); the rule here is the one that the DeepVis toolbox (Yosinski
et al. 2015) published with its pictures.
"""

from __future__ import annotations

import numpy as np

from deconvnet.errors import OptionError

MID_GREY = 128
"""The pixel value of zero: 127.5, rounded to even."""


def display_scale(pixels: np.ndarray) -> float:
    """The value that `display` draws at full strength.

    Parameters
    ----------
    pixels : ndarray, any shape
        Signed values.

    Returns
    -------
    float
        The largest magnitude ``s``: ``-s`` is drawn as 0, zero as mid-grey and ``+s`` as 255. 0.0 where every
        value is zero.

    Raises
    ------
    OptionError
        If ``pixels`` is empty or holds NaN or infinity.
    """
    values = np.asarray(pixels)
    if values.size == 0:
        raise OptionError(f"cannot display an array of shape {values.shape}: it has no values.")
    top, bottom = float(values.max()), float(values.min())
    if not (np.isfinite(top) and np.isfinite(bottom)):
        raise OptionError(
            f"cannot display an array of shape {values.shape}: it holds NaN or infinity; "
            "look for the layer of the network where these first appear."
        )
    return max(top, -bottom)


def display(pixels: np.ndarray) -> np.ndarray:
    """Draw one projection, or one filter, on its own scale.

    Parameters
    ----------
    pixels : float ndarray, shape (C, H, W)
        Signed values, in whatever unit the network's input has; C is 3 (red, green, blue) or 1 (grey).

    Returns
    -------
    uint8 ndarray, shape (H, W, 3)
        ``0.5 + pixels / max(2 * max, -2 * min)``, times 255. Nothing is clipped, and the colour channels share the
        scale. All zeros give a plain mid-grey. Two pictures are not comparable in brightness unless their
        `display_scale` is.

    Raises
    ------
    OptionError
        If ``pixels`` has another shape, is empty, or holds NaN or infinity.

    Examples
    --------
    >>> display(np.array([[[-1.0, 0.0, 2.0]]]))[0, :, 0]
    array([ 64, 128, 255], dtype=uint8)
    """
    values = np.asarray(pixels, dtype=np.float64)
    if values.ndim != 3 or values.shape[0] not in (1, 3):
        raise OptionError(f"cannot display an array of shape {values.shape}: expected (3, H, W) or (1, H, W).")
    scale = display_scale(values)
    # Divide before halving: 2 * scale could overflow, values / scale cannot leave [-1, 1].
    unit = 0.5 + 0.5 * (values / scale if scale else values)
    picture = np.rint(255.0 * unit).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))
