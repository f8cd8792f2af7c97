"""A model's own computation, written down as a list of steps by running it, whatever its code looks like.

The model is traced on tensors without content (nothing is computed, no value is known), at two batch sizes. Where an
integer in a step differs between the two it depends on the batch, linearly, so that the list serves any batch size.
Code that decides by values cannot be traced and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode

from deconvnet.errors import ModelError
from deconvnet.tracing.recorder import record_outputs

_BATCHES = (3, 5)


@dataclass(frozen=True)
class Ref:
    """The value of an earlier step."""

    step: int


@dataclass(frozen=True)
class PerBatch:
    """An integer that is ``slope`` times the batch size, plus ``offset``."""

    slope: int
    offset: int

    def at(self, batch: int) -> int:
        """The integer for a batch of this size."""
        return self.slope * batch + self.offset


@dataclass
class CapturedStep:
    """One operation: ``target(*args, **kwargs)``, or a constant, or the photo.

    ``target`` is None for the photo and for a constant, which is then in ``value``. ``shape`` is the shape of what it
    gives, PerBatch where it depends on the batch; None where it gives no single tensor.
    """

    name: str
    target: Callable[..., Any] | None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    value: Tensor | None = None
    shape: tuple[int | PerBatch, ...] | None = None

    @property
    def inputs(self) -> list[int]:
        """The steps whose values it takes."""
        found: list[int] = []
        map_aggregate((self.args, self.kwargs or {}), lambda a: found.append(a.step) if isinstance(a, Ref) else a)
        return found


@dataclass
class Capture:
    """Steps in order; step 0 is the photo. ``output`` and ``maps`` say which steps give what is asked for."""

    steps: list[CapturedStep]
    output: int
    maps: dict[str, int]


@torch.library.custom_op("deconvnet::local_response_norm", mutates_args=())
def local_response_norm(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """As one step, instead of the ten operations that PyTorch makes of it."""
    return F.local_response_norm(x, size, alpha, beta, k)


@local_response_norm.register_fake
def _(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("deconvnet::linear", mutates_args=())
def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """On the last axis of a map whose channels come last; PyTorch would make one long list of all positions of it."""
    return F.linear(x, weight, bias)


@linear.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((*x.shape[:-1], len(weight)))


class _WholeSteps(TorchFunctionMode):
    """Keeps in one step what PyTorch would take apart in a way that hides rows and columns."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.local_response_norm:
            return _normalize(*args, **(kwargs or {}))
        if func is F.linear and (args[0] if args else kwargs["input"]).dim() > 2:
            return _linear_map(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _linear_map(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return linear(input, weight, bias)


def _normalize(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    return local_response_norm(input, size, float(alpha), float(beta), float(k))


def capture(model: nn.Module, photo: Tensor, maps: Sequence[str]) -> Capture:
    """Write down what the model does to a photo of this size.

    Parameters
    ----------
    model : nn.Module
        In any mode; it is run in evaluation mode and left as it was.
    photo : Tensor, (1, C, H, W)
    maps : sequence of str
        Modules whose outputs are wanted beside the model's.

    Raises
    ------
    ModelError
        If it does not give one tensor with a row for each photo, or what it does depends on values of the photo.
    UnknownNameError
        If a module does not exist.
    """
    small, large = (_trace(model, photo, maps, batch) for batch in _BATCHES)
    steps: list[CapturedStep] = []
    place: dict[fx.Node, int] = {}
    nodes, others = list(small.graph.nodes), list(large.graph.nodes)
    if len(nodes) != len(others) or any(
        a.target != b.target for a, b in zip(nodes, others, strict=True) if a.op == "call_function"
    ):
        raise ModelError("the model does other things to a batch of other size, so it cannot be followed step by step.")
    returned: list[Any] = []
    for node, other in zip(nodes, others, strict=True):
        if node.op == "output":
            returned = [place[n] for n in node.args[0]]
            continue
        step = _step(small, node, other, place)
        place[node] = len(steps)
        steps.append(step)
    output, *recorded = returned
    shape = steps[output].shape
    if not shape or shape[0] != PerBatch(1, 0):
        raise ModelError("the model's output has no row for each photo: give a model that returns (N, ...) scores.")
    return Capture(steps, output, dict(zip(maps, recorded, strict=True)))


def _trace(model: nn.Module, photo: Tensor, maps: Sequence[str], batch: int) -> fx.GraphModule:
    def compute(x: Tensor) -> list[Tensor]:
        with record_outputs(model, maps) as recorded, _WholeSteps():
            found = model(x)
            missing = [name for name in maps if name not in recorded]
            if missing:
                raise ModelError(f"{missing[0]} does not run when the model does: ask for another layer.")
            return [found, *(recorded[name] for name in maps)]

    example = photo.new_zeros((batch, *photo.shape[1:]))
    try:
        with torch.no_grad():
            traced = make_fx(torch.func.functionalize(compute), tracing_mode="fake", _allow_non_fake_inputs=True)(
                example
            )
    except RuntimeError as error:
        if "data" in str(error).lower() and ("depend" in str(error).lower() or "trac" in str(error).lower()):
            raise ModelError(
                "what the model does depends on values of the photo, so it cannot be followed step by step: "
                "use deconvnet.incremental.plain."
            ) from error
        raise ModelError(f"the model does not run on a photo of {tuple(photo.shape[1:])}: {error}") from error
    traced.graph.eliminate_dead_code()
    return traced


def _step(graph: fx.GraphModule, node: fx.Node, other: fx.Node, place: dict[fx.Node, int]) -> CapturedStep:
    if node.op == "placeholder":
        return CapturedStep(node.name, None, shape=_shape(node, other))
    if node.op == "get_attr":
        value = getattr(graph, str(node.target))
        return CapturedStep(node.name, None, value=value.detach(), shape=tuple(value.shape))
    assert callable(node.target)
    args = _linear(node.args, other.args, place)
    kwargs = _linear(dict(node.kwargs), dict(other.kwargs), place)
    return CapturedStep(node.name, node.target, args, kwargs, shape=_shape(node, other))


def _shape(node: fx.Node, other: fx.Node) -> tuple[int | PerBatch, ...] | None:
    here, there = node.meta.get("val"), other.meta.get("val")
    if not isinstance(here, Tensor) or not isinstance(there, Tensor):
        return None
    return tuple(_integer(a, b) for a, b in zip(here.shape, there.shape, strict=True))


def _integer(a: int, b: int) -> int | PerBatch:
    if a == b:
        return a
    slope, rest = divmod(b - a, _BATCHES[1] - _BATCHES[0])
    if rest:
        raise ModelError("a size in the model depends on the batch in a way that is not linear: it cannot be followed.")
    return PerBatch(slope, a - slope * _BATCHES[0])


def _linear(a: Any, b: Any, place: dict[fx.Node, int]) -> Any:
    if isinstance(a, fx.Node):
        return Ref(place[a])
    if isinstance(a, (list, tuple)):
        return (
            type(a)(_linear(x, y, place) for x, y in zip(a, b, strict=True))
            if type(a) in (list, tuple)
            else [_linear(x, y, place) for x, y in zip(a, b, strict=True)]
        )
    if isinstance(a, dict):
        return {key: _linear(a[key], b[key], place) for key in a}
    if type(a) is int:
        return _integer(a, b)
    if isinstance(a, float) and a != b:
        raise ModelError("a number in the model depends on the batch size: it cannot be followed.")
    return a
