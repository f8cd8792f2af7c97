"""Recognise a ReLU, another activation or a max pool in a call, however it is written."""

# ruff: noqa: SIM905  (word lists read better as words)
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ACTIVATIONS = frozenset(
    "relu6 hardtanh leaky_relu prelu rrelu elu selu celu gelu silu hardswish hardsigmoid sigmoid logsigmoid tanh "
    "softplus softsign mish threshold clamp clip clamp_min clamp_max hardshrink softshrink tanhshrink relu".split()
)
"""Elementwise functions that can be treated like a ReLU if the user says so (besides the ReLU itself)."""

SHAPED_LIKE = frozenset("to type_as expand_as view_as reshape_as".split())
"""Calls that take nothing but a shape, a type or a device from a second tensor."""


def plain_name(function: Callable[..., Any]) -> str:
    """A function's name without underscores around it and overload behind it: ``F.relu_`` is ``relu``."""
    return str(getattr(function, "__name__", "")).split(".")[0].strip("_").removesuffix("_with_indices")


def shown_name(name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """A call's name as the user knows it: ``nn.ReLU6`` calls ``hardtanh``."""
    if name in ("hardtanh", "clamp", "clip"):
        low = arguments[1] if len(arguments) > 1 else keywords.get("min_val", keywords.get("min"))
        high = arguments[2] if len(arguments) > 2 else keywords.get("max_val", keywords.get("max"))
        if isinstance(low, int | float) and isinstance(high, int | float) and (low, high) == (0, 6):
            return "ReLU6" if name == "hardtanh" else f"{name} from 0 to 6 (ReLU6)"
    return "ReLU6" if name == "relu6" else name


@dataclass(frozen=True)
class Elementwise:
    """A call that maps one tensor cell by cell.

    Attributes
    ----------
    signal : Tensor
        The tensor that it maps.
    compute : callable
        The same call on another tensor; it returns that very tensor if the call works in place.
    is_relu : bool
        Whether the call computes max(x, 0).
    """

    signal: Tensor
    compute: Callable[[Tensor], Tensor]
    is_relu: bool


def read_elementwise(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> Elementwise | None:
    """The call as a ReLU or another elementwise activation, or None if it is neither."""
    name = plain_name(function)
    if name not in ACTIVATIONS and name not in ("maximum", "max", "fmax"):
        return None
    arguments, keywords = list(arguments), dict(keywords)
    if not arguments:  # F.relu(input=x)
        first = keywords.pop("input", keywords.pop("self", None))
        if not isinstance(first, Tensor):
            return None
        arguments = [first]

    place = 0
    if name in ("maximum", "max", "fmax"):
        if len(arguments) == 1 and isinstance(keywords.get("other"), Tensor):
            arguments.append(keywords.pop("other"))
        if len(arguments) != 2 or keywords or not all(isinstance(each, Tensor) for each in arguments):
            return None
        place = 1 if _is_zero(arguments[0]) else 0
        other, signal = arguments[1 - place], arguments[place]
        if not _is_zero(other) or torch.broadcast_shapes(other.shape, signal.shape) != signal.shape:
            return None
        is_relu = True
    else:
        is_relu = name == "relu" or _cuts_at_zero(name, arguments[1:], keywords)

    def compute(tensor: Tensor) -> Tensor:
        return function(*arguments[:place], tensor, *arguments[place + 1 :], **keywords)

    return Elementwise(arguments[place], compute, is_relu)


def _cuts_at_zero(name: str, options: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
    def option(place: int, *names: str) -> Any:
        return options[place] if len(options) > place else next((keywords[n] for n in names if n in keywords), None)

    if name in ("clamp", "clip"):
        high = option(1, "max")
        unbounded = high is None or (isinstance(high, int | float) and math.isinf(high) and high > 0)
        return unbounded and _is_zero(option(0, "min"))
    if name == "clamp_min":
        return _is_zero(option(0, "min"))
    if name == "threshold":
        return _is_zero(option(0, "threshold")) and _is_zero(option(1, "value"))
    return False


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.requires_grad and not bool(torch.count_nonzero(value))
    return isinstance(value, int | float) and value == 0


def read_max_pool(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]], bool] | None:
    """The pooled tensor, the pool as a function to (maxima, switches), and whether the call itself returns both."""
    name = plain_name(function)
    if name not in ("max_pool2d", "adaptive_max_pool2d"):
        return None
    arguments, keywords = list(arguments), dict(keywords)
    maps = arguments.pop(0) if arguments else keywords.pop("input")
    # return_indices is the seventh argument of max_pool2d and the third of adaptive_max_pool2d.
    last = 1 if name == "adaptive_max_pool2d" else 5
    both = bool(keywords.pop("return_indices", False) or (len(arguments) > last and arguments[last]))
    both = both or "_with_indices" in function.__name__
    options = arguments[:last]
    pool = getattr(torch.nn.functional, name)
    return maps, lambda tensor: pool(tensor, *options, **keywords, return_indices=True), both
