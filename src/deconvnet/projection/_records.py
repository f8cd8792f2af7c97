"""What a projection gives back: plain arrays, which draw themselves where the photos are at hand."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deconvnet.errors import OptionError
from deconvnet.figures import ProjectionRow, projection_panel
from deconvnet.figures.patches import cut_patch
from deconvnet.geometry import Box
from deconvnet.runs import Unit
from deconvnet.runs.files import write_arrays

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Projections:
    """Units projected to pixel space, with all that is needed to read the pictures.

    A notebook shows the plot of the first photo, if there are views.

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
        The settings; see `deconvnet.projection.project`. ``seed`` is what the backward passes started from.
    views : tuple of uint8 array (H, W, 3)
        The pixels that the network saw, one for each photo; empty where the network was given tensors.
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
    views: tuple[NDArray[np.uint8], ...] = ()

    def __len__(self) -> int:
        return len(self.units)

    def __repr__(self) -> str:
        units = [str(unit) for unit in self.units]
        shown = ", ".join(units[:4]) + (", ..." if len(units) > 4 else "")
        return f"Projections({len(units)} projections, {len(self.views) or len(set(self.photos))} photos: {shown})"

    def _repr_png_(self) -> bytes | None:
        """The plot of the first photo as PNG, for notebooks."""
        if not self.views:
            return None
        picture = io.BytesIO()
        self.plot(self.photos[0]).savefig(picture, format="png")
        return picture.getvalue()

    def projection(self, index: int) -> NDArray[np.floating]:
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

    def patch(self, index: int) -> NDArray[np.uint8]:
        """What the unit saw, uint8 (h, w, 3), mid-grey outside the photo.

        Raises
        ------
        OptionError
            If there are no views.
        """
        self._check_views()
        return cut_patch(self.views[self.photos[index]], self.boxes[index])

    def plot(self, photo: int = 0, title: str | None = None) -> Figure:
        """Projection and patch side by side for every unit of one photo, with the receptive field marked.

        Parameters
        ----------
        photo : int
            Which photo, from 0.
        title : str, optional
            A line above the figure.

        Raises
        ------
        OptionError
            If there are no views, or no unit was projected for that photo.
        """
        self._check_views()
        if not 0 <= photo < len(self.views):
            raise OptionError(f"there is no photo {photo}: the {len(self.views)} photos count from 0.")
        whole = Box(0, 0, *self.views[photo].shape[:2])
        rows = [
            ProjectionRow(unit, float(value), box or whole, self.projection(i), self.patch(i))
            for i, (unit, value, box) in enumerate(zip(self.units, self.activations, self.boxes, strict=True))
            if self.photos[i] == photo
        ]
        if not rows:
            raise OptionError(f"no unit was projected for photo {photo}: ask for one of {sorted(set(self.photos))}.")
        return projection_panel(self.views[photo], rows, title)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write pixels, activations, boxes and views as arrays (safetensors), addresses and settings as metadata."""
        arrays = {
            "pixels": self.pixels,
            "activations": self.activations,
            "photos": np.array(self.photos, np.int64),
            "boxes": np.array([tuple(b) if b else (0, 0, *self.image[1:]) for b in self.boxes], np.int64),
        }
        if self.views:
            arrays["views"] = np.stack(self.views)
        settings = ("rule", "unpool", "lrn", "seed", "activation_policy", "inactive")
        write_arrays(
            path,
            arrays,
            {"units": " ".join(map(str, self.units)), **{name: getattr(self, name) for name in settings}},
        )
        return Path(path)

    def _check_views(self) -> None:
        if not self.views:
            raise OptionError(
                "these projections are of a tensor, so there is no photo to show beside them: give deconvnet.project "
                "photos and a network of deconvnet.load, or look at .pixels."
            )

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
