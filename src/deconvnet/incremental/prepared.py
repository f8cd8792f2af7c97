"""Incremental inference: the clean activations kept, and only what a covered window changes computed anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.errors import OptionError
from deconvnet.incremental.capture import capture
from deconvnet.incremental.covering import Windows, as_fill, as_photo, as_windows
from deconvnet.incremental.fields import Place
from deconvnet.incremental.grouping import batches, extents, place_of
from deconvnet.incremental.plain import plain
from deconvnet.incremental.plan import Plan, cost_of_position, plan
from deconvnet.incremental.records import Responses
from deconvnet.incremental.simplify import at_batch, fill_in, simplify
from deconvnet.incremental.spans import Spans, is_empty
from deconvnet.incremental.totals import Totals, of_whole

_TOGETHER = 128  # windows in a batch, at most
_TAIL = 512  # covered photos that go through the last, flat layers together, at most


class PreparedPhoto:
    """A network and a photo whose clean activations are kept; make one with :func:`prepare`.

    One run at a time: windows are written beside the clean values.

    Attributes
    ----------
    clean : Responses
        What the network answers to the photo itself, one row.
    notes : tuple of str
        Where the computation covers whole maps, why, and what that costs; empty if nowhere.
    """

    def __init__(self, plan: Plan, photo: Tensor, clean: Responses, memory: int) -> None:
        self._plan, self._photo, self._memory = plan, photo, memory
        self.clean = clean
        self.notes = plan.notes
        self._totals = {name: Totals(plan.fields[i]) for name, i in plan.maps.items() if i in plan.fields}

    @torch.no_grad()
    def run(
        self,
        windows: Sequence[Sequence[int]] | npt.NDArray[np.integer],
        fill: Tensor | float = 0.0,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Responses:
        """The network's answers with each window covered.

        Parameters
        ----------
        windows : (positions, 4) integers
            Top, left, bottom, right in pixels of the input; the last two are exclusive. What lies outside the photo
            is left out.
        fill : float, or Tensor (C,) or (C, H, W)
            What is seen instead, in the network's input units: one value, one for each channel, or a picture of which
            each window shows its part.
        progress : callable(done, total), optional

        Returns
        -------
        Responses
            A row for each window, in order; equal to those of :func:`plain` up to float32 rounding.

        Raises
        ------
        OptionError
            If windows or fill are not of that form.
        """
        placed = as_windows(windows, *self._photo.shape[2:])
        picture = as_fill(fill, self._photo)
        answers = _Answers(self.clean, len(placed))
        spans = _all_spans(self._plan, placed)
        seen = np.flatnonzero(~is_empty(placed))
        layers = [i for i in self._plan.kernels if cost_of_position(self._plan.steps[i])]
        sizes = [extents(spans[i][seen], _map(self._plan, i)) for i in layers]
        most = self._most({i: s[seen] for i, s in spans.items()})
        groups = batches(
            sizes or [extents(placed[seen], _map(self._plan, 0))],
            [cost_of_position(self._plan.steps[i]) for i in layers] or [1.0],
            most,
        )
        waiting = _Tail(self._plan, answers, self._memory)
        done = len(placed) - len(seen)
        for group in groups:
            chosen = seen[group]
            _Pass(self._plan, self._totals, chosen, spans, answers, waiting).run(picture, placed[chosen])
            done += len(chosen)
            if progress is not None:
                progress(done, len(placed))
        waiting.flush()
        return answers.responses()

    def _most(self, spans: dict[int, Spans]) -> int:
        """Windows that fit into the memory together."""
        kept = sum(whole.bytes for whole in self._plan.fields.values())
        each = 0
        for i, step in enumerate(self._plan.steps):
            if i in self._plan.fields and len(spans[i]):
                whole = self._plan.fields[i]
                height, width = extents(spans[i], (whole.height, whole.width)).max(0)
                each += 3 * int(height * width) * whole.row_bytes
            elif step.target is not None and i not in self._plan.tail and step.shape:
                each += 4 * int(np.prod(at_batch(step.shape, 1)))
        room = self._memory - kept
        if room < each:
            raise OptionError(
                f"this network needs {(kept + each) / 2**20:.0f} MiB for its activations, more than the "
                f"{self._memory / 2**20:.0f} MiB allowed: allow more memory (memory=, --memory)."
            )
        return max(1, min(_TOGETHER, room // max(each, 1)))


class _Answers:
    """The rows of the answer, filled as they come."""

    def __init__(self, clean: Responses, count: int) -> None:
        self.outputs = clean.outputs.repeat(count, axis=0)
        self.sums = {name: found.repeat(count, axis=0) for name, found in clean.sums.items()}
        self.maxima = {name: found.repeat(count, axis=0) for name, found in clean.maxima.items()}

    def put(self, positions: npt.NDArray[np.int64], plan: Plan, step: int, value: Tensor) -> None:
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


class _Tail:
    """The last, flat layers, for many covered photos at once: their weights are large, their values small."""

    def __init__(self, plan: Plan, answers: _Answers, memory: int) -> None:
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
            values[i] = _whole(self._plan, i, values, self._count)
            self._answers.put(positions, self._plan, i, values[i])
        self._waiting = {j: [] for j in self.entries}
        self._positions, self._count = [], 0


def _whole(plan: Plan, i: int, values: dict[int, Any], count: int) -> Any:
    """A step on whole values."""
    step = plan.steps[i]
    assert step.target is not None

    def known(j: int) -> Any:
        return values[j] if j in values else plan.values[j]

    return step.target(
        *fill_in(at_batch(step.args, count), known), **fill_in(at_batch(step.kwargs or {}, count), known)
    )


class _Pass:
    """One batch of windows going through the steps."""

    def __init__(
        self,
        plan: Plan,
        totals: dict[str, Totals],
        positions: npt.NDArray[np.int64],
        spans: dict[int, Spans],
        answers: _Answers,
        tail: _Tail,
    ) -> None:
        self._plan, self._totals, self._positions, self._answers, self._tail = plan, totals, positions, answers, tail
        self._places: dict[int, Place] = {}
        self._values: dict[int, Any] = {}
        self._loaded: set[int] = set()
        device = plan.fields[0].clean.device
        known: dict[tuple[int, int, int], Place] = {}  # steps with the same spans share their place
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

    def place(self, step: int) -> Place:
        return self._places[step]

    def clean(self, step: int, want: Place) -> Tensor:
        whole = self._plan.fields[step]
        whole.load(None)
        nowhere = torch.zeros_like(want.top)
        return whole.read(Place(nowhere, nowhere, 0, 0), want)

    def window(self, step: int, want: Place, border: float = 0.0) -> Tensor:
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
                self._values[i] = _whole(plan, i, whole, self.count)
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
        return self.window(step, Place(zero, zero, whole.height, whole.width))

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


def _all_spans(plan: Plan, placed: Windows) -> dict[int, Spans]:
    spans: dict[int, Spans] = {0: placed}
    for i, kernel in plan.kernels.items():
        spans[i] = kernel.spans([spans[j] for j in kernel.fields])
    return spans


def _map(plan: Plan, i: int) -> tuple[int, int]:
    return plan.fields[i].height, plan.fields[i].width


def prepare(
    model: nn.Module,
    photo: Tensor,
    *,
    maps: Sequence[str] = (),
    memory: int = 2 << 30,
) -> PreparedPhoto:
    """Run a photo through a network once and keep what :meth:`PreparedPhoto.run` needs.

    Parameters
    ----------
    model : nn.Module
        Any network that takes one image tensor and returns one tensor with a row for each image. It is run in
        evaluation mode, comes back as it was, and may change afterwards without changing what was prepared, as long
        as its weights are not changed in place.
    photo : Tensor, (C, H, W) or (1, C, H, W)
        A preprocessed photo.
    maps : sequence of str
        Layers (names of modules) whose feature maps' sums and maxima are wanted as well.
    memory : int
        Bytes that activations may take, beside the model itself.

    Returns
    -------
    PreparedPhoto
        Its answers differ from those of full passes by float32 rounding only, at most 1e-5 of the largest output:
        3 x 3 convolutions may be done by Winograd's F(2 x 2) or F(4 x 4), which round about as a direct convolution
        does.

    Raises
    ------
    ModelError
        If the model's computation cannot be followed step by step, or it gives no tensor with a row for each image.
    OptionError
        If the photo is not one finite float image, or an option is out of range.
    UnknownNameError
        If a layer does not exist.
    """
    photo = as_photo(photo)
    height, width = photo.shape[2:]
    clean = plain(model, photo, [(0, 0, height, width)], photo[0], maps=maps)
    steps = simplify(capture(model, photo, maps))
    made = plan(steps, photo.clone(memory_format=torch.channels_last), torch.from_numpy(clean.outputs).to(photo))
    return PreparedPhoto(made, photo, clean, memory)
