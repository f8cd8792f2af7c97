"""Where in a network its maps can be looked at: behind which module each convolution's answer is rectified."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deconvnet.networks.blurpool import BlurPool
from deconvnet.tracing.recorder import ModuleCall, record_calls

_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
_RECTIFIERS = (nn.ReLU, nn.ReLU6)
_POOLS = {nn.MaxPool2d: "max pool", nn.AvgPool2d: "average pool", BlurPool: "blur"}


@dataclass(frozen=True)
class Place:
    """The output of a module's n-th call in a forward pass.

    Attributes
    ----------
    label : str
        What it is called: the convolution whose answer it is, or the module itself.
    module : str
        Name of the module whose output it is.
    call : int
        Which of its calls in one pass, from 0 (one ReLU module may serve several layers).
    rectified : bool
        Whether the values are rectified, so that zero means silence.
    """

    label: str
    module: str
    call: int
    rectified: bool


@dataclass(frozen=True)
class StridedLayer:
    """A layer that keeps every s-th position."""

    layer: str
    kind: str
    strides: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a leaf module, with its tensors and how often each had been written over by then."""

    name: str
    number: int
    part: nn.Module
    input: Tensor
    input_version: int
    output: Tensor
    output_version: int

    def takes(self, earlier: _Call) -> bool:
        """Whether it reads what ``earlier`` gave, unchanged since (``out += identity`` changes it)."""
        return self.input is earlier.output and self.input_version == earlier.output_version


def _calls(module: nn.Module, example: Tensor) -> list[_Call]:
    calls: list[_Call] = []
    versions: dict[str, int] = {}

    def before(name: str, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            versions[name] = inputs[0]._version

    def after(call: ModuleCall) -> None:
        if _turns_a_tensor_into_one(call):
            name, given, made = call.name, call.inputs[0], call.output
            calls.append(_Call(name, call.number, call.module, given, versions[name], made, made._version))

    # tensors of inference_mode do not count how often they are written over
    with record_calls(_leaves(module), after, before), torch.no_grad():
        module(example.clone())
    return calls


def _leaves(module: nn.Module) -> dict[str, nn.Module]:
    return {name: part for name, part in module.named_modules() if name and not list(part.children())}


def _turns_a_tensor_into_one(call: ModuleCall) -> bool:
    return bool(call.inputs) and isinstance(call.inputs[0], Tensor) and isinstance(call.output, Tensor)


def places(module: nn.Module, example: Tensor) -> list[Place]:
    """Where the maps of every convolution can be looked at, in the order of the forward pass.

    A convolution's answer is followed through a normalisation to its ReLU, by the tensor that is handed on. Where it is
    handed to something else (a sum of branches), the convolution has no maps of its own that are rectified, and is left
    out; the ReLU behind the sum is a place of its own. In a network without any ReLU module, convolutions (behind their
    normalisation) are looked at themselves; they count as rectified if no other activation module is there either.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    example : Tensor, (1, C, H, W)
    """
    calls = _calls(module, example)
    any_rectifier = any(isinstance(call.part, _RECTIFIERS) for call in calls)
    others = any(_is_other_activation(call.part) for call in calls)
    found: dict[tuple[str, int], Place] = {}
    for i, call in enumerate(calls):
        if not isinstance(call.part, nn.Conv2d) or call.output.ndim != 4:
            continue
        at = call
        for later in calls[i + 1 :]:
            if later.takes(at) and isinstance(later.part, (*_NORMS, *_RECTIFIERS)):
                at = later
                if isinstance(later.part, _RECTIFIERS):
                    break
        rectified = isinstance(at.part, _RECTIFIERS)
        if rectified or not any_rectifier:
            found[at.name, at.number] = Place(call.name, at.name, at.number, rectified or not others)
    for call in calls:
        if isinstance(call.part, _RECTIFIERS) and call.output.ndim == 4 and (call.name, call.number) not in found:
            label = call.name if not call.number else f"{call.name} ({call.number + 1})"
            found[call.name, call.number] = Place(label, call.name, call.number, True)
    order = {(call.name, call.number): i for i, call in enumerate(calls)}
    return sorted(found.values(), key=lambda place: order[place.module, place.call])


def strided(module: nn.Module) -> list[StridedLayer]:
    """Convolutions, pools and blurs with a stride, in the order in which they are registered."""
    found: list[StridedLayer] = []
    for name, part in module.named_modules():
        kind = (
            "conv" if isinstance(part, nn.Conv2d) else next((k for t, k in _POOLS.items() if isinstance(part, t)), "")
        )
        strides = _pair(getattr(part, "stride", 1))
        if kind and max(strides) > 1:
            found.append(StridedLayer(name, kind, strides))
    return found


def dense_response(part: nn.Module, input: Tensor) -> Tensor:
    """What a convolution, pool or blur would answer with a stride of one, (N, C, H, W)."""
    dense: Any = copy.copy(part)  # shares weights; its stride is its own
    dense.stride = (1, 1) if isinstance(part, nn.Conv2d) else 1
    return dense.forward(input)  # not called: a call would run the hooks of the original


@contextmanager
def record_leaves(
    module: nn.Module, see: Callable[[str, int, nn.Module, Tensor, Tensor], None], names: set[str] | None = None
) -> Iterator[None]:
    """Call ``see(name, call, module, input, output)`` for every leaf module that turns one tensor into one.

    Parameters
    ----------
    module : nn.Module
        Comes back without the hooks. Run it once inside the block, or reset nothing: calls are counted over the block.
    see : callable
    names : set of str, optional
        Only these modules.
    """

    def tell(call: ModuleCall) -> None:
        if _turns_a_tensor_into_one(call):
            see(call.name, call.number, call.module, call.inputs[0], call.output)

    wanted = {name: part for name, part in _leaves(module).items() if names is None or name in names}
    with record_calls(wanted, tell), torch.inference_mode():
        yield


def _is_other_activation(part: nn.Module) -> bool:
    """Whether a module is an activation, but no ReLU."""
    activation = type(part).__module__ == "torch.nn.modules.activation" or type(part).__name__ == "Squash"
    return activation and not isinstance(part, _RECTIFIERS)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))
