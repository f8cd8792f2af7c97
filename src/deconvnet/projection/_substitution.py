"""The one mechanism: run a model's own forward, and swap what its calls do in the backward pass.

Under ``Deconvnet`` (a ``TorchFunctionMode``) every torch call of a forward pass comes by. ReLU, max pooling and LRN are
replaced by autograd functions with the same values forward and the deconvnet's step backward. All else stays: torch's
own backward of convolution, linear, padding, sums and average pooling is the transposed operation, and uses no biases.
The model is never edited.
"""

# ruff: noqa: SIM905  (word lists read better as words)
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from deconvnet.errors import OptionError
from deconvnet.projection._lrn import LrnConstants, LrnGradient, skip_lrn
from deconvnet.projection._pooling import MaxPool
from deconvnet.projection._rules import Rule
from deconvnet.projection._rules import deconvnet as deconvnet_rule
from deconvnet.tracing.receptive import pooling_windows
from deconvnet.tracing.spellings import (
    SHAPED_LIKE,
    Elementwise,
    plain_name,
    read_elementwise,
    read_max_pool,
    shown_name,
)

_SET_DATA = torch.Tensor.data.__set__  # type: ignore[attr-defined]


class Rectify(torch.autograd.Function):
    """Values computed already, forward; a rule, backward."""

    @staticmethod
    def forward(ctx: Any, forward_input: Tensor, values: tuple[Tensor], rule: Rule, is_relu: bool) -> Tensor:
        ctx.rule, ctx.is_relu = rule, is_relu
        # A copy, because the model may overwrite the tensor later; the paper's own rule does not look at it.
        ctx.forward_input = None if rule is deconvnet_rule else forward_input.detach().clone()
        return values[0]

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> Any:
        passed = ctx.rule(signals[0], ctx.forward_input)
        if not isinstance(passed, Tensor) or passed.shape != signals[0].shape:
            given = f"a tensor of shape {tuple(passed.shape)}" if isinstance(passed, Tensor) else repr(passed)
            raise OptionError(
                f"the rule gave {given} for a signal of shape {tuple(signals[0].shape)}: a rule gives a tensor of the "
                "signal's shape."
            )
        return passed, None, None, None


@dataclass(frozen=True)
class CallSite:
    """Where in the model a node of the autograd graph was made.

    ``lrn`` marks the inside of local response normalisation; ``gated`` marks a call that also used numbers computed
    from the signal outside the graph (a comparison, an argmax, a detached copy); ``hidden`` a result that was changed
    in place where the graph does not have it (under ``no_grad``, through ``.data`` or a detached view); ``hooked`` one
    whose gradient the model changes by a hook of its own.
    """

    layer: str
    function: str
    lrn: bool
    gated: bool
    hidden: bool
    hooked: bool = False


# Calls whose result carries a tensor's shape or address but nothing of its values.
_VALUELESS = frozenset(
    "size zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty new_full "
    "new_tensor dim numel".split()
)
# Calls that return no tensor, and nothing of a tensor's values either.
_TELLING_NOTHING = frozenset(
    "size dim numel nelement ndimension len get stride is_contiguous is_floating_point is_complex is_signed "
    "element_size storage_offset get_device type is_same_size setitem".split()
)
_ADDING = frozenset("conv2d batch_norm pad".split())
_TAKING_OUT = frozenset("item tolist numpy array float int".split())


class Deconvnet(TorchFunctionMode):
    """Replace ReLU, max pooling and LRN in each call of a forward pass.

    Parameters
    ----------
    rule, unpool, lrn, activations
        As in `project`, checked.
    where : callable
        Gives the innermost running module's name and whether it is an LRN layer.

    Attributes
    ----------
    sites : dict of autograd node -> CallSite
        Where each call's result was made; holds the nodes, so it must not outlive the graph.
    biases : dict of autograd node -> Tensor or None
        What each convolution and batch norm adds. Padding is there if it is with zeros.
    reads_values : bool
        Whether the model took numbers out of tensors that depend on the photo, so that another photo could take
        another path through it.
    taken_out : CallSite or None
        Where it did so by a call that gives the numbers themselves, not only a yes or no.
    closed : bool
        Set once all that is asked for has run: calls pass untouched from then on.
    """

    def __init__(
        self, rule: Rule, unpool: str, lrn: str, activations: str, where: Callable[[], tuple[str, bool]]
    ) -> None:
        super().__init__()
        self.rule, self.unpool, self.lrn, self.activations, self.where = rule, unpool, lrn, activations, where
        self.sites: dict[Any, CallSite] = {}
        self.biases: dict[Any, Tensor | None] = {}
        self.reads_values = False
        self.taken_out: CallSite | None = None
        self.closed = False
        self._outside = WeakTensorKeyDictionary()  # computed from the signal, outside the graph
        self._signals: dict[int, list[TensorWeakRef]] = {}  # by the address of their memory

    def watch(self, signal: Tensor) -> None:
        """Note a tensor that is in the graph."""
        here = self._signals.setdefault(_address(signal), [])
        here[:] = [each for each in here if each() is not None]
        here.append(TensorWeakRef(signal))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.closed:
            return func(*args, **(kwargs or {}))
        # Torch takes the mode away while this method runs, so nothing here comes by a second time.
        kwargs, name = kwargs or {}, plain_name(func)
        before = [(each, _version(each)) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        outcome = self._replaced(func, args, kwargs) if torch.is_grad_enabled() else None
        replaced = outcome is not None
        if outcome is None:
            outcome = func(*args, **kwargs)
        given_back = [each for each, version in before if _version(each) == version]  # as by dropout in eval mode
        self._note(func, args, kwargs, outcome, [] if replaced else given_back, replaced)
        if func == _SET_DATA:
            self._hide([args[0]], "data = ...")
        for each, version in before:
            if _version(each) != version and not (torch.is_grad_enabled() and each.requires_grad):
                self._hide(self._sharing(each), name)
        return outcome

    def _sharing(self, tensor: Tensor) -> list[Tensor]:
        """The signals that lie in a tensor's memory."""
        noted = [each() for each in self._signals.get(_address(tensor), [])]
        return [each for each in noted if each is not None]

    def _hide(self, changed: list[Tensor], function: str) -> None:
        """Note that signals were changed where the graph does not have it."""
        for signal in changed:
            if signal.grad_fn is not None:
                self.sites[signal.grad_fn] = CallSite(self.where()[0], function, lrn=False, gated=False, hidden=True)

    def _replaced(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = plain_name(func)
        call = read_elementwise(func, args, kwargs)
        if call is not None and call.signal.requires_grad and (call.is_relu or self.activations == "relu"):
            return self._rectified(call)
        pooled = read_max_pool(func, args, kwargs)
        if pooled is not None and pooled[0].requires_grad:
            maps, pool, both = pooled
            windows = pooling_windows(name, args, kwargs) if name == "max_pool2d" else None
            maxima, switches = MaxPool.apply(maps, pool, self.unpool, windows)  # type: ignore[misc]
            return (maxima, switches) if both else maxima
        if name == "local_response_norm":
            maps, constants = _read_lrn(*args, **kwargs)
            if maps.requires_grad:
                return self._normalized(maps, constants)
        return None

    def _normalized(self, maps: Tensor, constants: LrnConstants) -> Tensor:
        with torch.no_grad():
            values = constants.normalize(maps)
        if self.lrn == "identity":
            return skip_lrn(maps, values, constants.normalize_window)
        return LrnGradient.apply(maps, (values,), constants)  # type: ignore[return-value]

    def _rectified(self, call: Elementwise) -> Tensor:
        signal = call.signal
        with torch.no_grad():
            working = signal.detach().clone()
            values = call.compute(working)
        result: Tensor = Rectify.apply(signal, (values,), self.rule, call.is_relu)  # type: ignore[assignment]
        if values is not working:
            return result
        return signal.copy_(result)  # the call works in place: the tensor itself changes, and its place in the graph

    def _note(self, func: Any, args: Any, kwargs: Any, outcome: Any, unchanged: list[Tensor], replaced: bool) -> None:
        name = plain_name(func)
        looked_at = args[:1] if name in SHAPED_LIKE else (args, kwargs)
        given = [each for each in tree_leaves(looked_at) if isinstance(each, Tensor)]
        outside = any(each in self._outside and not each.requires_grad for each in given)
        if not outside and not any(each.requires_grad for each in given):
            return
        made_any = isinstance(outcome, Tensor) or any(isinstance(each, Tensor) for each in tree_leaves(outcome))
        if not made_any and name not in _TELLING_NOTHING:
            self.reads_values = True
            if name in _TAKING_OUT and self.taken_out is None:
                self.taken_out = CallSite(self.where()[0], name, lrn=False, gated=True, hidden=False)
        if name == "register_hook" and args[0].grad_fn is not None:
            known = self.sites.get(args[0].grad_fn, CallSite(self.where()[0], name, False, gated=False, hidden=False))
            self.sites[args[0].grad_fn] = replace(known, layer=self.where()[0], hooked=True)
        changed = args[0] if name == "setitem" else outcome  # x[...] = y returns nothing
        for made in tree_leaves(changed):
            if not isinstance(made, Tensor) or any(made is each for each in unchanged):
                continue
            if made.grad_fn is not None:
                self.watch(made)
                layer, in_lrn = self.where()
                in_lrn = in_lrn or name == "local_response_norm"
                if name in _ADDING and made is outcome and not (name == "pad" and _pads_otherwise(*args, **kwargs)):
                    self.biases[made.grad_fn] = _bias(func, args, kwargs)
                hidden = not torch.is_grad_enabled()
                if hidden or made.grad_fn not in self.sites:
                    shown = shown_name(name, args, kwargs)
                    self.sites[made.grad_fn] = CallSite(layer, shown, in_lrn, outside, hidden)
            elif not replaced and name not in _VALUELESS:
                self._outside[made] = True

    def follow(self, module: nn.Module, name: str, output: Any) -> None:
        """Note the output of a layer, which an autograd function of the model's own may have made."""
        node = output.grad_fn if isinstance(output, Tensor) else None
        if node is not None and isinstance(module, nn.LocalResponseNorm):
            self.sites[node] = CallSite(name, "local_response_norm", lrn=True, gated=False, hidden=False)
        elif node is not None and node not in self.sites:
            self.sites[node] = CallSite(name, node.name(), lrn=False, gated=False, hidden=False)


def _read_lrn(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Tensor, LrnConstants]:
    """The arguments of `torch.nn.functional.local_response_norm`."""
    return input, LrnConstants(size, alpha, beta, k)


def _bias(func: Any, args: Any, kwargs: Any) -> Tensor | None:
    if plain_name(func) == "pad":
        return None
    place = 4 if func is torch.nn.functional.batch_norm else 2  # torch's own batch_norm has another order
    return args[place] if len(args) > place else kwargs.get("bias")


def _address(tensor: Tensor) -> int:
    """Of its memory; 0 for a tensor that has none to share (sparse, opaque)."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0


def _version(tensor: Tensor) -> int:
    """How often a tensor was changed in place."""
    return 0 if tensor.is_inference() else tensor._version


def _pads_otherwise(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> bool:
    """Whether a call of `torch.nn.functional.pad` pads with anything but zeros."""
    return mode != "constant" or value not in (None, 0)
