"""Project units to pixel space: one forward pass for a batch of photos, then one pass down for each unit."""

from __future__ import annotations

import contextlib
import inspect
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deconvnet.errors import DeconvnetError, ModelError, OptionError, UnitError, UnknownNameError
from deconvnet.geometry import Box
from deconvnet.projection._lrn import skip_lrn
from deconvnet.projection._path import Way, check_path, kind_of
from deconvnet.projection._plan import NoWindows, Plan, read_plan
from deconvnet.projection._pooling import UNPOOLS
from deconvnet.projection._records import Projections
from deconvnet.projection._rules import Rule, find_rule
from deconvnet.projection._substitution import Deconvnet, Site
from deconvnet.projection._windows import Group, Start, climb_and_descend, descend, groups
from deconvnet.projection._windows import boxes as windows_of
from deconvnet.runs import Unit
from deconvnet.tracing.forward import ModuleRecorder, evaluating, run_once
from deconvnet.tracing.lrn import works_cell_by_cell
from deconvnet.tracing.modes import check_followable, example_weight
from deconvnet.tracing.receptive import FieldTracker, LayerField

LRNS = ("identity", "grad")
ACTIVATION_POLICIES = ("refuse", "gradient", "relu")
INACTIVES = ("nothing", "project")
_HOOKED = "a hook of the model's own changes a gradient on the way"


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

    All other activations of the unit's layer are set to zero, and what is left is passed down: unpool by the photo's
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
    inactive : {"nothing", "project"}
        What to do with a unit whose activation is not above zero: give nothing, as the paper's procedure does (what it
        would pass down is 0), or project it all the same; the latter only with ``seed="one"``, which does not ask how
        strong the unit is. For comparing pictures of networks in which other units are active.
    batch_size : int
        Photos that go through the model at once, at most; bounds the memory of the forward pass.
    windows : bool
        Pass units down through their receptive field alone, many at a time, wherever each step between unit and pixels
        is known to allow that; the result is the same but for rounding. False passes every unit down through the whole
        maps.
    memory : int
        Bytes that units on their way down through windows may take at once, besides the maps of the forward pass and
        the result; so many units go down together as fit in (one at least).

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
    settings = _settings(rule, unpool, lrn, seed, activations, inactive, batch_size, windows, memory)
    wanted = _units(units)
    _check_model(model, [unit.layer for unit in wanted])
    given = _Inputs.of(inputs, onto)
    _check_arguments(model, 1 + len(given.others))
    jobs = _jobs(wanted, photos, len(given.pixels))

    by_photo: dict[int, list[int]] = {}
    for index, (_, photo) in enumerate(jobs):
        by_photo.setdefault(photo, []).append(index)
    # Photos with about as many units each go together, so that few rows of a pass down are empty.
    order = sorted(by_photo, key=lambda photo: (-len(by_photo[photo]), photo))
    result = _Result.empty(len(jobs), given.pixels, model)
    layers = sorted({unit.layer for unit in wanted})
    runs: Mapping[str, int] | None = dict.fromkeys(layers, 1) if run_once(model, layers) else None
    fields: dict[str, LayerField] = {}
    # Of a photo whose units all have positions, windows alone may do; another photo, or one of them, shows the way.
    placed = {photo for photo, indices in by_photo.items() if all(jobs[index][0].position for index in indices)}
    # With several inputs, what one photo's pass tells of a layer may come from its other inputs.
    crop = windows and len(placed) > 2 and not given.others and not _channels_last(model)
    if crop:
        order.sort(key=lambda photo: photo in placed)
    count = min(batch_size, max(1, len(order) - len(placed))) if crop else batch_size
    with evaluating(model):
        while order:
            chunk, order = order[:count], order[count:]
            pass_ = _climb(model, given, chunk, layers, settings, runs, track=not fields)
            if len(chunk) > 1 and pass_.couples_photos():  # else a photo's answer would depend on its company
                order, count, batch_size = chunk + order, 1, 1
                continue
            runs, fields = runs or pass_.runs, fields or pass_.fields
            for layer in pass_.outputs:
                rows = [
                    (row, index)
                    for row, photo in enumerate(chunk)
                    for index in by_photo[photo]
                    if jobs[index][0].layer == layer
                ]
                if rows:
                    _descend(pass_, layer, fields[layer], rows, jobs, settings, result)
            if crop:
                ways = _ways(pass_, layers, settings)
                near = [p for p in order if p in placed and _is_near(ways, [jobs[index][0] for index in by_photo[p]])]
                del pass_  # its maps are not needed for what follows
                _project_near(ways, given.pixels, near, by_photo, jobs, settings, result)
                order = [photo for photo in order if photo not in set(near)]
                crop, count = False, batch_size
    return Projections(
        units=tuple(result.units[index] for index in range(len(jobs))),
        photos=tuple(photo for _, photo in jobs),
        activations=result.activations,
        active=result.activations > 0,
        boxes=tuple(result.boxes),
        crops=tuple(result.crops),
        windows=tuple(result.windows),
        image=(given.pixels.shape[1], given.pixels.shape[2], given.pixels.shape[3]),
        windowed=result.windowed,
        whole_maps=result.whole_maps,
        relus=tuple(result.relus),
        rule=settings.rule_name,
        unpool=unpool,
        lrn=lrn,
        seed=settings.seed,
        activation_policy=activations,
        inactive=inactive,
        onto=given.onto,
    )


def _channels_last(model: nn.Module) -> bool:
    """Whether convolution weights lie in the channels-last layout, in which convolutions round by their size."""
    return any(
        p.ndim == 4 and not p.is_contiguous() and p.is_contiguous(memory_format=torch.channels_last)
        for p in model.parameters()
    )


@dataclass(frozen=True)
class _Settings:
    rule_name: str
    rule: Rule
    unpool: str
    lrn: str
    seed: str
    activations: str
    inactive: str
    windows: bool
    memory: int

    def starts(self, activation: float) -> bool:
        """Whether a unit of that activation is passed down."""
        return activation > 0 or self.inactive == "project"


def _settings(
    rule: str | Rule,
    unpool: str,
    lrn: str,
    seed: str | float,
    activations: str,
    inactive: str,
    batch_size: int,
    windows: bool,
    memory: int,
) -> _Settings:
    name, function = find_rule(rule)
    start = "one" if not isinstance(seed, str) and seed == 1 else seed
    for option, value, choices in (
        ("unpool", unpool, UNPOOLS),
        ("lrn", lrn, LRNS),
        ("seed", start, ("activation", "one")),
        ("activations", activations, ACTIVATION_POLICIES),
        ("inactive", inactive, INACTIVES),
    ):
        if value not in choices:
            raise OptionError(f"{option}={value!r} is not known: choose from {', '.join(choices)}.")
    if inactive == "project" and start != "one":
        raise OptionError(
            'inactive="project" has nothing to start from with seed="activation", which is not above zero: give '
            'seed="one" too.'
        )
    for given, value, example in (("batch_size", batch_size, "32"), ("memory", memory, "2**30 bytes")):
        if not isinstance(value, Integral):
            raise OptionError(f"{given}={value!r} is no whole number: give one, for example {example}.")
        if value < 1:
            raise OptionError(f"{given}={value} is too small: give at least 1, for example {example}.")
    return _Settings(name, function, unpool, lrn, str(start), activations, inactive, windows, memory)


def _units(units: Sequence[Unit | str]) -> list[Unit]:
    if isinstance(units, str | Unit):
        raise UnitError(f"units={str(units)!r} is one unit: give a list of units, for example [{str(units)!r}].")
    for unit in units:
        if not isinstance(unit, str | Unit):
            raise UnitError(f"{unit!r} is no unit: write LAYER:CHANNEL, for example 'conv5:17'.")
    return [unit if isinstance(unit, Unit) else Unit.parse(unit) for unit in units]


def _check_model(model: nn.Module, layers: Sequence[str]) -> None:
    check_followable(model)
    known = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    for layer in layers:
        if layer not in known:
            raise UnknownNameError("layer", layer, known)


def _check_arguments(model: nn.Module, count: int) -> None:
    if model._forward_pre_hooks:  # may change the arguments
        return
    try:
        signature = inspect.signature(model.forward)
    except ValueError:  # a forward that tells nothing of its arguments
        return
    try:
        signature.bind(*[None] * count)
    except TypeError as error:
        given = "one input" if count == 1 else f"{count} inputs"
        raise ModelError(
            f"the model's forward does not take {given} ({error}): give all of its tensors, in its order, as a "
            "sequence."
        ) from None


@dataclass(frozen=True)
class _Inputs:
    """What the model is given: the pixels to project to, as its argument number ``onto``, and its other arguments."""

    pixels: Tensor
    others: tuple[Tensor, ...]
    onto: int

    @classmethod
    def of(cls, inputs: Any, onto: int) -> _Inputs:
        every = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
        for each in every or (None,):
            if not isinstance(each, Tensor):
                raise OptionError(
                    f"inputs hold a {type(each).__name__}: give a float tensor N x C x H x W, or a sequence of tensors "
                    "for a model of several inputs."
                )
        if not 0 <= onto < len(every):
            raise OptionError(f"onto={onto} is no input: the model is given {len(every)}, which count from 0.")
        pixels, others = every[onto], every[:onto] + every[onto + 1 :]
        if pixels.ndim != 4 or not pixels.is_floating_point() or 0 in pixels.shape:
            raise OptionError(
                f"inputs of shape {tuple(pixels.shape)} and type {pixels.dtype} are not photos: "
                "give a float tensor N x C x H x W, preprocessed for the model."
            )
        if any(each.is_meta for each in every):
            raise OptionError("inputs have a shape but no values (device meta): give photos.")
        for each in others:
            if each.ndim == 0 or len(each) != len(pixels):
                raise OptionError(
                    f"inputs of shapes {tuple(pixels.shape)} and {tuple(each.shape)} do not go together: "
                    "give as many of one as of the other."
                )
        return cls(pixels.detach(), tuple(each.detach() for each in others), onto)

    def arguments(self, pixels: Tensor, photos: list[int]) -> tuple[Tensor, ...]:
        """All arguments of the forward pass of some photos, whose pixels are given."""
        rest = [
            each[photos].to(pixels.device, pixels.dtype if each.is_floating_point() else each.dtype)
            for each in self.others
        ]
        for each in rest:
            if each.is_floating_point() and not _all_finite(each):
                raise ModelError(f"another input of {_bad_photo(each, photos)} holds NaN or infinite numbers.")
        return (*rest[: self.onto], pixels, *rest[self.onto :])


def _jobs(units: list[Unit], photos: Sequence[int] | None, count: int) -> list[tuple[Unit, int]]:
    if not units:
        raise OptionError("there is no unit to project: give at least one, for example 'conv5:17'.")
    if photos is None:
        return [(unit, photo) for unit in units for photo in range(count)]
    if len(photos) != len(units):
        raise OptionError(
            f"photos has length {len(photos)} and units has length {len(units)}: give one photo index for each unit."
        )
    for photo in photos:
        try:
            operator.index(photo)
        except TypeError:
            raise OptionError(f"photo {photo!r} is no index: its photos are 0 to {count - 1}.") from None
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
    crops: list[NDArray[np.floating]]
    windows: list[Box]
    windowed: NDArray[np.bool_]
    whole_maps: dict[str, str]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def empty(cls, count: int, inputs: Tensor, model: nn.Module) -> _Result:
        dtype, device = _precision(inputs, model)
        precision = np.float64 if dtype == torch.float64 else np.float32
        _, channels, height, width = inputs.shape
        nothing = np.broadcast_to(np.zeros((), precision), (channels, height, width))
        whole = Box(0, 0, height, width)
        return cls(
            units={},
            activations=np.zeros(count, precision),
            boxes=[None] * count,
            relus=[0] * count,
            crops=[nothing] * count,
            windows=[whole] * count,
            windowed=np.zeros(count, bool),
            whole_maps={},
            dtype=dtype,
            device=device,
        )

    def draw(self, index: int, crop: NDArray[np.floating], window: Box) -> None:
        self.crops[index], self.windows[index] = crop, window

    def as_array(self, signal: Tensor) -> NDArray[np.floating]:
        wide = self.activations.dtype == np.float64
        return signal.to("cpu", torch.float64 if wide else torch.float32).contiguous().numpy()


def _precision(inputs: Tensor, model: nn.Module) -> tuple[torch.dtype, torch.device]:
    example = example_weight(model, inputs)
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
    taken: dict[str, Site | None] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)

    def way(self, layer: str) -> Way:
        """What lies between a layer and the pixels, looked at once; refuses what has no right answer."""
        if layer not in self.ways:
            top, taken = self.outputs[layer].grad_fn, self.taken[layer]
            self.ways[layer] = check_path(top, self.accumulator, layer, self.mode, taken)
        return self.ways[layer]

    def couples_photos(self) -> bool:
        """Whether what one photo gives may depend on the others of the batch."""
        ways = [self.way(layer) for layer in self.outputs]
        return self.mode.reads_values or any(way.mixed or way.gated for way in ways)


def _climb(
    model: nn.Module,
    inputs: _Inputs,
    photos: list[int],
    layers: list[str],
    settings: _Settings,
    runs: Mapping[str, int] | None,
    track: bool,
) -> _Pass:
    """Forward, recording the asked layers; ends early if ``runs`` says how often each of them runs."""
    dtype, device = _precision(inputs.pixels, model)
    leaf = inputs.pixels[photos].to(device, dtype).requires_grad_()  # a list index copies
    if not _all_finite(leaf):
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
            way_up = _way_up(module, arguments[0], output)
            output = replaced = skip_lrn(arguments[0], output, way_up)
        mode.follow(module, names[0], output)
        if tracker is not None:
            tracker.follow(module, arguments, output)
        for name in names:
            if name in layers:
                _check_output(name, output, len(photos))
                pass_.outputs[name] = output.clone()  # the model may overwrite the tensor itself
                pass_.runs[name] += 1
                pass_.taken[name] = mode.taken_out
                if tracker is not None:
                    pass_.fields[name] = tracker.layer(output)
        if runs is not None and all(pass_.runs[name] >= runs[name] for name in layers):
            ModuleRecorder.stop()
        return replaced

    watch = ModuleRecorder(model, see)
    mode = Deconvnet(settings.rule, settings.unpool, settings.lrn, settings.activations, watch.where)
    mode.watch(pixels)
    tracker = FieldTracker(pixels) if track else None
    pass_ = _Pass(photos, leaf, pixels.grad_fn.next_functions[0][0], mode)
    try:
        with mode, tracker or contextlib.nullcontext():
            watch.run(model, *inputs.arguments(pixels, photos))
    except DeconvnetError:
        raise
    except Exception as error:
        if not all(name in pass_.outputs for name in layers):
            size = " x ".join(map(str, leaf.shape[1:]))
            raise ModelError(
                f"the model does not run on photos of {size} ({_first_line(error)}): check their size and channels, "
                "and the model itself."
            ) from error
    for name in layers:
        if name not in pass_.outputs:
            raise ModelError(f"layer {name!r} did not run in the model's forward pass: ask for one that does.")
        if not _all_finite(pass_.outputs[name]):
            raise ModelError(
                f"layer {name!r} gives NaN or infinite activations for {_bad_photo(pass_.outputs[name], photos)}: "
                "check the weights and the preprocessing."
            )
    return pass_


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"


def _way_up(module: nn.Module, maps: Tensor, output: Tensor) -> Callable[[Tensor], Tensor] | None:
    """What a normalising module computes, if that is known for other maps and it works cell by cell."""
    node = output.grad_fn
    if node is not None and kind_of(node) == "PassDown" and node.next_functions[0][0] is maps.grad_fn:
        return node.compute  # type: ignore[attr-defined]
    if module._forward_hooks or module._forward_pre_hooks or not works_cell_by_cell(module, maps):
        return None
    return module.forward


def _check_output(name: str, output: Any, count: int) -> None:
    if not isinstance(output, Tensor):
        raise ModelError(f"layer {name!r} gives a {type(output).__name__}, not a tensor: ask for a layer inside it.")
    if output.ndim not in (2, 4) or output.shape[0] != count:
        raise ModelError(
            f"layer {name!r} gives a tensor of shape {tuple(output.shape)} for {count} photos: "
            "units need N x C x H x W or N x F."
        )


def _all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite. Their sum tells it in one pass, unless it overflows."""
    return math.isfinite(values.detach().sum().item()) or bool(torch.isfinite(values).all())


def _bad_photo(values: Tensor, photos: list[int]) -> str:
    finite = torch.isfinite(values).reshape(len(values), -1).all(1)
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
    way = pass_.way(layer)
    values = output.detach()
    starts: list[tuple[int, int]] = []
    for row, index in rows:
        unit = _at_strongest(jobs[index][0], values[row])
        activation = values[(row, unit.channel, *(unit.position or ()))].item()
        result.units[index], result.activations[index], result.relus[index] = unit, activation, way.relus
        result.boxes[index] = seen.box(*(unit.position or (0, 0)))
        if settings.starts(activation):
            starts.append((row, index))
    refused = _HOOKED if way.hooked else _descend_windows(pass_, layer, starts, settings, result)
    if refused:
        result.whole_maps[layer] = refused
        _descend_maps(pass_, layer, starts, settings, result)
    else:
        result.windowed[[index for _, index in rows]] = True


def _descend_windows(
    pass_: _Pass, layer: str, starts: list[tuple[int, int]], settings: _Settings, result: _Result
) -> str:
    """Down through windows; why not, where that is not known to be right."""
    if not settings.windows:
        return "windows=False"
    try:
        plan = read_plan(pass_.outputs[layer], pass_.leaf, pass_.accumulator, pass_.mode.biases)
        batches = groups(plan, [_start(index, row, settings, result) for row, index in starts], settings.memory)
    except NoWindows as reason:
        return str(reason)
    with torch.no_grad():
        for group in batches:
            signal = descend(plan, group, pass_.leaf)
            _draw_windows(layer, group, signal, result)
    return ""


@dataclass(frozen=True)
class _Way:
    """What a first photo told about a layer, for photos of which windows alone are looked at."""

    plan: Plan
    field: LayerField
    relus: int


def _ways(pass_: _Pass, layers: list[str], settings: _Settings) -> dict[str, _Way]:
    """The layers whose units can be computed on windows alone, upwards too."""
    ways: dict[str, _Way] = {}
    if pass_.mode.reads_values:  # another photo could go through the model by another way
        return ways
    for layer in layers:
        output, field = pass_.outputs[layer], pass_.fields[layer]
        way = pass_.way(layer)
        if way.gated or way.hooked:  # another photo has other numbers
            continue
        try:
            plan = read_plan(output, pass_.leaf, pass_.accumulator, pass_.mode.biases)
        except NoWindows:
            continue
        if plan.rises:
            ways[layer] = _Way(plan.without_maps(), field, way.relus)
    return ways


def _is_near(ways: Mapping[str, _Way], units: Sequence[Unit]) -> bool:
    """Whether one photo's units take less work on windows than a forward pass."""
    if not all(unit.layer in ways for unit in units):
        return False
    work = 0
    for unit in units:
        plan = ways[unit.layer].plan
        _check_unit(unit, plan.vertices[0].shape)
        assert unit.position is not None
        rows, columns = plan.span(0, unit.position[0]), plan.span(1, unit.position[1])
        if not rows.reaches or not columns.reaches:
            return False
        work += plan.work(rows, columns)
    return work < max(ways[unit.layer].plan.work() for unit in units)


def _project_near(
    ways: Mapping[str, _Way],
    inputs: Tensor,
    photos: list[int],
    by_photo: Mapping[int, list[int]],
    jobs: list[tuple[Unit, int]],
    settings: _Settings,
    result: _Result,
) -> None:
    """Forward pass and projections on windows alone."""
    by_layer: dict[str, list[Start]] = {}
    for photo in photos:
        if not _all_finite(inputs[photo].to(result.dtype)):
            raise ModelError(f"photo {photo} holds NaN or infinite pixels: check its preprocessing.")
        for index in by_photo[photo]:
            unit = jobs[index][0]
            assert unit.position is not None
            way = ways[unit.layer]
            result.units[index], result.relus[index] = unit, way.relus
            result.boxes[index], result.windowed[index] = way.field.box(*unit.position), True
            by_layer.setdefault(unit.layer, []).append(Start(index, photo, unit.channel, unit.position, 1.0))
    like = torch.empty((), dtype=result.dtype, device=result.device)
    seed = None if settings.seed == "activation" else 1.0
    for layer, starts in by_layer.items():
        plan = ways[layer].plan
        for group in groups(plan, starts, settings.memory):
            with torch.no_grad():
                activations, signal = climb_and_descend(plan, group, inputs, seed, settings.inactive == "project", like)
            for start, activation in zip(group.starts, activations.tolist(), strict=True):
                if not math.isfinite(activation):
                    raise ModelError(
                        f"layer {layer!r} gives NaN or infinite activations for photo {start.row}: "
                        "check the weights and the preprocessing."
                    )
                result.activations[start.index] = activation
            _draw_windows(layer, group, signal, result)


def _start(index: int, row: int, settings: _Settings, result: _Result) -> Start:
    unit = result.units[index]
    assert unit.position is not None
    value = float(result.activations[index]) if settings.seed == "activation" else 1.0
    return Start(index, row, unit.channel, unit.position, value)


def _draw_windows(layer: str, group: Group, signal: Tensor, result: _Result) -> None:
    if not _all_finite(signal):
        raise ModelError(
            f"a projection from layer {layer!r} is not finite: "
            "check the weights, or give the model in a wider floating-point type."
        )
    for start, crop, window in zip(group.starts, result.as_array(signal), windows_of(group), strict=True):
        result.draw(start.index, crop, window)


def _descend_maps(
    pass_: _Pass, layer: str, starts: list[tuple[int, int]], settings: _Settings, result: _Result
) -> None:
    """Down through the whole maps, one unit of each photo at a time."""
    output = pass_.outputs[layer]
    values = output.detach()
    waiting: dict[int, list[int]] = {}
    for row, index in starts:
        waiting.setdefault(row, []).append(index)
    for turn in _turns(waiting):
        seeds = torch.zeros_like(values)
        for row, index in turn:
            unit = result.units[index]
            cell = (row, unit.channel, *(unit.position or ()))
            seeds[cell] = values[cell] if settings.seed == "activation" else 1.0
        try:
            (signal,) = torch.autograd.grad(output, pass_.leaf, seeds, retain_graph=True)
        except RuntimeError as error:  # a tensor was overwritten, or is computed again by a checkpoint
            advice = (
                "ask for a layer below that step"
                if isinstance(error, NotImplementedError) or "not implemented" in str(error)
                else "take in-place steps and checkpoints out of the model's forward"
            )
            raise ModelError(
                f"autograd does not come down from layer {layer!r} ({_first_line(error)}): {advice}."
            ) from error
        if not _all_finite(signal):
            raise ModelError(
                f"a projection from layer {layer!r} is not finite for {_bad_photo(signal, pass_.photos)}: "
                "check the weights, or give the model in a wider floating-point type."
            )
        drawn = result.as_array(signal)
        for row, index in turn:
            result.draw(index, drawn[row], Box(0, 0, *signal.shape[2:]))


def _turns(waiting: dict[int, list[int]]) -> Iterator[list[tuple[int, int]]]:
    """Passes down, each with at most one unit for each photo of the batch."""
    for turn in range(max(map(len, waiting.values()), default=0)):
        yield [(row, indices[turn]) for row, indices in waiting.items() if turn < len(indices)]


def _at_strongest(unit: Unit, values: Tensor) -> Unit:
    """The unit with its position resolved in one photo's values, C x H x W or F; refuses one outside the layer."""
    _check_unit(unit, tuple(values.shape))
    if unit.position is not None or values.ndim == 1:
        return unit
    best = int(torch.argmax(values[unit.channel]))  # of equals the first, in row-major order
    return unit.at(best // values.shape[2], best % values.shape[2])


def _check_unit(unit: Unit, shape: tuple[int, ...]) -> None:
    """Refuse a unit outside its layer, whose output for one photo is C x H x W or F."""
    sizes = " x ".join(map(str, shape))
    if unit.channel >= shape[0]:
        raise UnitError(
            f"unit {unit} is outside its layer, whose shape is {sizes} for these photos: "
            f"channels are 0 to {shape[0] - 1}."
        )
    if len(shape) == 1:
        if unit.position is not None:
            raise UnitError(f"unit {unit} has a position, but its layer, of {sizes} units, has none: leave it out.")
    elif unit.position is not None and (unit.position[0] >= shape[1] or unit.position[1] >= shape[2]):
        raise UnitError(
            f"unit {unit} is outside its layer, whose shape is {sizes} for these photos: rows are 0 to {shape[1] - 1}, "
            f"columns 0 to {shape[2] - 1}."
        )
