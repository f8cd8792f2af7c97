"""A model as its own forward pass needs it for gradients of the pixels, and as it was found afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from deconvnet.tracing.modes import evaluation


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, frozen parameters and gradients on inside; flags and buffers are afterwards as they were before.

    With frozen parameters, the tensors that require a gradient are those, and only those, that depend on the pixels.
    """
    wanting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    buffers = [
        (module, name, buffer, None if buffer.is_inference() else (buffer._version, buffer.detach().clone()))
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        for parameter in wanting:
            parameter.requires_grad_(False)
        with evaluation(model), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)
        for module, name, buffer, kept in buffers:  # a model's forward may write them
            module._buffers[name] = buffer
            if kept is not None and buffer._version != kept[0]:
                with torch.no_grad():
                    buffer.detach_().copy_(kept[1])


def run_once(model: nn.Module, layers: Sequence[str]) -> bool:
    """Whether it is known beforehand that each of the layers runs exactly once: they are parts of plain sequences."""
    names: dict[nn.Module, int] = Counter(module for _, module in model.named_modules(remove_duplicate=False))
    for layer in layers:
        path = layer.split(".")
        modules = [model.get_submodule(".".join(path[:depth])) for depth in range(len(path) + 1)]
        if any(names[module] != 1 for module in modules):
            return False
        for module in modules[:-1]:
            if type(module).forward is not nn.Sequential.forward or "forward" in vars(module):
                return False
    return True
