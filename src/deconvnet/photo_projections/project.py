"""Units of a network projected to the pixels of photos, beside the patches that they saw (Sec. 2.1)."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from deconvnet.errors import DataError, OptionError
from deconvnet.figures import ProjectionRow, projection_panel
from deconvnet.geometry import Box
from deconvnet.mining import mine
from deconvnet.networks import Network
from deconvnet.networks.layers import check_layers
from deconvnet.networks.layers import convolutions as convolutions
from deconvnet.networks.preprocessing import Photo
from deconvnet.photo_projections.patches import cut_patch
from deconvnet.projection import Projections
from deconvnet.projection import project as project_tensor
from deconvnet.runs import Unit
from deconvnet.runs.files import write_arrays

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False, repr=False)
class PhotoProjections:
    """Projections of units together with the photos that they were projected for; a notebook shows its plot.

    Attributes
    ----------
    projections : Projections
        Units, activations, receptive fields and pixels.
    views : tuple of ndarray of uint8, (H, W, 3)
        The pixels that the network saw, one for each photo.
    """

    projections: Projections
    views: tuple[npt.NDArray[np.uint8], ...]

    def __len__(self) -> int:
        return len(self.projections)

    def __repr__(self) -> str:
        units = [str(unit) for unit in self.projections.units]
        shown = ", ".join(units[:4]) + (", ..." if len(units) > 4 else "")
        return f"PhotoProjections({len(units)} projections, {len(self.views)} photos: {shown})"

    def _repr_png_(self) -> bytes:
        """The plot of the first photo as PNG, for notebooks."""
        picture = io.BytesIO()
        self.plot(self.projections.photos[0]).savefig(picture, format="png")
        return picture.getvalue()

    def projection(self, index: int) -> npt.NDArray[np.floating]:
        """A projection cut to its receptive field, float (C, h, w)."""
        return self.projections.crop(index)

    def patch(self, index: int) -> npt.NDArray[np.uint8]:
        """What the unit saw, uint8 (h, w, 3), mid-grey outside the photo."""
        return cut_patch(self.views[self.projections.photos[index]], self.projections.boxes[index])

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
            If no unit was projected for that photo.
        """
        if not 0 <= photo < len(self.views):
            raise OptionError(f"there is no photo {photo}: the {len(self.views)} photos count from 0.")
        p = self.projections
        height, width = self.views[photo].shape[:2]
        rows = [
            ProjectionRow(
                p.units[i],
                float(p.activations[i]),
                p.boxes[i] or Box(0, 0, height, width),
                self.projection(i),
                self.patch(i),
            )
            for i in range(len(self))
            if p.photos[i] == photo
        ]
        if not rows:
            raise OptionError(f"no unit was projected for photo {photo}: ask for one of {sorted(set(p.photos))}.")
        return projection_panel(self.views[photo], rows, title)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write pixels, activations, boxes and views as arrays (safetensors), addresses and settings as metadata."""
        p = self.projections
        write_arrays(
            path,
            {
                "pixels": p.pixels,
                "activations": p.activations,
                "photos": np.array(p.photos, np.int64),
                "boxes": np.array([tuple(b) if b else (0, 0, *p.pixels.shape[2:]) for b in p.boxes], np.int64),
                "views": np.stack(self.views),
            },
            {
                "units": " ".join(str(unit) for unit in p.units),
                "rule": p.rule,
                "unpool": p.unpool,
                "lrn": p.lrn,
                "seed": p.seed,
                "activation_policy": p.activation_policy,
                "inactive": p.inactive,
            },
        )
        return Path(path)


def project(
    network: Network | nn.Module,
    photos: Sequence[Photo] | Photo | Tensor | Sequence[Tensor],
    units: Sequence[Unit | str] | Unit | str,
    **options: Any,
) -> PhotoProjections | Projections:
    """Project units of a network to pixel space with a deconvnet.

    Parameters
    ----------
    network : Network or nn.Module
        A network from :func:`deconvnet.load`, or any PyTorch network.
    photos : photos or Tensor
        For a ``Network``: PIL images or uint8 arrays (H, W, 3), one or several. For a plain module (or a ``Network``
        whose input is at hand): its input, a float tensor (N, C, H, W); several tensors if it takes several.
    units : unit or sequence of units
        Addresses such as ``"conv5:17"`` (the map's strongest position) or ``"conv5:17@6,4"``.
    **options
        ``rule``, ``unpool``, ``lrn``, ``seed``, ``inactive``, ``photos`` and the others of
        :func:`deconvnet.projection.project` (``per_photo`` for its ``photos``).

    Returns
    -------
    PhotoProjections
        For photos; has ``plot()`` and ``save()``.
    Projections
        For a tensor.

    Raises
    ------
    UnitError, UnknownNameError, ModelError
        If a unit or layer does not exist, or the model has no right answer.
    DataError
        If there is no photo, or one is neither a PIL image nor a uint8 array.
    OptionError
        If an option is outside its range.
    """
    wanted = [units] if isinstance(units, Unit | str) else list(units)
    if "per_photo" in options:
        options["photos"] = options.pop("per_photo")
    if _are_tensors(photos):  # also for a Network: its preprocessed input
        inputs: Any = photos
        return project_tensor(network.module if isinstance(network, Network) else network, inputs, wanted, **options)
    if not isinstance(network, Network):
        raise OptionError("a plain module takes a float tensor (N, C, H, W); photos need a network of deconvnet.load.")
    several: list[Any] = list(photos) if isinstance(photos, list | tuple) else [photos]
    if not several:
        raise DataError("there is no photo to project for: give at least one.")
    for photo in several:
        _check_photo(photo)
    views = tuple(network.view(photo) for photo in several)
    found = project_tensor(network.module, network.preprocessing.tensor(views), wanted, **options)
    return PhotoProjections(found, views)


def strongest_units(
    network: Network, view: npt.NDArray[np.uint8], layers: Sequence[str], top: int, active: bool = True
) -> list[Unit]:
    """The strongest maps of layers in one photo, each at its strongest position.

    Parameters
    ----------
    network : Network
    view : ndarray of uint8, (H, W, 3)
        What :meth:`Network.view` returns.
    layers : sequence of str
        Layer names.
    top : int
        At most so many maps a layer.
    active : bool
        Leave out maps that are not active.

    Returns
    -------
    list of Unit
        Layer by layer, the strongest first (ties: the lower channel).

    Raises
    ------
    OptionError
        If ``top`` is less than 1.
    UnknownNameError
        If a layer does not exist.
    """
    if top < 1:
        raise OptionError(f"top must be at least 1, not {top}.")
    check_layers(network, layers)
    layers = list(dict.fromkeys(layers))
    mined = mine(network.module, [([0], network.preprocessing.tensor([view]))], layers, k=1)
    units: list[Unit] = []
    for layer in layers:
        found = mined[layer]
        values = found.values[:, 0]
        order = np.argsort(-values, kind="stable")[:top]
        for channel in order[values[order] > 0] if active else order:
            row, column = (int(c) for c in found.positions[channel, 0])
            units.append(Unit(layer, int(channel), (row, column) if found.spatial else None))
    return units


def _are_tensors(photos: object) -> bool:
    several = photos if isinstance(photos, list | tuple) else [photos]
    return bool(several) and all(isinstance(each, torch.Tensor) for each in several)


def _check_photo(photo: object) -> None:
    if isinstance(photo, Image.Image):
        return
    if isinstance(photo, np.ndarray):
        if photo.dtype == np.uint8 and (photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] == 3)) and photo.size:
            return
        given = f"an array of {photo.dtype} {photo.shape}"
    else:
        given = f"a {type(photo).__name__}"
    raise DataError(
        f"{given} is not a photo: give a PIL image or a uint8 array (H, W, 3), for example of deconvnet.read_photo, "
        "or a list of these."
    )
