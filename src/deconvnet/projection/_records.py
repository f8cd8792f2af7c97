"""What a projection gives back: plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
        Whether that value is above zero. A unit that is not active projects to nothing, its pixels are all 0, unless
        ``inactive`` is "project".
    boxes : tuple of Box or None, length U
        Receptive field in input pixels. It may leave the image; the whole image for fully connected layers; None where
        it is not known.
    crops : tuple of float array (C, h, w), length U
        The projections, signed, in the units of the network's input; float32 (float64 for a float64 model). Each on its
        window; outside it a projection is 0.
    windows : tuple of Box, length U
        Where in the image each crop lies: the receptive field inside the image, or the whole image.
    image : (int, int, int)
        C, H, W of the network's input, of several of the one that was projected to.
    windowed : bool array (U,)
        Whether the unit was passed down through its window alone (True) or through the whole maps. The results are the
        same but for rounding.
    whole_maps : dict of str -> str
        Layers that were passed down through the whole maps, and why.
    relus : tuple of int, length U
        ReLUs (or activations treated like one) between the unit and the pixels. With 0 the rule played no part.
    rule, unpool, lrn, seed, activation_policy, inactive : str
    onto : int
        The settings; see `deconvnet.projection.project`.
    """

    units: tuple[Unit, ...]
    photos: tuple[int, ...]
    activations: NDArray[np.floating]
    active: NDArray[np.bool_]
    boxes: tuple[Box | None, ...]
    crops: tuple[NDArray[np.floating], ...]
    windows: tuple[Box, ...]
    image: tuple[int, int, int]
    windowed: NDArray[np.bool_]
    whole_maps: dict[str, str]
    relus: tuple[int, ...]
    rule: str
    unpool: str
    lrn: str
    seed: str
    activation_policy: str
    inactive: str = "nothing"
    onto: int = 0

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
        box, window, crop = self.boxes[index], self.windows[index], self.crops[index]
        if box is None:
            return self._picture(index)
        patch = np.zeros((len(crop), box.height, box.width), crop.dtype)
        top, left = max(box.top, window.top), max(box.left, window.left)
        bottom, right = min(box.bottom, window.bottom), min(box.right, window.right)
        if top < bottom and left < right:
            patch[:, top - box.top : bottom - box.top, left - box.left : right - box.left] = crop[
                :, top - window.top : bottom - window.top, left - window.left : right - window.left
            ]
        return patch

    @cached_property
    def pixels(self) -> NDArray[np.floating]:
        """The projections as whole pictures, float (U, C, H, W); made when first asked for, and kept."""
        pictures = np.zeros((len(self), *self.image), self.crops[0].dtype)
        for index, window in enumerate(self.windows):
            pictures[index, :, window.top : window.bottom, window.left : window.right] = self.crops[index]
        return pictures

    def _picture(self, index: int) -> NDArray[np.floating]:
        window, crop = self.windows[index], self.crops[index]
        picture = np.zeros(self.image, crop.dtype)
        picture[:, window.top : window.bottom, window.left : window.right] = crop
        return picture
