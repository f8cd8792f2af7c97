"""The one call: units projected to pixel space, from a batch of photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from deconvnet.projection._buffer import ProjectionBuffer
from deconvnet.projection._chooser import is_less_work, project_layer, project_on_windows, routes
from deconvnet.projection._forward import run_forward
from deconvnet.projection._records import Projections
from deconvnet.projection._request import (
    ModelInputs,
    check_arguments,
    check_model,
    pair_units_with_photos,
    precision_of,
    read_settings,
    read_units,
    works_in_channels_last,
)
from deconvnet.projection._rules import Rule
from deconvnet.runs import Unit
from deconvnet.tracing.forward import evaluating, run_once
from deconvnet.tracing.receptive import LayerField


def project(
    model: nn.Module,
    inputs: Tensor | Sequence[Tensor],
    units: Sequence[Unit | str],
    *,
    onto: int = 0,
    photos: Sequence[int] | None = None,
    rule: str | Rule = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    seed: str | float = "activation",
    activations: str = "refuse",
    inactive: str = "nothing",
    batch_size: int = 32,
    windows: bool = True,
    memory: int = 2**30,
) -> Projections:
    """Draw in pixel space what units respond to, by the deconvnet of Zeiler & Fergus (2013), Sec. 2.1.

    All other activations of the unit's layer are set to zero, and what is left is passed back: unpool by the photo's
    own switches, rectify, filter with the transposed filters, until the pixels are reached. Biases play no part.

    Parameters
    ----------
    model : nn.Module
        Any network of image batches, unedited. It runs in eval mode and comes back as it was, also after an
        exception: mode, hooks, flags, parameters, buffers, gradients. What it returns does not matter.
    inputs : float Tensor, N x C x H x W
        Photos, preprocessed for the model. They are copied to the model's device and precision. A model of several
        inputs takes a sequence of tensors, in the order of its forward; N is the same for all.
    units : sequence of Unit or str
        For example ``"conv5:17"`` or ``"conv5:17@6,4"``; layers are named as in ``model.named_modules()``. Without a
        position, the map's strongest position in the photo is meant (of equals, the first in row-major order). Layers
        that give N x F, such as fully connected ones and class scores, have no positions. A layer that ran several
        times in one forward pass gives its last output.
    onto : int
        Of several inputs, the one to project to, from 0: an image batch. The others are taken as they are, and may be
        of any shape N x ... and type.
    photos : sequence of int, optional
        Unit i is projected for photo ``photos[i]`` alone. Without it, each unit is projected for each photo, in this
        order: the first unit for photos 0 to N - 1, then the second, and so on.
    rule : {"deconvnet", "guided", "gradient"} or callable
        What happens at a ReLU in the backward pass; a callable takes (signal, forward_input) and returns the signal.
    unpool : {"sum", "place", "mean"}
        What a cell receives that is the maximum of several overlapping windows: the sum, the largest, or the average
        of their values.
    lrn : {"identity", "grad"}
        Skip local response normalisation in the backward pass, as the paper does (ECCV version, Sec. 2.1), or take its
        true gradient.
    seed : {"activation", "one"} or 1.0
        The value that the backward pass starts from: the unit's activation, or 1.
    activations : {"refuse", "gradient", "relu"}
        What to do with steps between unit and pixels that are neither linear nor a ReLU (tanh, GELU, sigmoid gates,
        layer normalisation, attention): refuse, take the true derivative, or treat elementwise ones like a ReLU in
        the backward pass and take the true derivative of the others.
    inactive : {"nothing", "project"}
        What to do with a unit whose activation is not above zero: give nothing, as the paper's procedure does (what it
        would pass on is 0), or project it all the same; the latter only with ``seed="one"``, which does not ask how
        strong the unit is. For comparing pictures of networks in which other units are active.
    batch_size : int
        Photos that go through the model at once, at most; bounds the memory of the forward pass.
    windows : bool
        Project units through their receptive field alone, many at a time, wherever each step between unit and pixels
        is known to allow that; the result is the same but for rounding. False projects every unit through the whole
        maps.
    memory : int
        Bytes that units projected through windows may take at once, besides the maps of the forward pass and
        the result; so many units go together as fit in (one at least).

    Returns
    -------
    Projections
        One projection for each (unit, photo). A unit whose activation is not above zero is marked as not active; it
        projects to nothing unless ``inactive="project"``.

    Raises
    ------
    UnknownNameError
        If the model has no such layer.
    UnitError
        If a unit cannot be read or lies outside its layer.
    ModelError
        If the layer never ran or gives no maps, if an activation is not finite, or if a step between unit and pixels
        is one on which the deconvnet is not defined.
    OptionError
        If an option is outside its range.

    Notes
    -----
    A forward pass ends once all asked layers have run; if the model fails after that (a classifier that does not fit
    the photo's size), the projections are not concerned.

    Of three or more photos whose units all have positions, later ones may be computed on the units' windows alone. A
    convolution of another size may round differently; where two cells of a max pool are equal but for that, the other
    one may become the switch. That was not seen in torch's default memory layout; models in ``channels_last`` are
    computed whole. ``windows=False`` rules it out.
    """
    settings = read_settings(rule, unpool, lrn, seed, activations, inactive, batch_size, windows, memory)
    wanted = read_units(units)
    check_model(model, [unit.layer for unit in wanted])
    given = ModelInputs.of(inputs, onto)
    check_arguments(model, 1 + len(given.others))
    jobs = pair_units_with_photos(wanted, photos, len(given.pixels))

    places: dict[int, list[int]] = {}
    for index, (_, photo) in enumerate(jobs):
        places.setdefault(photo, []).append(index)
    # Photos with about as many units each go together, so that few rows of a backward pass are empty.
    order = sorted(places, key=lambda photo: (-len(places[photo]), photo))
    buffer = ProjectionBuffer.empty(len(jobs), given.image, *precision_of(given.pixels, model))
    layers = sorted({unit.layer for unit in wanted})
    runs: Mapping[str, int] | None = dict.fromkeys(layers, 1) if run_once(model, layers) else None
    fields: dict[str, LayerField] = {}
    # Of a photo whose units all have positions, windows alone may do; another photo, or one of them, shows how.
    placed = {photo for photo, indices in places.items() if all(jobs[index][0].position for index in indices)}
    # With several inputs, what one photo's pass tells of a layer may come from its other inputs.
    crop = windows and len(placed) > 2 and not given.others and not works_in_channels_last(model)
    if crop:
        order.sort(key=lambda photo: photo in placed)
    count = min(batch_size, max(1, len(order) - len(placed))) if crop else batch_size
    with evaluating(model):
        while order:
            chunk, order = order[:count], order[count:]
            pass_ = run_forward(model, given, chunk, layers, settings, runs, track=not fields)
            if len(chunk) > 1 and pass_.couples_photos():  # else a photo's answer would depend on its company
                order, count, batch_size = chunk + order, 1, 1
                continue
            runs, fields = runs or pass_.runs, fields or pass_.fields
            for layer in pass_.outputs:
                project_layer(pass_, layer, fields[layer], jobs, places, settings, buffer)
            if crop:
                known = routes(pass_, layers, fields)
                near = [p for p in order if p in placed and is_less_work(known, [jobs[i][0] for i in places[p]])]
                del pass_  # its maps are not needed for what follows
                project_on_windows(known, given.pixels, near, jobs, places, settings, buffer)
                order = [photo for photo in order if photo not in set(near)]
                crop, count = False, batch_size
    return buffer.projections(jobs, settings, given.onto)
