"""Project units to pixel space: one forward pass for a batch of photos, then one pass down for each unit."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deconvnet.errors import DeconvnetError, ModelError, OptionError, UnitError, UnknownNameError
from deconvnet.geometry import Box
from deconvnet.projection._forward import Watch, evaluating
from deconvnet.projection._path import check_path
from deconvnet.projection._pooling import UNPOOLS
from deconvnet.projection._receptive import FieldTracker, LayerField
from deconvnet.projection._records import Projections
from deconvnet.projection._rules import Rule, find_rule
from deconvnet.projection._substitution import Deconvnet, skip_lrn
from deconvnet.runs import Unit

LRNS = ("identity", "grad")
ACTIVATION_POLICIES = ("refuse", "gradient", "relu")


def project(
    model: nn.Module,
    inputs: Tensor,
    units: Sequence[Unit | str],
    *,
    photos: Sequence[int] | None = None,
    rule: str | Rule = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    seed: str | float = "activation",
    activations: str = "refuse",
    batch_size: int = 32,
) -> Projections:
    """Draw in pixel space what units respond to, by the deconvnet of Zeiler & Fergus (2013), Sec. 2.1.

    All other activations of the unit's layer are set to zero, and what is left is passed down: unpool by the photo's
    own switches, rectify, filter with the transposed filters, until the pixels are reached. Biases play no part.

    Parameters
    ----------
    model : nn.Module
        Any network of one image batch, unedited. It runs in eval mode and comes back as it was, also after an
        exception: mode, hooks, flags, parameters, buffers, gradients. What it returns does not matter.
    inputs : float Tensor, N x C x H x W
        Photos, preprocessed for the model. They are copied to the model's device and precision.
    units : sequence of Unit or str
        For example ``"conv5:17"`` or ``"conv5:17@6,4"``; layers are named as in ``model.named_modules()``. Without a
        position, the map's strongest position in the photo is meant (of equals, the first in row-major order). Layers
        that give N x F, such as fully connected ones and class scores, have no positions. A layer that ran several
        times in one forward pass gives its last output.
    photos : sequence of int, optional
        Unit i is projected for photo ``photos[i]`` alone. Without it, each unit is projected for each photo, in this
        order: the first unit for photos 0 to N - 1, then the second, and so on.
    rule : {"deconvnet", "guided", "gradient"} or callable
        What happens at a ReLU on the way down; a callable takes (signal, forward_input) and returns the signal.
    unpool : {"sum", "place", "mean"}
        What a cell receives that is the maximum of several overlapping windows: the sum, the largest, or the average
        of their values.
    lrn : {"identity", "grad"}
        Skip local response normalisation on the way down, as the paper does (ECCV version, Sec. 2.1), or take its true
        gradient.
    seed : {"activation", "one"} or 1.0
        The value that the pass down starts from: the unit's activation, or 1.
    activations : {"refuse", "gradient", "relu"}
        What to do with steps between unit and pixels that are neither linear nor a ReLU (tanh, GELU, sigmoid gates,
        layer normalisation, attention): refuse, take the true derivative, or treat elementwise ones like a ReLU on
        the way down and take the true derivative of the others.
    batch_size : int
        Photos that go through the model at once, at most; bounds the memory.

    Returns
    -------
    Projections
        One projection for each (unit, photo). A unit whose activation is not above zero projects to nothing, and is
        marked as not active.

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
    """
    settings = _settings(rule, unpool, lrn, seed, activations, batch_size)
    wanted = [unit if isinstance(unit, Unit) else Unit.parse(unit) for unit in units]
    _check_model(model, [unit.layer for unit in wanted])
    _check_inputs(inputs)
    jobs = _jobs(wanted, photos, len(inputs))

    by_photo: dict[int, list[int]] = {}
    for index, (_, photo) in enumerate(jobs):
        by_photo.setdefault(photo, []).append(index)
    # Photos with about as many units each go together, so that few rows of a pass down are empty.
    order = sorted(by_photo, key=lambda photo: (-len(by_photo[photo]), photo))
    result = _Result.empty(len(jobs), inputs, model)
    runs: Mapping[str, int] | None = None
    fields: dict[str, LayerField] = {}
    with evaluating(model):
        for first in range(0, len(order), batch_size):
            chunk = order[first : first + batch_size]
            pass_ = _climb(model, inputs, chunk, sorted({unit.layer for unit in wanted}), settings, runs)
            runs, fields = pass_.runs, fields or pass_.fields
            for layer in pass_.outputs:
                rows = [
                    (row, index)
                    for row, photo in enumerate(chunk)
                    for index in by_photo[photo]
                    if jobs[index][0].layer == layer
                ]
                if rows:
                    _descend(pass_, layer, fields[layer], rows, jobs, settings, result)
    return Projections(
        units=tuple(result.units[index] for index in range(len(jobs))),
        photos=tuple(photo for _, photo in jobs),
        activations=result.activations,
        active=result.activations > 0,
        boxes=tuple(result.boxes),
        pixels=result.pixels,
        relus=tuple(result.relus),
        rule=settings.rule_name,
        unpool=unpool,
        lrn=lrn,
        seed=settings.seed,
        activation_policy=activations,
    )


@dataclass(frozen=True)
class _Settings:
    rule_name: str
    rule: Rule
    unpool: str
    lrn: str
    seed: str
    activations: str


def _settings(
    rule: str | Rule, unpool: str, lrn: str, seed: str | float, activations: str, batch_size: int
) -> _Settings:
    name, function = find_rule(rule)
    start = "one" if not isinstance(seed, str) and seed == 1 else seed
    for option, value, choices in (
        ("unpool", unpool, UNPOOLS),
        ("lrn", lrn, LRNS),
        ("seed", start, ("activation", "one")),
        ("activations", activations, ACTIVATION_POLICIES),
    ):
        if value not in choices:
            raise OptionError(f"{option}={value!r} is not known: choose from {', '.join(choices)}.")
    if batch_size < 1:
        raise OptionError(f"batch_size={batch_size} is too small: give at least 1.")
    return _Settings(name, function, unpool, lrn, str(start), activations)


def _check_model(model: nn.Module, layers: Sequence[str]) -> None:
    known = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    for layer in layers:
        if layer not in known:
            raise UnknownNameError("layer", layer, known)
    if any(hasattr(module, "_orig_mod") for module in model.modules()):
        raise ModelError("the model is compiled, so its steps cannot be seen: give the module that was compiled.")


def _check_inputs(inputs: Tensor) -> None:
    if inputs.ndim != 4 or not inputs.is_floating_point() or 0 in inputs.shape:
        raise OptionError(
            f"inputs of shape {tuple(inputs.shape)} and type {inputs.dtype} are not photos: "
            "give a float tensor N x C x H x W, preprocessed for the model."
        )


def _jobs(units: list[Unit], photos: Sequence[int] | None, count: int) -> list[tuple[Unit, int]]:
    if not units:
        raise OptionError("there is no unit to project: give at least one, for example 'conv5:17'.")
    if photos is None:
        return [(unit, photo) for unit in units for photo in range(count)]
    if len(photos) != len(units):
        raise OptionError(f"{len(photos)} photos for {len(units)} units: give one photo index for each unit.")
    for photo in photos:
        if not 0 <= photo < count:
            raise OptionError(f"photo {photo} is outside the batch: its {count} photos are 0 to {count - 1}.")
    return [(unit, int(photo)) for unit, photo in zip(units, photos, strict=True)]


@dataclass
class _Result:
    """The answers, filled in one by one."""

    units: dict[int, Unit]
    activations: NDArray[np.floating]
    boxes: list[Box | None]
    relus: list[int]
    pixels: NDArray[np.floating]

    @classmethod
    def empty(cls, count: int, inputs: Tensor, model: nn.Module) -> _Result:
        precision = np.float64 if _precision(inputs, model)[0] == torch.float64 else np.float32
        pixels = np.zeros((count, *inputs.shape[1:]), precision)
        return cls({}, np.zeros(count, precision), [None] * count, [0] * count, pixels)


def _precision(inputs: Tensor, model: nn.Module) -> tuple[torch.dtype, torch.device]:
    example = next((each for each in model.parameters() if each.is_floating_point()), inputs)
    return example.dtype, example.device


@dataclass
class _Pass:
    """One forward pass: the graph that the passes down share."""

    photos: list[int]
    leaf: Tensor
    accumulator: Any  # the graph node of the pixels
    mode: Deconvnet
    outputs: dict[str, Tensor] = field(default_factory=dict)
    fields: dict[str, LayerField] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)


def _climb(
    model: nn.Module,
    inputs: Tensor,
    photos: list[int],
    layers: list[str],
    settings: _Settings,
    runs: Mapping[str, int] | None,
) -> _Pass:
    """Forward, recording the asked layers; ends early if ``runs`` says how often each of them runs."""
    dtype, device = _precision(inputs, model)
    leaf = inputs.detach()[photos].to(device, dtype).requires_grad_()  # a list index copies
    if not bool(torch.isfinite(leaf).all()):
        raise ModelError(f"{_bad_photo(leaf, photos)} holds NaN or infinite pixels: check its preprocessing.")
    pixels = leaf.clone()  # not the leaf itself, which a model could not change in place
    assert pixels.grad_fn is not None

    def see(module: nn.Module, names: list[str], arguments: Any, output: Any) -> Any:
        with torch._C.DisableTorchFunction():
            return see_layer(module, names, arguments, output)

    def see_layer(module: nn.Module, names: list[str], arguments: Any, output: Any) -> Any:
        replaced = None
        if settings.lrn == "identity" and isinstance(module, nn.LocalResponseNorm) and arguments:
            # Whatever calls a subclass of it makes, the signal passes it by.
            output = replaced = skip_lrn(arguments[0], output)
        mode.follow(module, names[0], output)
        if tracker is not None:
            tracker.follow(module, arguments, output)
        for name in names:
            if name in layers:
                _check_output(name, output, len(photos))
                pass_.outputs[name] = output.clone()  # the model may overwrite the tensor itself
                pass_.runs[name] += 1
                if tracker is not None:
                    pass_.fields[name] = tracker.layer(output)
        if runs is not None and all(pass_.runs[name] >= runs[name] for name in layers):
            Watch.stop()
        return replaced

    watch = Watch(model, see)
    mode = Deconvnet(settings.rule, settings.unpool, settings.lrn, settings.activations, watch.where)
    tracker = FieldTracker(pixels) if runs is None else None
    pass_ = _Pass(photos, leaf, pixels.grad_fn.next_functions[0][0], mode)
    try:
        with mode, tracker or contextlib.nullcontext():
            watch.run(model, pixels)
    except DeconvnetError:
        raise
    except Exception:
        if not all(name in pass_.outputs for name in layers):
            raise
    for name in layers:
        if name not in pass_.outputs:
            raise ModelError(f"layer {name!r} did not run in the model's forward pass: ask for one that does.")
        if not bool(torch.isfinite(pass_.outputs[name]).all()):
            raise ModelError(
                f"layer {name!r} gives NaN or infinite activations for {_bad_photo(pass_.outputs[name], photos)}: "
                "check the weights and the preprocessing."
            )
    return pass_


def _check_output(name: str, output: Any, count: int) -> None:
    if not isinstance(output, Tensor):
        raise ModelError(f"layer {name!r} gives a {type(output).__name__}, not a tensor: ask for a layer inside it.")
    if output.ndim not in (2, 4) or output.shape[0] != count:
        raise ModelError(
            f"layer {name!r} gives a tensor of shape {tuple(output.shape)} for {count} photos: "
            "units need N x C x H x W or N x F."
        )


def _bad_photo(values: Tensor, photos: list[int]) -> str:
    finite = torch.isfinite(values).flatten(1).all(1)
    return f"photo {photos[int(torch.argmin(finite.int()))]}"


def _descend(
    pass_: _Pass,
    layer: str,
    seen: LayerField,
    rows: list[tuple[int, int]],
    jobs: list[tuple[Unit, int]],
    settings: _Settings,
    result: _Result,
) -> None:
    """Pass the units of one layer down; ``rows`` pairs a row of the batch with a place in the result."""
    output = pass_.outputs[layer]
    relus = check_path(output.grad_fn, pass_.accumulator, layer, pass_.mode.sites, settings.activations, settings.lrn)
    values = output.detach()
    waiting: dict[int, list[int]] = {}
    for row, index in rows:
        unit = _at_strongest(jobs[index][0], values[row])
        activation = values[(row, unit.channel, *(unit.position or ()))].item()
        result.units[index], result.activations[index], result.relus[index] = unit, activation, relus
        result.boxes[index] = seen.box(*(unit.position or (0, 0)))
        if activation > 0:
            waiting.setdefault(row, []).append(index)

    for turn in _turns(waiting):
        seeds = torch.zeros_like(values)
        for row, index in turn:
            unit = result.units[index]
            cell = (row, unit.channel, *(unit.position or ()))
            seeds[cell] = values[cell] if settings.seed == "activation" else 1.0
        (signal,) = torch.autograd.grad(output, pass_.leaf, seeds, retain_graph=True)
        if not bool(torch.isfinite(signal).all()):
            raise ModelError(
                f"a projection from layer {layer!r} is not finite for {_bad_photo(signal, pass_.photos)}: "
                "check the weights, or give the model in a wider floating-point type."
            )
        drawn = signal.to("cpu", torch.float64 if result.pixels.dtype == np.float64 else torch.float32).numpy()
        for row, index in turn:
            result.pixels[index] = drawn[row]


def _turns(waiting: dict[int, list[int]]) -> Iterator[list[tuple[int, int]]]:
    """Passes down, each with at most one unit for each photo of the batch."""
    for turn in range(max(map(len, waiting.values()), default=0)):
        yield [(row, indices[turn]) for row, indices in waiting.items() if turn < len(indices)]


def _at_strongest(unit: Unit, values: Tensor) -> Unit:
    """The unit with its position resolved in one photo's values, C x H x W or F; refuses one outside the layer."""
    shape = tuple(values.shape)
    sizes = " x ".join(map(str, shape))
    if unit.channel >= shape[0]:
        raise UnitError(
            f"unit {unit} is outside its layer, whose shape is {sizes} for these photos: "
            f"channels are 0 to {shape[0] - 1}."
        )
    if len(shape) == 1:
        if unit.position is not None:
            raise UnitError(f"unit {unit} has a position, but its layer, of {sizes} units, has none: leave it out.")
        return unit
    if unit.position is None:
        best = int(torch.argmax(values[unit.channel]))  # of equals the first, in row-major order
        return unit.at(best // shape[2], best % shape[2])
    if unit.position[0] >= shape[1] or unit.position[1] >= shape[2]:
        raise UnitError(
            f"unit {unit} is outside its layer, whose shape is {sizes} for these photos: rows are 0 to {shape[1] - 1}, "
            f"columns 0 to {shape[2] - 1}."
        )
    return unit
