"""Hearing what chosen layers of a model give, while it runs in evaluation mode, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from deconvnet.errors import ModelError, UnknownNameError
from deconvnet.tracing.modes import evaluation


@contextmanager
def listening(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Give the mapping into which each pass puts the layers' outputs.

    Raises
    ------
    UnknownNameError
        If the model has no such layer.
    ModelError
        If a layer gives no feature maps, or runs more than once in a pass.
    """
    modules = dict(model.named_modules())
    for name in layers:
        if name not in modules:
            raise UnknownNameError("layer", name, [known for known in modules if known])
    heard: dict[str, Tensor] = {}

    def hear(name: str):
        def keep(_module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, Tensor) or output.dim() not in (2, 4):
                raise ModelError(f"{name} gives no feature maps (N, C, H, W): ask for another layer.")
            if name in heard:
                raise ModelError(
                    f"layer {name!r} runs more than once in a pass, so its maps have no single value: "
                    "ask for a layer that runs once."
                )
            heard[name] = output.clone()  # what follows may change it in place

        return keep

    hooks = [model.register_forward_pre_hook(lambda _module, _inputs: heard.clear())]
    hooks += [modules[name].register_forward_hook(hear(name)) for name in layers]
    try:
        with evaluation(model):
            yield heard
    finally:
        for hook in hooks:
            hook.remove()
