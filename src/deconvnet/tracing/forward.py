"""Run a model's own forward pass and watch its layers, leaving the model as it was found."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

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


def _ignore(_module: nn.Module, _names: list[str], _inputs: Any, _output: Any) -> None:
    """What is done with outputs once the forward pass is over."""


class _Enough(BaseException):
    """Ends a forward pass whose remainder nobody asked for; models that catch Exception do not catch it."""


class ModuleRecorder:
    """Follow which module of a model is running, and see or replace what it returns.

    Parameters
    ----------
    model : nn.Module
    on_output : callable
        ``on_output(module, names, inputs, output)`` after each module; a value other than None replaces the output.

    Notes
    -----
    The hooks are torch's global ones, for this thread and this model's modules only, so that the model itself is given
    no hook, but for modules that have forward hooks already: there ours goes behind them for the time of the pass.
    """

    def __init__(self, model: nn.Module, on_output: Callable[[nn.Module, list[str], Any, Any], Any]) -> None:
        self.on_output = on_output
        self._names: dict[nn.Module, list[str]] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            self._names.setdefault(module, []).append(name)
        # Torch calls a module's own hooks after the global ones, and they may change what it gives.
        self._hooked = [module for module in self._names if module._forward_hooks]
        self._running: list[nn.Module] = []
        self._thread = threading.get_ident()

    def where(self) -> tuple[str, bool]:
        """Name of the innermost running module, and whether it, or one around it, is an LRN layer."""
        name = self._names[self._running[-1]][0] if self._running else ""
        return name, any(isinstance(module, nn.LocalResponseNorm) for module in self._running)

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        if module in self._names and threading.get_ident() == self._thread:
            self._running.append(module)

    def _leave_plain(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        return None if module in self._hooked else self._leave(module, inputs, output)

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if module not in self._names or threading.get_ident() != self._thread:
            return None
        while self._running and self._running.pop() is not module:
            pass  # a module in between ended by an exception that the model caught
        return self.on_output(module, self._names[module], inputs, output)

    def run(self, model: nn.Module, *inputs: Tensor) -> Any:
        """One forward pass, after which nothing is recorded any more: what the model gives, or None after `stop`."""
        handles = [register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave_plain)]
        handles += [module.register_forward_hook(self._leave) for module in self._hooked]
        try:
            loaned = _usable_tensors(model)
            if loaned:
                return torch.func.functional_call(model, loaned, inputs)
            return model(*inputs)
        except _Enough:
            return None
        finally:
            for handle in handles:
                handle.remove()
            self._running.clear()
            self.on_output = _ignore  # it may hold the pass, which holds the recorder

    @staticmethod
    def stop() -> None:
        """End the running forward pass."""
        raise _Enough


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


def _usable_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters and buffers that were made under ``inference_mode`` and so refuse to be in a graph."""
    state = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in state if tensor.is_inference()}
