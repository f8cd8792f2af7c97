"""What a projection gives back: plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deconvnet.geometry import Box
from deconvnet.runs import Unit


@dataclass(frozen=True, eq=False)
class Projections:
    """Units projected to pixel space, with all that is needed to read the pictures.

    Attributes
    ----------
    units : tuple of Unit, length U
        With the position that was projected; layers without spatial extent have none.
    photos : tuple of int, length U
        Index, in the given batch, of the photo that each unit was projected for.
    activations : float array (U,)
        Each unit's value.
    active : bool array (U,)
        Whether that value is above zero; a unit that is not active projects to nothing: its pixels are all 0.
    boxes : tuple of Box or None, length U
        Receptive field in input pixels. It may leave the image; the whole image for fully connected layers; None where
        it is not known.
    pixels : float array (U, C, H, W)
        The projections, signed, in the units of the network's input; float32 (float64 for a float64 model).
    relus : tuple of int, length U
        ReLUs (or activations treated like one) between the unit and the pixels. With 0 the rule played no part.
    rule, unpool, lrn, seed, activation_policy : str
        The settings; see `deconvnet.projection.project`.
    """

    units: tuple[Unit, ...]
    photos: tuple[int, ...]
    activations: NDArray[np.floating]
    active: NDArray[np.bool_]
    boxes: tuple[Box | None, ...]
    pixels: NDArray[np.floating]
    relus: tuple[int, ...]
    rule: str
    unpool: str
    lrn: str
    seed: str
    activation_policy: str

    def __len__(self) -> int:
        return len(self.units)

    def crop(self, index: int) -> NDArray[np.floating]:
        """The projection inside its receptive field.

        Parameters
        ----------
        index : int
            Which projection.

        Returns
        -------
        array (C, h, w)
            As large as the box, 0 where it leaves the image; the whole picture where the box is not known.
        """
        picture, box = self.pixels[index], self.boxes[index]
        if box is None:
            return picture.copy()
        height, width = picture.shape[1:]
        inside = box.clip(height, width)
        patch = np.zeros((picture.shape[0], box.height, box.width), picture.dtype)
        patch[:, inside.top - box.top : inside.bottom - box.top, inside.left - box.left : inside.right - box.left] = (
            picture[:, inside.top : inside.bottom, inside.left : inside.right]
        )
        return patch
