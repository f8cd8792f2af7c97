"""Recording what modules of a model give while it runs, and leaving the model as it was: the one place with hooks.

``record_calls`` tells each call of chosen modules; ``record_outputs`` keeps the outputs of layers that run once;
``ModuleRecorder`` sees all modules, may replace what they give, and knows which one is running.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from deconvnet.errors import ModelError, UnknownNameError
from deconvnet.tracing.modes import evaluation


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """One call of a module: its name, which of its calls (from 0), what it was given and what it gave."""

    name: str
    number: int
    module: nn.Module
    inputs: tuple[Any, ...]
    output: Any


@contextmanager
def record_calls(
    modules: Mapping[str, nn.Module],
    see: Callable[[ModuleCall], None] | None,
    before: Callable[[str, tuple[Any, ...]], None] | None = None,
) -> Iterator[None]:
    """Tell each call of some modules inside the block, behind hooks that they have already.

    Parameters
    ----------
    modules : mapping of str -> nn.Module
    see : callable, optional
        ``see(call)`` after each call, before anything else can write over the output.
    before : callable, optional
        ``before(name, inputs)`` before each call.
    """
    count: Counter[str] = Counter()

    def enter(name: str) -> Callable[[nn.Module, Any], None]:
        def tell(_module: nn.Module, inputs: Any) -> None:
            if before is not None:
                before(name, inputs)

        return tell

    def after(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def tell(module: nn.Module, inputs: Any, output: Any) -> None:
            number, count[name] = count[name], count[name] + 1
            if see is not None:
                see(ModuleCall(name, number, module, inputs, output))

        return tell

    handles = []
    try:
        for name, module in modules.items():
            if before is not None:
                handles.append(module.register_forward_pre_hook(enter(name)))
            if see is not None:
                handles.append(module.register_forward_hook(after(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def record_outputs(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Evaluation mode, and the mapping into which each pass puts the layers' outputs.

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
    outputs: dict[str, Tensor] = {}

    def keep(call: ModuleCall) -> None:
        if not isinstance(call.output, Tensor) or call.output.dim() not in (2, 4):
            raise ModelError(f"{call.name} gives no feature maps (N, C, H, W): ask for another layer.")
        if call.name in outputs:
            raise ModelError(
                f"layer {call.name!r} runs more than once in a pass, so its maps have no single value: "
                "ask for a layer that runs once."
            )
        outputs[call.name] = call.output.clone()  # what follows may change it in place

    def start(_name: str, _inputs: tuple[Any, ...]) -> None:
        outputs.clear()

    with (
        record_calls({"": model}, None, before=start),
        record_calls({name: modules[name] for name in layers}, keep),
        evaluation(model),
    ):
        yield outputs


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


def _usable_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters and buffers that were made under ``inference_mode`` and so refuse to be in a graph."""
    state = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in state if tensor.is_inference()}
