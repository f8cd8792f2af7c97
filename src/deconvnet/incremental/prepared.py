"""Incremental inference: the clean activations kept, and only what a covered window changes computed anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.errors import OptionError
from deconvnet.incremental.capture import capture
from deconvnet.incremental.covering import Windows, as_fill, as_photo, as_windows
from deconvnet.incremental.execution import AnswerRows, FlatTail, WindowPass, clean_values
from deconvnet.incremental.grouping import batches, extents
from deconvnet.incremental.plain import plain
from deconvnet.incremental.plan import IncrementalPlan, cost_of_position, plan
from deconvnet.incremental.records import Responses
from deconvnet.incremental.simplify import at_batch, simplify
from deconvnet.incremental.spans import Spans, is_empty
from deconvnet.incremental.totals import Totals

_TOGETHER = 128  # windows in a batch, at most


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

    def __init__(self, plan: IncrementalPlan, photo: Tensor, clean: Responses, memory: int) -> None:
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
        answers = AnswerRows(self.clean, len(placed))
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
        waiting = FlatTail(self._plan, answers, self._memory)
        done = len(placed) - len(seen)
        for group in groups:
            chosen = seen[group]
            WindowPass(self._plan, self._totals, chosen, spans, answers, waiting).run(picture, placed[chosen])
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


def _all_spans(plan: IncrementalPlan, placed: Windows) -> dict[int, Spans]:
    spans: dict[int, Spans] = {0: placed}
    for i, kernel in plan.kernels.items():
        spans[i] = kernel.spans([spans[j] for j in kernel.fields])
    return spans


def _map(plan: IncrementalPlan, i: int) -> tuple[int, int]:
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
    kept = photo.clone(memory_format=torch.channels_last)
    values = clean_values(steps, kept, torch.from_numpy(clean.outputs).to(photo))
    return PreparedPhoto(plan(steps, values), photo, clean, memory)
