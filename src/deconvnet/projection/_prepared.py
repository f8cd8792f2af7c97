"""Pay once, ask often: one forward pass that answers outputs, strongest units and projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError, UnknownNameError
from deconvnet.projection._buffer import ProjectionBuffer
from deconvnet.projection._chooser import project_layer
from deconvnet.projection._forward import ForwardPass, run_forward
from deconvnet.projection._records import Projections
from deconvnet.projection._request import (
    ModelInputs,
    ProjectionSettings,
    check_arguments,
    check_model,
    pair_units_with_photos,
    precision_of,
    read_settings,
    read_units,
)
from deconvnet.projection._rules import Rule
from deconvnet.runs import Unit
from deconvnet.tracing.forward import evaluating, run_once
from deconvnet.tracing.receptive import LayerField


def prepare(
    model: nn.Module,
    inputs: Tensor | Sequence[Tensor],
    layers: Sequence[str],
    *,
    onto: int = 0,
    rule: str | Rule = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    seed: str | float = "activation",
    activations: str = "refuse",
    inactive: str = "nothing",
    batch_size: int = 32,
    windows: bool = True,
    memory: int = 2**30,
) -> PreparedProjection:
    """Run photos through a network once, and keep what their units' projections need.

    Parameters
    ----------
    model : nn.Module
        As for `project`; it comes back as it was, before the first question is asked.
    inputs : float Tensor, N x C x H x W, or sequence of tensors
        As for `project`.
    layers : sequence of str
        The layers whose units can be asked for.
    onto, rule, unpool, lrn, seed, activations, inactive, batch_size, windows, memory
        As for `project`.

    Returns
    -------
    PreparedProjection
        It holds the maps of the forward pass, about the memory of one training step without gradients, until it is
        dropped.

    Raises
    ------
    UnknownNameError, ModelError, OptionError
        As `project` does for units of these layers; all of it here, before the first question.
    """
    settings = read_settings(rule, unpool, lrn, seed, activations, inactive, batch_size, windows, memory)
    if isinstance(layers, str):
        layers = [layers]
    if not layers:
        raise OptionError("there is no layer to prepare: name at least one, for example 'conv5'.")
    layers = sorted(set(layers))
    check_model(model, layers)
    given = ModelInputs.of(inputs, onto)
    check_arguments(model, 1 + len(given.others))
    runs: Mapping[str, int] | None = dict.fromkeys(layers, 1) if run_once(model, layers) else None
    passes: list[ForwardPass] = []
    order = list(range(len(given.pixels)))
    with evaluating(model):
        while order:
            chunk, order = order[:batch_size], order[batch_size:]
            pass_ = run_forward(model, given, chunk, layers, settings, runs, track=not passes, to_the_end=True)
            if len(chunk) > 1 and pass_.couples_photos():  # else a photo's answer would depend on its company
                order, batch_size = chunk + order, 1
                continue
            for layer in pass_.outputs:
                pass_.path(layer)
            runs = runs or pass_.runs
            passes.append(pass_)
    dtype, device = precision_of(given.pixels, model)
    return PreparedProjection(
        tuple(passes), passes[0].fields, settings, given.image, len(given.pixels), given.onto, dtype, device
    )


@dataclass(frozen=True, eq=False, repr=False)
class PreparedProjection:
    """Photos that went through a network once; made by `prepare`.

    Attributes
    ----------
    photos : int
        How many.
    layers : tuple of str
        The layers whose units can be asked for, in the order in which they ran.
    views : tuple of uint8 array (H, W, 3)
        The pixels that the network saw, one for each photo; empty where the network was given tensors.
    """

    _passes: tuple[ForwardPass, ...]
    _fields: Mapping[str, LayerField]
    _settings: ProjectionSettings
    _image: tuple[int, int, int]
    photos: int
    _onto: int
    _dtype: torch.dtype
    _device: torch.device
    views: tuple[npt.NDArray[np.uint8], ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose units can be asked for, in the order in which they ran."""
        return tuple(self._passes[0].outputs)

    def __repr__(self) -> str:
        return f"PreparedProjection({self.photos} photos, layers {', '.join(self.layers)})"

    @cached_property
    def outputs(self) -> Mapping[str, Tensor]:
        """Each layer's own output, N x C x H x W or N x F, on the model's device; not to be written into."""
        found = {layer: [each.outputs[layer].detach() for each in self._passes] for layer in self.layers}
        return MappingProxyType({layer: _joined(parts) for layer, parts in found.items()})

    @property
    def output(self) -> Any:
        """What the model itself gives, N x classes for a classifier.

        Raises
        ------
        ModelError
            If the model failed after the asked layers had run.
        """
        failure = next((each.failure for each in self._passes if each.failure is not None), None)
        if failure is not None:
            raise failure
        return _joined([each.final for each in self._passes])

    def strongest(self, layer: str, count: int, photo: int = 0, *, active: bool = True) -> list[Unit]:
        """The strongest feature maps of a layer in one photo, each at its strongest position.

        Parameters
        ----------
        layer : str
            One of `layers`.
        count : int
            At most so many.
        photo : int
            Which photo, from 0.
        active : bool
            Leave out maps that are not active. With False, maps with positions that are not active follow in the order
            of their channels, at row 0 and column 0.

        Returns
        -------
        list of Unit
            The strongest first (of equals the lower channel), at the first of equal positions in row-major order.

        Raises
        ------
        OptionError
            If ``count`` is less than 1, or there is no such photo.
        UnknownNameError
            If the layer was not prepared.
        """
        if count < 1:
            raise OptionError(f"count must be at least 1, not {count}.")
        if layer not in self.layers:
            raise UnknownNameError("prepared layer", layer, self.layers)
        if not 0 <= photo < self.photos:
            raise OptionError(f"there is no photo {photo}: the {self.photos} photos count from 0.")
        return strongest_of(layer, self.outputs[layer][photo], count, active=active)

    def project(self, units: Sequence[Unit | str], *, photos: Sequence[int] | None = None) -> Projections:
        """Draw in pixel space what units respond to; bit for bit what `project` gives on whole forward passes.

        Parameters
        ----------
        units : sequence of Unit or str
            Of the prepared layers.
        photos : sequence of int, optional
            As for `project`: the photo of each unit; every unit for each photo unless given.

        Returns
        -------
        Projections

        Raises
        ------
        UnknownNameError
            If a unit is of a layer that was not prepared.
        UnitError, OptionError
            If a unit cannot be read or lies outside its layer, or there is no such photo.
        ModelError
            If a projection is not finite, or the model's weights were changed since.
        """
        wanted = read_units(units)
        for unit in wanted:
            if unit.layer not in self.layers:
                raise UnknownNameError("prepared layer", unit.layer, self.layers)
        jobs = pair_units_with_photos(wanted, photos, self.photos)
        places: dict[int, list[int]] = {}
        for index, (_, photo) in enumerate(jobs):
            places.setdefault(photo, []).append(index)
        buffer = ProjectionBuffer.empty(len(jobs), self._image, self._dtype, self._device)
        with torch.inference_mode(False), torch.enable_grad():
            for each in self._passes:
                for layer in self.layers:
                    project_layer(each, layer, self._fields[layer], jobs, places, self._settings, buffer)
        return buffer.projections(jobs, self._settings, self._onto, self.views)


def strongest_of(layer: str, values: Tensor, count: int, *, active: bool) -> list[Unit]:
    """The strongest maps in one photo's output of a layer, C x H x W or F; compared as float32."""
    spatial = values.ndim == 3
    exact = values.detach() if values.dtype in (torch.float32, torch.float64) else values.detach().float()
    cells = exact.reshape(len(values), -1).cpu().numpy()
    scores = (cells.max(axis=1).clip(min=0) if spatial else cells[:, 0]).astype(np.float32)
    order = np.argsort(-scores, kind="stable")[:count]
    units: list[Unit] = []
    for channel in order[scores[order] > 0] if active else order:
        unit = Unit(layer, int(channel), None)
        if spatial:
            first = int(cells[channel].argmax()) if scores[channel] > 0 else 0
            unit = unit.at(*divmod(first, values.shape[2]))
        units.append(unit)
    return units


def _joined(parts: Sequence[Any]) -> Any:
    """What several passes gave, as if one had."""
    if len(parts) == 1:
        return parts[0]
    if not all(isinstance(each, Tensor) for each in parts):
        raise ModelError(f"the model gives a {type(parts[0]).__name__}, not a tensor: prepare one photo at a time.")
    return torch.cat(list(parts))
