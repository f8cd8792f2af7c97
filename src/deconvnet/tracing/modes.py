"""Evaluation mode for a while, what a model's weights are like, and whether it can be followed step by step at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deconvnet.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode inside, and each in its own mode again afterwards, also after an exception.

    Flags are set one by one, not through ``model.eval()``, because models override that.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


def example_weight(model: nn.Module, otherwise: Tensor) -> Tensor:
    """A weight that tells the model's device and floating-point type; ``otherwise`` for a model without weights."""
    return next((each for each in model.parameters() if each.is_floating_point()), otherwise)


def check_followable(model: nn.Module) -> None:
    """Refuse a model whose steps nobody can see or run.

    Raises
    ------
    ModelError
        If it is no module, is scripted, traced or compiled, or has no values in its weights yet.
    """
    import torch
    from torch import nn
    from torch.nn.parameter import is_lazy

    if not isinstance(model, nn.Module):
        raise ModelError(f"the model is a {type(model).__name__}: give a torch.nn.Module.")
    for name, module in model.named_modules():
        where = f"'s layer {name!r}" if name else ""
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            raise ModelError(f"the model{where} is compiled, so its steps cannot be seen: give it uncompiled.")
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                f"the model{where} is scripted or traced, so its steps cannot be seen: give its Python module."
            )
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise ModelError(f"{name} of the model has no shape yet: run the model once on a photo first.")
        if tensor.is_meta:
            raise ModelError(f"{name} of the model has a shape but no values (device meta): load its weights first.")
