"""Backward passes through the whole maps, by autograd, one unit of each photo at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from deconvnet.errors import ModelError
from deconvnet.geometry import Box
from deconvnet.projection._buffer import ProjectionBuffer
from deconvnet.projection._forward import ForwardPass, first_line
from deconvnet.projection._request import ProjectionSettings, all_finite, bad_photo


def backward_through_maps(
    pass_: ForwardPass,
    layer: str,
    starts: Sequence[tuple[int, int]],
    settings: ProjectionSettings,
    buffer: ProjectionBuffer,
) -> None:
    """Project the units of one layer; ``starts`` pairs a row of the batch with a place in the buffer."""
    output = pass_.outputs[layer]
    values = output.detach()
    waiting: dict[int, list[int]] = {}
    for row, index in starts:
        waiting.setdefault(row, []).append(index)
    for turn in _turns(waiting):
        signals = torch.zeros_like(values)
        for row, index in turn:
            unit = buffer.units[index]
            cell = (row, unit.channel, *(unit.position or ()))
            signals[cell] = values[cell] if settings.start == "activation" else 1.0
        try:
            (signal,) = torch.autograd.grad(output, pass_.leaf, signals, retain_graph=True)
        except RuntimeError as error:  # a tensor was overwritten, or is computed again by a checkpoint
            advice = (
                "ask for a layer below that step"
                if isinstance(error, NotImplementedError) or "not implemented" in str(error)
                else "take in-place steps and checkpoints out of the model's forward"
            )
            raise ModelError(
                f"autograd does not come down from layer {layer!r} ({first_line(error)}): {advice}."
            ) from error
        if not all_finite(signal):
            raise ModelError(
                f"a projection from layer {layer!r} is not finite for {bad_photo(signal, pass_.photos)}: "
                "check the weights, or give the model in a wider floating-point type."
            )
        drawn = buffer.as_array(signal)
        for row, index in turn:
            buffer.draw(index, drawn[row], Box(0, 0, *signal.shape[2:]))


def _turns(waiting: dict[int, list[int]]) -> Iterator[list[tuple[int, int]]]:
    """Backward passes, each with at most one unit for each photo of the batch."""
    for turn in range(max(map(len, waiting.values()), default=0)):
        yield [(row, indices[turn]) for row, indices in waiting.items() if turn < len(indices)]
