"""Running the steps: the photo through all of them once, then batches of windows through what they change."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deconvnet.errors import ModelError
from deconvnet.incremental.capture import Capture
from deconvnet.incremental.covering import Windows
from deconvnet.incremental.fields import WindowPlacement
from deconvnet.incremental.grouping import place_of
from deconvnet.incremental.plan import IncrementalPlan
from deconvnet.incremental.records import Responses
from deconvnet.incremental.simplify import at_batch, fill_in
from deconvnet.incremental.spans import Spans
from deconvnet.incremental.totals import Totals, of_whole

_TAIL = 512  # covered photos that go through the last, flat layers together, at most


@torch.no_grad()
def clean_values(found: Capture, photo: Tensor, clean_output: Tensor) -> list[Any]:
    """Every step's value for the photo itself.

    Raises
    ------
    ModelError
        If the steps do not give the model's own answer (``clean_output``) to the photo.
    """
    values: list[Any] = [photo]
    for step in found.steps[1:]:
        if step.target is None:
            values.append(step.value)
            continue
        args = fill_in(at_batch(step.args, 1), values.__getitem__)
        kwargs = fill_in(at_batch(step.kwargs or {}, 1), values.__getitem__)
        values.append(step.target(*args, **kwargs))
    _check(values[found.output], clean_output)
    return values


def _check(found: Tensor, expected: Tensor) -> None:
    scale = float(expected.abs().max())
    if not torch.isfinite(expected).all():
        raise ModelError("the model gives NaN or infinity for this photo: check its weights.")
    if float((found - expected).abs().max()) > 1e-3 * max(scale, 1e-30):
        raise ModelError(
            "the model's answer to the photo is not reproduced by following it step by step (does it draw random "
            "numbers?): use deconvnet.incremental.plain."
        )


class AnswerRows:
    """The rows of the answer, filled as they come."""

    def __init__(self, clean: Responses, count: int) -> None:
        self.outputs = clean.outputs.repeat(count, axis=0)
        self.sums = {name: found.repeat(count, axis=0) for name, found in clean.sums.items()}
        self.maxima = {name: found.repeat(count, axis=0) for name, found in clean.maxima.items()}

    def put(self, positions: npt.NDArray[np.int64], plan: IncrementalPlan, step: int, value: Tensor) -> None:
        """A step's whole values at some positions, where the step is asked for."""
        if step == plan.output:
            self.outputs[positions] = value.float().cpu().numpy()
        for name, wanted in plan.maps.items():
            if wanted == step:
                self.put_totals(name, positions, *of_whole(value))

    def put_totals(self, name: str, positions: npt.NDArray[np.int64], sums: Tensor, maxima: Tensor) -> None:
        """Sums and maxima of a layer's maps at some positions."""
        self.sums[name][positions] = sums.float().cpu().numpy()
        self.maxima[name][positions] = maxima.float().cpu().numpy()

    def responses(self) -> Responses:
        return Responses(self.outputs, self.sums, self.maxima)


class FlatTail:
    """The last, flat layers, for many covered photos at once: their weights are large, their values small."""

    def __init__(self, plan: IncrementalPlan, answers: AnswerRows, memory: int) -> None:
        self._plan, self._answers = plan, answers
        needed = {j for i in plan.tail for j in plan.steps[i].inputs}
        self.entries = sorted(j for j in needed if j not in plan.tail and plan.values[j] is None)
        each = sum(4 * int(np.prod(at_batch(plan.steps[j].shape, 1))) for j in self.entries)
        self._most = max(1, min(_TAIL, memory // 8 // max(each, 1)))
        self._waiting: dict[int, list[Tensor]] = {j: [] for j in self.entries}
        self._positions: list[npt.NDArray[np.int64]] = []
        self._count = 0

    def add(self, positions: npt.NDArray[np.int64], values: dict[int, Tensor]) -> None:
        """Take in some covered photos."""
        if not self._plan.tail:
            return
        self._positions.append(positions)
        for j in self.entries:
            self._waiting[j].append(values[j])
        self._count += len(positions)
        if self._count >= self._most:
            self.flush()

    def flush(self) -> None:
        """Compute those that wait."""
        if not self._count:
            return
        values: dict[int, Any] = {j: torch.cat(found) for j, found in self._waiting.items()}
        positions = np.concatenate(self._positions)
        for i in sorted(self._plan.tail):
            values[i] = whole_step(self._plan, i, values, self._count)
            self._answers.put(positions, self._plan, i, values[i])
        self._waiting = {j: [] for j in self.entries}
        self._positions, self._count = [], 0


def whole_step(plan: IncrementalPlan, i: int, values: dict[int, Any], count: int) -> Any:
    """A step on whole values, of ``count`` covered photos."""
    step = plan.steps[i]
    assert step.target is not None

    def known(j: int) -> Any:
        return values[j] if j in values else plan.values[j]

    return step.target(
        *fill_in(at_batch(step.args, count), known), **fill_in(at_batch(step.kwargs or {}, count), known)
    )


class WindowPass:
    """One batch of windows going through the steps."""

    def __init__(
        self,
        plan: IncrementalPlan,
        totals: dict[str, Totals],
        positions: npt.NDArray[np.int64],
        spans: dict[int, Spans],
        answers: AnswerRows,
        tail: FlatTail,
    ) -> None:
        self._plan, self._totals, self._positions, self._answers, self._tail = plan, totals, positions, answers, tail
        self._places: dict[int, WindowPlacement] = {}
        self._values: dict[int, Any] = {}
        self._loaded: set[int] = set()
        device = plan.fields[0].clean.device
        known: dict[tuple[int, int, int], WindowPlacement] = {}  # steps with the same spans share their place
        for i, found in spans.items():
            size = plan.fields[i].height, plan.fields[i].width
            key = (id(found), *size)
            if key not in known:
                known[key] = place_of(found[positions], size, device)
            self._places[i] = known[key]
        self._left = [len(users) for users in plan.users]
        for i in {plan.output, *tail.entries}:
            self._left[i] += 1

    @property
    def count(self) -> int:
        return len(self._positions)

    def fresh(self, step: int) -> bool:
        return self._left[step] == 1 and step in self._plan.kernels and self._plan.kernels[step].makes_new

    def place(self, step: int) -> WindowPlacement:
        return self._places[step]

    def clean(self, step: int, want: WindowPlacement) -> Tensor:
        whole = self._plan.fields[step]
        whole.load(None)
        nowhere = torch.zeros_like(want.top)
        return whole.read(WindowPlacement(nowhere, nowhere, 0, 0), want)

    def window(self, step: int, want: WindowPlacement, border: float = 0.0) -> Tensor:
        own = self._places[step]
        if want.equals(own):
            return self._values[step]
        whole = self._plan.fields[step]
        if step not in self._loaded:
            whole.load(self._values[step])
            self._loaded.add(step)
        return whole.read(own, want, border)

    def run(self, picture: Tensor, placed: Windows) -> None:
        """Everything but the tail."""
        plan = self._plan
        self._values[0] = self._covered(picture, placed)
        for i, step in enumerate(plan.steps):
            if step.target is None or i in plan.tail:
                continue
            if i in plan.kernels:
                self._values[i] = plan.kernels[i].run(self, self._places[i])
            else:
                whole = {j: self._materialized(j) for j in step.inputs if j in self._values}
                self._values[i] = whole_step(plan, i, whole, self.count)
            self._note(i)
            for j in set(step.inputs):
                self._drop(j)
        self._tail.add(self._positions, {j: self._materialized(j) for j in self._tail.entries})

    def _covered(self, picture: Tensor, placed: Windows) -> Tensor:
        """The fill, in the windows of the photo; the photo, where a window is smaller than the batch's."""
        own = self._places[0]
        whole = self._plan.fields[0]
        y = own.top[:, None] + torch.arange(own.height, device=own.top.device)
        x = own.left[:, None] + torch.arange(own.width, device=own.top.device)
        index = (y[:, :, None] * whole.width + x[:, None, :]).view(-1)
        filled = picture.flatten(1).T.contiguous().index_select(0, index)
        box = torch.as_tensor(placed, device=own.top.device)
        rows = (y >= box[:, :1]) & (y < box[:, 2:3])
        columns = (x >= box[:, 1:2]) & (x < box[:, 3:4])
        inside = (rows[:, :, None] & columns[:, None, :]).view(-1)
        if not inside.all():
            clean = whole.rows(whole.clean).index_select(0, index)
            filled = torch.where(inside[:, None], filled, clean)
        return whole.from_rows(filled, own.height, own.width)

    def _materialized(self, step: int) -> Any:
        """A step's whole value for each covered photo."""
        if step not in self._places:
            return self._values[step]
        whole = self._plan.fields[step]
        zero = torch.zeros(self.count, dtype=torch.long, device=self._places[step].top.device)
        return self.window(step, WindowPlacement(zero, zero, whole.height, whole.width))

    def _note(self, i: int) -> None:
        plan = self._plan
        if i == plan.output:
            self._answers.put(self._positions, plan, i, self._materialized(i))
        for name, wanted in plan.maps.items():
            if wanted == i:
                if name in self._totals:
                    totals = self._totals[name].of(self._values[i], self._places[i])
                    self._answers.put_totals(name, self._positions, *totals)
                elif i != plan.output:
                    self._answers.put(self._positions, plan, i, self._values[i])

    def _drop(self, step: int) -> None:
        self._left[step] -= 1
        if not self._left[step]:
            self._values.pop(step, None)
