"""What becomes of each step: a window of its own for each covered photo as far as possible, whole maps from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deconvnet.incremental.capture import Capture, CapturedStep, PerBatch
from deconvnet.incremental.fields import WindowedValue
from deconvnet.incremental.kernel_choice import choose_kernel, operation_name, positions
from deconvnet.incremental.kernels import ConvolutionKernel, Kernel
from deconvnet.incremental.simplify import PaddedConvolution

_TOLD = 0.01  # share of the multiply-adds from which on whole maps are worth a note


@dataclass
class IncrementalPlan:
    """The steps of a network for one photo.

    Attributes
    ----------
    steps : list of CapturedStep
    values : list of Tensor or None
        Constants.
    fields : mapping of int to WindowedValue
        Steps whose value changes only in windows.
    kernels : mapping of int to Kernel
        How; for the fields but the photo.
    output : int
    maps : mapping of str to int
    tail : set of int
        Steps after the last map: they run on many covered photos at once.
    users : list of list of int
        For each step, those that take its value.
    notes : tuple of str
    """

    steps: list[CapturedStep]
    values: list[Any]
    fields: dict[int, WindowedValue]
    kernels: dict[int, Kernel]
    output: int
    maps: dict[str, int]
    tail: set[int]
    notes: tuple[str, ...]
    users: list[list[int]] = field(default_factory=list)


def plan(found: Capture, values: Sequence[Any]) -> IncrementalPlan:
    """Choose how each step is done: on windows as long as rows and columns stay apart, else on whole maps.

    Parameters
    ----------
    found : Capture
    values : sequence of Tensor
        Each step's clean value, see :func:`deconvnet.incremental.execution.clean_values`. The plan keeps those that
        windows are read from.
    """
    steps = found.steps
    fields: dict[int, WindowedValue] = {0: WindowedValue(values[0], (2, 3))}
    kernels: dict[int, Kernel] = {}
    wide: list[tuple[int, str]] = []
    varying = {0}
    users: list[list[int]] = [[] for _ in steps]
    for i, step in enumerate(steps):
        for j in set(step.inputs):
            users[j].append(i)
        if step.target is None:
            continue
        moving = [j for j in step.inputs if j in fields]
        if any(j in varying for j in step.inputs):
            varying.add(i)
        if moving and all(j in fields or j not in varying for j in step.inputs):
            kernel = choose_kernel(steps, i, fields, values)
            if kernel is not None:
                kernels[i], fields[i] = kernel, WindowedValue(values[i], kernel.axes)
                continue
        if moving and _spatial(step):
            wide.append((i, operation_name(step)))
    tail = _tail(found, users)
    notes = _notes(steps, fields, wide, tail)
    _release(fields, kernels, users, {found.output, *found.maps.values()})
    constants = [step.value for step in steps]
    return IncrementalPlan(steps, constants, fields, kernels, found.output, found.maps, tail, notes, users)


def _release(
    fields: dict[int, WindowedValue], kernels: dict[int, Kernel], users: list[list[int]], kept: set[int]
) -> None:
    """Forget clean values that nobody reads again."""
    for i, whole in fields.items():
        kernel = kernels.get(i)
        if i == 0 or (isinstance(kernel, ConvolutionKernel) and kernel.may_tile):
            continue  # photos are covered; changes are added to the convolution's clean value
        if i not in kept and all(j in kernels and not kernels[j].reads_beyond() for j in users[i]):
            whole.forget()


def _spatial(step: CapturedStep) -> bool:
    return bool(step.shape and len(step.shape) > 2)


def _tail(found: Capture, users: list[list[int]]) -> set[int]:
    """Steps with flat values after which only flat values follow."""
    tail: set[int] = set()
    for i in range(len(found.steps) - 1, 0, -1):
        shape = found.steps[i].shape
        flat = found.steps[i].target is not None and shape is not None and len(shape) <= 2
        if flat and all(j in tail for j in users[i]) and shape and shape[0] == PerBatch(1, 0):
            tail.add(i)
    return tail


def _notes(
    steps: list[CapturedStep], fields: dict[int, WindowedValue], wide: list[tuple[int, str]], tail: set[int]
) -> tuple[str, ...]:
    """Where whole maps begin, and their share of the work where it counts."""
    work = [_multiplications(steps, i) for i in range(len(steps))]
    whole = sum(work[i] for i in range(len(steps)) if i not in fields and i not in tail)
    share = whole / max(sum(work), 1.0)
    if not wide or share < _TOLD:
        return ()
    first, name = wide[0]
    return (
        f"{name} (step {first} of {len(steps)}, after {_layers_before(steps, first)} convolutions) mixes positions of "
        f"the map: from there on whole maps are computed, {share:.0%} of the multiply-adds.",
    )


def _layers_before(steps: list[CapturedStep], i: int) -> int:
    return sum(isinstance(step.target, PaddedConvolution) for step in steps[:i])


def _multiplications(steps: list[CapturedStep], i: int) -> float:
    """Of convolutions and of layers on the last axis; the others count little."""
    step = steps[i]
    if not step.shape:
        return 0.0
    if isinstance(step.target, PaddedConvolution):
        return cost_of_position(step) * positions(step.shape[2:])
    weight = steps[step.args[1].step].value if operation_name(step) == "deconvnet.linear" else None
    return 0.0 if weight is None else weight.shape[1] * positions(step.shape[1:])


def cost_of_position(step: CapturedStep) -> float:
    """Multiply-adds of one position of all maps; 0 where it is no convolution."""
    if not isinstance(step.target, PaddedConvolution):
        return 0.0
    weight = step.target.weight
    return float(weight.numel())
