"""Units of a network projected to the pixels of photos, beside the patches that they saw (Sec. 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.data import PhotosLike, as_photos
from deconvnet.errors import DataError, OptionError
from deconvnet.mining import mine
from deconvnet.networks import Network
from deconvnet.networks.layers import check_layers
from deconvnet.projection import PreparedProjection, Projections, Rule
from deconvnet.projection import prepare as prepare_tensor
from deconvnet.projection import project as project_tensor
from deconvnet.runs import Unit

PhotosOrInput = PhotosLike | Tensor | Sequence[Tensor]


def project(
    network: Network | nn.Module,
    photos: PhotosOrInput,
    units: Sequence[Unit | str] | Unit | str,
    *,
    per_photo: Sequence[int] | None = None,
    onto: int = 0,
    rule: str | Rule = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    start: str | float = "activation",
    activations: str = "refuse",
    inactive: str = "nothing",
    batch_size: int = 32,
    windows: bool = True,
    memory: int = 2**30,
) -> Projections:
    """Project units of a network to pixel space with a deconvnet.

    Parameters
    ----------
    network : Network or nn.Module
        A network from :func:`deconvnet.load`, or any PyTorch network.
    photos : photos or Tensor
        For a ``Network``: a path, PIL images or uint8 arrays (H, W, 3), one or several. For a plain module (or a
        ``Network`` whose input is at hand): its input, a float tensor (N, C, H, W); several tensors if it takes
        several.
    units : unit or sequence of units
        Addresses such as ``"conv5:17"`` (the map's strongest position) or ``"conv5:17@6,4"``.
    per_photo : sequence of int, optional
        Unit i is projected for photo ``per_photo[i]`` alone; each unit for each photo unless given.
    start : {"activation", "one"} or 1.0
        The value that the backward pass starts from: the unit's activation, or 1.
    onto, rule, unpool, lrn, activations, inactive, batch_size, windows, memory
        See :func:`deconvnet.projection.project`.

    Returns
    -------
    Projections
        Of photos, it has ``views`` and draws itself: ``plot()``, ``patch(i)``.

    Raises
    ------
    UnitError, UnknownNameError, ModelError
        If a unit or layer does not exist, or the model has no right answer.
    DataError
        If there is no photo, or one is neither a PIL image nor a uint8 array.
    OptionError
        If an option is outside its range.
    """
    given = _NetworkInput.of(network, photos, "project for")
    found = project_tensor(
        given.module,
        given.tensors,
        [units] if isinstance(units, Unit | str) else list(units),
        photos=per_photo,
        onto=onto,
        rule=rule,
        unpool=unpool,
        lrn=lrn,
        seed=start,
        activations=activations,
        inactive=inactive,
        batch_size=batch_size,
        windows=windows,
        memory=memory,
    )
    return replace(found, views=given.views)


def prepare(
    network: Network | nn.Module,
    photos: PhotosOrInput,
    layers: Sequence[str],
    *,
    onto: int = 0,
    rule: str | Rule = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    start: str | float = "activation",
    activations: str = "refuse",
    inactive: str = "nothing",
    batch_size: int = 32,
    windows: bool = True,
    memory: int = 2**30,
) -> PreparedProjection:
    """Pass photos through a network once: what it answers, its strongest units and their projections come from that.

    Parameters
    ----------
    network, photos, start
        As for `project`.
    layers : sequence of str
        The layers whose units can be asked for.
    onto, rule, unpool, lrn, activations, inactive, batch_size, windows, memory
        See :func:`deconvnet.projection.prepare`.

    Returns
    -------
    PreparedProjection
        ``output``, ``outputs[layer]``, ``strongest(layer, count)``, ``project(units)``; of photos also ``views``.

    Raises
    ------
    UnknownNameError, ModelError, DataError, OptionError
        As `project`.
    """
    given = _NetworkInput.of(network, photos, "prepare")
    if isinstance(network, Network):
        check_layers(network, [layers] if isinstance(layers, str) else layers)
    found = prepare_tensor(
        given.module,
        given.tensors,
        layers,
        onto=onto,
        rule=rule,
        unpool=unpool,
        lrn=lrn,
        seed=start,
        activations=activations,
        inactive=inactive,
        batch_size=batch_size,
        windows=windows,
        memory=memory,
    )
    return replace(found, views=given.views)


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


@dataclass(frozen=True)
class _NetworkInput:
    """A module and its input tensors, with the views that they were made of; none where tensors were given."""

    module: nn.Module
    tensors: Any
    views: tuple[npt.NDArray[np.uint8], ...]

    @classmethod
    def of(cls, network: Network | nn.Module, photos: PhotosOrInput, verb: str) -> _NetworkInput:
        """Photos resized and preprocessed, each once; tensors as they are. ``verb`` is for the refusal."""
        module = network.module if isinstance(network, Network) else network
        if _are_tensors(photos):  # also for a Network: its preprocessed input
            return cls(module, photos, ())
        if not isinstance(network, Network):
            raise OptionError(
                "a plain module takes a float tensor (N, C, H, W); photos need a network of deconvnet.load."
            )
        several = as_photos(cast(PhotosLike, photos))
        if not len(several):
            raise DataError(f"there is no photo to {verb}: give at least one.")
        views = tuple(network.view(several.read(i)) for i in range(len(several)))
        return cls(module, network.preprocessing.tensor(views), views)


def _are_tensors(photos: object) -> bool:
    several = photos if isinstance(photos, list | tuple) else [photos]
    return bool(several) and all(isinstance(each, torch.Tensor) for each in several)
