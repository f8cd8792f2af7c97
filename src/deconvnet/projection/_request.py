"""What is asked of the engine, checked before a tensor moves: settings, units, model, inputs."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError, UnitError, UnknownNameError
from deconvnet.projection._pooling import UNPOOLS
from deconvnet.projection._rules import Rule, find_rule
from deconvnet.runs import Unit
from deconvnet.tracing.modes import check_followable, example_weight

LRNS = ("identity", "grad")
ACTIVATION_POLICIES = ("refuse", "gradient", "relu")
INACTIVES = ("nothing", "project")

Job = tuple[Unit, int]
"""A unit, and the photo that it is projected for."""


@dataclass(frozen=True)
class ProjectionSettings:
    """The settings of `project`, checked. ``start`` is the value that a backward pass starts from."""

    rule_name: str
    rule: Rule
    unpool: str
    lrn: str
    start: str
    activations: str
    inactive: str
    windows: bool
    memory: int

    def starts(self, activation: float) -> bool:
        """Whether a unit of that activation is projected."""
        return activation > 0 or self.inactive == "project"


def read_settings(
    rule: str | Rule,
    unpool: str,
    lrn: str,
    seed: str | float,
    activations: str,
    inactive: str,
    batch_size: int,
    windows: bool,
    memory: int,
) -> ProjectionSettings:
    """The settings; ``OptionError`` if one is outside its range."""
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
    return ProjectionSettings(name, function, unpool, lrn, str(start), activations, inactive, windows, memory)


def read_units(units: Sequence[Unit | str]) -> list[Unit]:
    """The units; ``UnitError`` if one cannot be read."""
    if isinstance(units, str | Unit):
        raise UnitError(f"units={str(units)!r} is one unit: give a list of units, for example [{str(units)!r}].")
    for unit in units:
        if not isinstance(unit, str | Unit):
            raise UnitError(f"{unit!r} is no unit: write LAYER:CHANNEL, for example 'conv5:17'.")
    return [unit if isinstance(unit, Unit) else Unit.parse(unit) for unit in units]


def check_model(model: nn.Module, layers: Sequence[str]) -> None:
    """Refuse a model that cannot be followed, and layers that it does not have."""
    check_followable(model)
    known = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    for layer in layers:
        if layer not in known:
            raise UnknownNameError("layer", layer, known)


def check_arguments(model: nn.Module, count: int) -> None:
    """Refuse a model whose forward does not take so many arguments."""
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
class ModelInputs:
    """What the model is given: the pixels to project to, as its argument number ``onto``, and its other arguments."""

    pixels: Tensor
    others: tuple[Tensor, ...]
    onto: int

    @classmethod
    def of(cls, inputs: Any, onto: int) -> ModelInputs:
        """What a caller gave; ``OptionError`` if it is not photos."""
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

    @property
    def image(self) -> tuple[int, int, int]:
        """C, H, W of a photo."""
        return self.pixels.shape[1], self.pixels.shape[2], self.pixels.shape[3]

    def arguments(self, pixels: Tensor, photos: list[int]) -> tuple[Tensor, ...]:
        """All arguments of the forward pass of some photos, whose pixels are given."""
        rest = [
            each[photos].to(pixels.device, pixels.dtype if each.is_floating_point() else each.dtype)
            for each in self.others
        ]
        for each in rest:
            if each.is_floating_point() and not all_finite(each):
                raise ModelError(f"another input of {bad_photo(each, photos)} holds NaN or infinite numbers.")
        return (*rest[: self.onto], pixels, *rest[self.onto :])


def pair_units_with_photos(units: list[Unit], photos: Sequence[int] | None, count: int) -> list[Job]:
    """Each unit with its photo of ``count``; each with every photo where ``photos`` is not given."""
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


def precision_of(inputs: Tensor, model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """The floating-point type and device that the model works in."""
    example = example_weight(model, inputs)
    return example.dtype, example.device


def works_in_channels_last(model: nn.Module) -> bool:
    """Whether convolution weights lie in the channels-last layout, in which convolutions round by their size."""
    return any(
        p.ndim == 4 and not p.is_contiguous() and p.is_contiguous(memory_format=torch.channels_last)
        for p in model.parameters()
    )


def all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite. Their sum tells it in one pass, unless it overflows."""
    return math.isfinite(values.detach().sum().item()) or bool(torch.isfinite(values).all())


def bad_photo(values: Tensor, photos: Sequence[int]) -> str:
    """Which photo has the first value that is not finite, in words."""
    finite = torch.isfinite(values).reshape(len(values), -1).all(1)
    return f"photo {photos[int(torch.argmin(finite.int()))]}"


def at_strongest(unit: Unit, values: Tensor) -> Unit:
    """The unit with its position resolved in one photo's values, C x H x W or F; refuses one outside the layer."""
    check_unit(unit, tuple(values.shape))
    if unit.position is not None or values.ndim == 1:
        return unit
    best = int(torch.argmax(values[unit.channel]))  # of equals the first, in row-major order
    return unit.at(best // values.shape[2], best % values.shape[2])


def check_unit(unit: Unit, shape: tuple[int, ...]) -> None:
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
