"""What a unit saw: the photo cut to the unit's receptive field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deconvnet.geometry import Box

FILL = 128  # grey level of the part of a patch that lies outside the photo


def cut_patch(view: npt.NDArray[np.uint8], box: Box | None) -> npt.NDArray[np.uint8]:
    """The pixels in a box, mid-grey where the box leaves the photo.

    Parameters
    ----------
    view : ndarray of uint8, (H, W, 3)
        The pixels that the network saw.
    box : Box or None
        A receptive field; ``None`` gives the whole photo.

    Returns
    -------
    ndarray of uint8, (box.height, box.width, 3)
    """
    if box is None:
        return view.copy()
    inside = box.clip(*view.shape[:2])
    patch = np.full((box.height, box.width, 3), FILL, np.uint8)
    patch[inside.top - box.top : inside.bottom - box.top, inside.left - box.left : inside.right - box.left] = view[
        inside.top : inside.bottom, inside.left : inside.right
    ]
    return patch
