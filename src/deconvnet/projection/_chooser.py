"""The chooser: which units go back through windows, and which photos are computed on windows alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deconvnet.errors import ModelError
from deconvnet.projection._buffer import ProjectionBuffer
from deconvnet.projection._forward import ForwardPass
from deconvnet.projection._plan import NoWindows, WindowPlan
from deconvnet.projection._request import Job, ProjectionSettings, all_finite, at_strongest, check_unit
from deconvnet.projection._whole_maps import backward_through_maps
from deconvnet.projection._windows import BackwardStart, backward, forward_and_backward, groups
from deconvnet.runs import Unit
from deconvnet.tracing.receptive import LayerField

_HOOKED = "a hook of the model's own changes a gradient on the way"


def project_layer(
    pass_: ForwardPass,
    layer: str,
    field: LayerField,
    jobs: Sequence[Job],
    places: Mapping[int, Sequence[int]],
    settings: ProjectionSettings,
    buffer: ProjectionBuffer,
) -> None:
    """Project the units of one layer for the photos of a forward pass; ``places`` holds the jobs of each photo."""
    rows = [
        (row, index)
        for row, photo in enumerate(pass_.photos)
        for index in places.get(photo, ())
        if jobs[index][0].layer == layer
    ]
    if not rows:
        return
    output = pass_.outputs[layer]
    path = pass_.path(layer)
    values = output.detach()
    starts: list[tuple[int, int]] = []
    for row, index in rows:
        unit = at_strongest(jobs[index][0], values[row])
        activation = values[(row, unit.channel, *(unit.position or ()))].item()
        buffer.units[index], buffer.activations[index], buffer.relus[index] = unit, activation, path.relus
        buffer.boxes[index] = field.box(*(unit.position or (0, 0)))
        if settings.starts(activation):
            starts.append((row, index))
    refused = _HOOKED if path.hooked else _backward_through_windows(pass_, layer, starts, settings, buffer)
    if refused:
        buffer.whole_maps[layer] = refused
        backward_through_maps(pass_, layer, starts, settings, buffer)
    else:
        buffer.windowed[[index for _, index in rows]] = True


def _backward_through_windows(
    pass_: ForwardPass,
    layer: str,
    starts: list[tuple[int, int]],
    settings: ProjectionSettings,
    buffer: ProjectionBuffer,
) -> str:
    """Project through windows; says why not, where that is not known to be right."""
    if not settings.windows:
        return "windows=False"
    try:
        plan = pass_.plan(layer)
        batches = groups(plan, [buffer.backward_start(index, row, settings) for row, index in starts], settings.memory)
    except NoWindows as reason:
        return str(reason)
    with torch.no_grad():
        for group in batches:
            buffer.draw_windows(layer, group, backward(plan, group, pass_.leaf))
    return ""


@dataclass(frozen=True)
class LayerRoute:
    """What a first photo told about a layer, for photos of which windows alone are looked at."""

    plan: WindowPlan
    field: LayerField
    relus: int


def routes(pass_: ForwardPass, layers: Sequence[str], fields: Mapping[str, LayerField]) -> dict[str, LayerRoute]:
    """The layers whose units can be computed on windows alone, in the forward pass too."""
    found: dict[str, LayerRoute] = {}
    if pass_.mode.reads_values:  # another photo could take another path through the model
        return found
    for layer in layers:
        path = pass_.path(layer)
        if path.gated or path.hooked:  # another photo has other numbers
            continue
        try:
            plan = pass_.plan(layer)
        except NoWindows:
            continue
        if plan.has_forward:
            found[layer] = LayerRoute(plan.without_maps(), fields[layer], path.relus)
    return found


def is_less_work(known: Mapping[str, LayerRoute], units: Sequence[Unit]) -> bool:
    """Whether one photo's units take less work on windows than a forward pass."""
    if not all(unit.layer in known for unit in units):
        return False
    work = 0
    for unit in units:
        plan = known[unit.layer].plan
        check_unit(unit, plan.vertices[0].shape)
        assert unit.position is not None
        rows, columns = plan.span(0, unit.position[0]), plan.span(1, unit.position[1])
        if not rows.reaches or not columns.reaches:
            return False
        work += plan.work(rows, columns)
    return work < max(known[unit.layer].plan.work() for unit in units)


def project_on_windows(
    known: Mapping[str, LayerRoute],
    inputs: Tensor,
    photos: Sequence[int],
    jobs: Sequence[Job],
    places: Mapping[int, Sequence[int]],
    settings: ProjectionSettings,
    buffer: ProjectionBuffer,
) -> None:
    """Forward pass and projections of photos on the units' windows alone."""
    by_layer: dict[str, list[BackwardStart]] = {}
    for photo in photos:
        if not all_finite(inputs[photo].to(buffer.dtype)):
            raise ModelError(f"photo {photo} holds NaN or infinite pixels: check its preprocessing.")
        for index in places[photo]:
            unit = jobs[index][0]
            assert unit.position is not None
            route = known[unit.layer]
            buffer.units[index], buffer.relus[index] = unit, route.relus
            buffer.boxes[index], buffer.windowed[index] = route.field.box(*unit.position), True
            by_layer.setdefault(unit.layer, []).append(BackwardStart(index, photo, unit.channel, unit.position, 1.0))
    like = torch.empty((), dtype=buffer.dtype, device=buffer.device)
    value = None if settings.start == "activation" else 1.0
    for layer, starts in by_layer.items():
        plan = known[layer].plan
        for group in groups(plan, starts, settings.memory):
            with torch.no_grad():
                activations, signal = forward_and_backward(
                    plan, group, inputs, value, settings.inactive == "project", like
                )
            for start, activation in zip(group.starts, activations.tolist(), strict=True):
                if not math.isfinite(activation):
                    raise ModelError(
                        f"layer {layer!r} gives NaN or infinite activations for photo {start.row}: "
                        "check the weights and the preprocessing."
                    )
                buffer.activations[start.index] = activation
            buffer.draw_windows(layer, group, signal)
