"""Evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


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
